/*
 * Requests as one packed array. Core of the Redis store: no hiredis here.
 */
#include "licensor/store/batch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "licensor/store/packed.h"
#include "licensor/store/words.h"

#define REQUESTS_BYTES_MAX (1024 * 1024)
#define HEADER_BYTES_MAX (64 * 1024)
#define HEADER_VALUES 5
#define NUMBER_DIGITS_MAX 15

void batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    buf_init(&batch->requests, REQUESTS_BYTES_MAX);
}

void batch_release(struct batch *batch)
{
    if (batch != NULL) {
        buf_release(&batch->requests);
    }
}

/* Asks ----------------------------------------------------------------------------------------- */

static bool is_same_ask(const struct batch_ask *ask, const struct store_request *request)
{
    if (ask->use != request->ask.use || ask->wait != request->ask.wait ||
        ask->pools_count != request->ask.pools_count) {
        return false;
    }
    for (size_t i = 0; i < ask->pools_count; i++) {
        if (strcmp(ask->pools[i], request->ask.pools[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* Returns the number of its ask, from 1; 0: it is another one. */
static size_t find_ask(const struct batch *batch, const struct store_request *request)
{
    for (size_t i = 0; i < batch->asks_count; i++) {
        if (is_same_ask(&batch->asks[i], request)) {
            return i + 1;
        }
    }
    return 0;
}

/* The same; another one is added, for there is room. */
static size_t get_ask(struct batch *batch, const struct store_request *request)
{
    size_t found = find_ask(batch, request);
    if (found != 0) {
        return found;
    }
    struct batch_ask *ask = &batch->asks[batch->asks_count++];
    ask->use = request->ask.use;
    ask->wait = request->ask.wait;
    ask->pools_count = request->ask.pools_count;
    for (size_t i = 0; i < ask->pools_count; i++) {
        snprintf(ask->pools[i], sizeof(ask->pools[i]), "%s", request->ask.pools[i]);
    }
    return batch->asks_count;
}

static int pack_ask(const struct batch_ask *ask, struct buf *out)
{
    int rc = pack_text(out, seat_use_word(ask->use));
    rc = rc != 0 ? rc : pack_number(out, ask->wait ? 1 : 0);
    rc = rc != 0 ? rc : pack_number(out, ask->pools_count);
    for (size_t i = 0; i < ask->pools_count && rc == 0; i++) {
        rc = pack_text(out, ask->pools[i]);
    }
    return rc;
}

/* Requests ------------------------------------------------------------------------------------- */

/* What the seat's record will hold of it: packed, as one text of the array. */
static int pack_texts(struct buf *out, const struct store_request *request)
{
    struct buf texts;
    buf_init(&texts, REQUESTS_BYTES_MAX);
    int rc = pack_text(&texts, seat_use_word(request->ask.use));
    rc = rc != 0 ? rc : pack_text(&texts, request->ask.production);
    rc = rc != 0 ? rc
                 : pack_text(&texts, ""); /* in a seat's record: of the first pool it asked for */
    rc = rc != 0 ? rc : pack_text(&texts, request->ask.user);
    rc = rc != 0 ? rc : pack_text_header(out, texts.length);
    rc = rc != 0 ? rc : buf_append(out, texts.data, texts.length);
    buf_release(&texts);
    return rc;
}

uint64_t batch_number_of(const char *session, const char *request)
{
    size_t bytes = strlen(session);
    const char *text = request + bytes;
    uint64_t number = 0;
    if (strncmp(request, session, bytes) != 0 || *text != ':' || text[1] == '0' ||
        strlen(text) > NUMBER_DIGITS_MAX + 1) {
        return 0;
    }
    while (*++text >= '0' && *text <= '9') {
        number = number * 10 + (uint64_t)(*text - '0');
    }
    return *text == '\0' ? number : 0;
}

/* The field in the session's hash that says who holds the production's seat. */
static int pack_holder(struct buf *out, const struct store_request *request)
{
    char text[NAME_BYTES_MAX + 3] = "";
    if (request->ask.use == SEAT_HELD) {
        snprintf(text, sizeof(text), "h %s", request->ask.production);
    }
    return pack_text(out, text);
}

static int pack_request(struct batch *batch, const struct store_request *request, size_t ask)
{
    struct buf *out = &batch->requests;
    int rc = pack_number(out, ask);
    rc = rc != 0 ? rc : pack_text(out, request->session);
    rc = rc != 0 ? rc : pack_text(out, request->request);
    if (request->verb == STORE_RELEASE) {
        batch->values += 4;
        return rc != 0 ? rc : pack_number(out, request->token);
    }
    batch->values += 6;
    rc = rc != 0 ? rc : pack_number(out, batch_number_of(request->session, request->request));
    rc = rc != 0 ? rc : pack_holder(out, request);
    return rc != 0 ? rc : pack_texts(out, request);
}

bool batch_fits(const struct batch *batch, const struct store_request *request)
{
    bool acquires = request->verb == STORE_ACQUIRE;
    if (batch->count == BATCH_REQUESTS_MAX ||
        (batch->count > 0 && batch->memo_ms != request->memo_ms)) {
        return false;
    }
    if (acquires && batch->acquires &&
        (batch->reuse_ms != request->reuse_ms || batch->line_max != request->ask.line_max)) {
        return false;
    }
    return !acquires || batch->asks_count < BATCH_ASKS_MAX || find_ask(batch, request) != 0;
}

int batch_add(struct batch *batch, const struct store_request *request)
{
    if (!batch_fits(batch, request)) {
        return -EAGAIN;
    }
    bool acquires = request->verb == STORE_ACQUIRE;
    batch->memo_ms = request->memo_ms;
    if (acquires) {
        batch->acquires = true;
        batch->reuse_ms = request->reuse_ms;
        batch->line_max = request->ask.line_max;
    }
    batch->count++;
    return pack_request(batch, request, acquires ? get_ask(batch, request) : 0);
}

static int pack_header(const struct batch *batch, struct buf *out)
{
    uint32_t values = HEADER_VALUES + batch->values;
    for (size_t i = 0; i < batch->asks_count; i++) {
        values += 3 + (uint32_t)batch->asks[i].pools_count;
    }
    int rc = pack_array_header(out, values);
    rc = rc != 0 ? rc : pack_number(out, (uint64_t)batch->reuse_ms);
    rc = rc != 0 ? rc : pack_number(out, (uint64_t)batch->memo_ms);
    rc = rc != 0 ? rc : pack_number(out, batch->line_max);
    rc = rc != 0 ? rc : pack_number(out, batch->tells ? 1 : 0);
    rc = rc != 0 ? rc : pack_number(out, batch->asks_count);
    for (size_t i = 0; i < batch->asks_count && rc == 0; i++) {
        rc = pack_ask(&batch->asks[i], out);
    }
    return rc;
}

int batch_pack(struct batch *batch, struct buf *out)
{
    int rc = pack_header(batch, out);
    rc = rc != 0 ? rc : buf_append(out, batch->requests.data, batch->requests.length);
    batch_release(batch);
    batch_init(batch);
    return rc;
}

int batch_write(struct batch *batch, const char *tenant, struct buf *out)
{
    struct buf packed;
    buf_init(&packed, REQUESTS_BYTES_MAX + HEADER_BYTES_MAX);
    struct words words;
    words_init(&words);
    words_call(&words, "batch", tenant);
    int rc = batch_pack(batch, &packed);
    if (rc == 0) {
        words_add_bytes(&words, packed.data, packed.length);
        rc = words_write(&words, out);
    }
    words_release(&words);
    buf_release(&packed);
    return rc;
}
