/*
 * Any bytes as an event of others, in each form that headers can announce: refused with a reason,
 * or a well-formed Event.
 */
#include "worker/decode_json.h"

#include "tests/fuzz/fuzz.h"
#include "worker/event_view.h"

static void decode(const struct decode_header *headers, size_t count, const uint8_t *data,
                   size_t bytes)
{
    uint8_t *event = NULL;
    size_t event_bytes = 0;
    const char *reason = NULL;
    struct event_view view;
    int result = decode_json(headers, count, data, bytes, 1000000, &event, &event_bytes, &reason);
    if (result == 1) {
        REQUIRE(event_view_read(event, event_bytes, &view) == 0);
        free(event);
    } else {
        REQUIRE(result < 0 && reason != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct decode_header json[] = {{"content-type", "application/json", 16}};
    static const struct decode_header structured[] = {
        {"content-type", "application/cloudevents+json", 28}};
    static const struct decode_header binary[] = {{"content-type", "application/json", 16},
                                                  {"ce_specversion", "1.0", 3},
                                                  {"ce_id", "1", 1},
                                                  {"ce_source", "plant", 5},
                                                  {"ce_type", "t", 1},
                                                  {"ce_subject", "T1", 2}};
    decode(json, 1, data, bytes);
    decode(structured, 1, data, bytes);
    decode(binary, 6, data, bytes);
    return 0;
}
