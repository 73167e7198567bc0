#include "producer/results_json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "common/labels.h"
#include "common/names.h"
#include "producer/definitions.h"

/*
 * A reader of JSON that keeps nothing: what workers send goes out as it is only when it can't break
 * the answer.
 */
struct scan {
    const char *at, *end;
    int depth;
};

static bool scan_value(struct scan *scan);

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0') {
        scan->at++;
    }
}

static bool scan_char(struct scan *scan, char c)
{
    skip_space(scan);
    if (scan->at >= scan->end || *scan->at != c) {
        return false;
    }
    scan->at++;
    return true;
}

static bool scan_text(struct scan *scan)
{
    if (!scan_char(scan, '"')) {
        return false;
    }
    while (scan->at < scan->end && *scan->at != '"') {
        unsigned char c = (unsigned char)*scan->at++;
        if (c < 0x20) {
            return false;
        }
        if (c != '\\') {
            continue;
        }
        if (scan->at >= scan->end || strchr("\"\\/bfnrtu", *scan->at) == NULL ||
            *scan->at == '\0') {
            return false;
        }
        if (*scan->at++ == 'u') {
            for (int i = 0; i < 4; i++) {
                if (scan->at >= scan->end || !isxdigit((unsigned char)*scan->at++)) {
                    return false;
                }
            }
        }
    }
    return scan_char(scan, '"');
}

static bool scan_digits(struct scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && isdigit((unsigned char)*scan->at)) {
        scan->at++;
    }
    return scan->at > start;
}

static bool scan_number(struct scan *scan)
{
    if (scan->at < scan->end && *scan->at == '-') {
        scan->at++;
    }
    const char *start = scan->at;
    if (!scan_digits(scan) || (*start == '0' && scan->at - start > 1)) {
        return false;
    }
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!scan_digits(scan)) {
            return false;
        }
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-')) {
            scan->at++;
        }
        return scan_digits(scan);
    }
    return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
    size_t bytes = strlen(word);
    if ((size_t)(scan->end - scan->at) < bytes || memcmp(scan->at, word, bytes) != 0) {
        return false;
    }
    scan->at += bytes;
    return true;
}

static bool scan_list(struct scan *scan, char opening, char closing)
{
    if (++scan->depth > WRITER_DEPTH_MAX || !scan_char(scan, opening)) {
        return false;
    }
    if (!scan_char(scan, closing)) {
        do {
            if (opening == '{' && (!scan_text(scan) || !scan_char(scan, ':'))) {
                return false;
            }
            if (!scan_value(scan)) {
                return false;
            }
        } while (scan_char(scan, ','));
        if (!scan_char(scan, closing)) {
            return false;
        }
    }
    scan->depth--;
    return true;
}

static bool scan_value(struct scan *scan)
{
    skip_space(scan);
    if (scan->at >= scan->end) {
        return false;
    }
    switch (*scan->at) {
    case '{':
        return scan_list(scan, '{', '}');
    case '[':
        return scan_list(scan, '[', ']');
    case '"':
        return scan_text(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        return scan_number(scan);
    }
}

bool json_is_valid(const char *text, size_t bytes)
{
    struct scan scan = {text, text + bytes, 0};
    if (!utf8_is_valid(text, bytes) || !scan_value(&scan)) {
        return false;
    }
    skip_space(&scan);
    return scan.at == scan.end;
}

static void write_seat(struct writer *json, const Engenho__Result *result)
{
    if (result->seat_pool[0] != '\0' || result->seat_waived) {
        writer_object(json, "seat");
        writer_text(json, "pool", result->seat_pool);
        writer_integer(json, "number", (int64_t)result->seat);
        writer_bool(json, "waived", result->seat_waived);
        writer_end(json);
    }
}

static void write_text(struct writer *json, const char *key, const char *text)
{
    if (text[0] != '\0') {
        writer_text(json, key, text);
    }
}

void results_write_json(struct writer *json, const char *key, const Engenho__Result *result)
{
    writer_object(json, key);
    writer_text(json, "execution", result->execution_id);
    writer_text(json, "agent", result->agent);
    write_text(json, "production", result->production);
    write_text(json, "application", result->application);
    writer_text(json, "trigger",
                label_of(&engenho__trigger_kind__descriptor, (int)result->trigger));
    writer_text(json, "outcome", label_of(&engenho__outcome__descriptor, (int)result->outcome));
    writer_instant(json, "timeEvent", result->time_event_us);
    writer_instant(json, "start", result->start_us);
    writer_instant(json, "end", result->end_us);
    writer_real(json, "elapsedSeconds",
                (double)(result->end_us - result->start_us) / (double)SECOND_US);
    writer_instant(json, "nominal", result->nominal_us);
    size_t bytes = strlen(result->result);
    if (bytes > 0 && json_is_valid(result->result, bytes)) {
        writer_raw(json, "result", result->result, bytes);
    } else {
        write_text(json, "result", result->result);
    }
    if (result->output.len > 0) {
        writer_bytes(json, "output", result->output.data, result->output.len);
    }
    if (result->output_truncated) {
        writer_bool(json, "outputTruncated", true);
    }
    write_text(json, "errorClass", result->error_class);
    write_text(json, "error", result->error);
    write_text(json, "traceback", result->traceback);
    writer_integer(json, "attempt", result->attempt > 0 ? result->attempt : 1);
    write_text(json, "orderingKey", result->ordering_key);
    write_text(json, "package", result->package);
    writer_integer(json, "packageVersion", (int64_t)result->package_version);
    write_text(json, "worker", result->worker);
    write_seat(json, result);
    writer_bool(json, "deadLetter", result->dead_letter);
    writer_end(json);
}

void package_version_write_json(struct writer *json, const char *key,
                                const Engenho__PackageVersion *version)
{
    char hex[65] = "";
    for (size_t i = 0; i < version->sha256.len && i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", version->sha256.data[i]);
    }
    writer_object(json, key);
    writer_integer(json, "version", (int64_t)version->version);
    writer_text(json, "sha256", hex);
    writer_integer(json, "sizeBytes", (int64_t)version->size_bytes);
    writer_text(json, "origin", version->origin);
    writer_text(json, "main", version->main);
    writer_text(json, "fileName", version->file_name);
    writer_instant(json, "createdAt", version->created_us);
    writer_text(json, "createdBy", version->created_by);
    writer_end(json);
}

/* The spec as its author wrote it, with `started` as it is now. */
static void write_spec(struct writer *json, const Engenho__Definition *definition)
{
    const char *spec = definition->spec_json;
    size_t bytes = strlen(spec);
    if (bytes < 2 || spec[0] != '{' ||
        definition->spec_case != ENGENHO__DEFINITION__SPEC_PRODUCTION) {
        writer_raw(json, "spec", bytes >= 2 ? spec : "{}", bytes >= 2 ? bytes : 2);
        return;
    }
    const char *started =
        definition->production->started ? "\"started\":true}" : "\"started\":false}";
    struct buf text;
    buf_init(&text, bytes + 32);
    if (buf_append(&text, spec, bytes - 1) == 0 &&
        (bytes == 2 || buf_append_text(&text, ",") == 0) && buf_append_text(&text, started) == 0) {
        writer_raw(json, "spec", (const char *)text.data, text.length);
    }
    buf_release(&text);
}

void definition_write_json(struct writer *json, const char *key, const struct catalog_entry *entry)
{
    const Engenho__Definition *definition = entry->definition;
    writer_object(json, key);
    writer_text(json, "kind", definition_kind_title(definition->kind));
    writer_text(json, "name", definition->name);
    writer_integer(json, "generation", (int64_t)entry->generation);
    writer_instant(json, "changedAt", definition->changed_us);
    writer_text(json, "changedBy", definition->changed_by);
    if (definition->spec_case == ENGENHO__DEFINITION__SPEC_PACKAGE) {
        writer_integer(json, "active", (int64_t)definition->package->active);
        writer_array(json, "versions");
        for (size_t i = 0; i < definition->package->n_versions; i++) {
            package_version_write_json(json, NULL, definition->package->versions[i]);
        }
        writer_end(json);
    } else {
        write_spec(json, definition);
    }
    if (definition->spec_case == ENGENHO__DEFINITION__SPEC_PRODUCTION) {
        writer_object(json, "status");
        writer_bool(json, "started", definition->production->started);
        writer_instant(json, "startedAt", definition->production->started_us);
        writer_text(json, "stoppedReason", definition->production->stopped_reason);
        writer_end(json);
    }
    writer_end(json);
}
