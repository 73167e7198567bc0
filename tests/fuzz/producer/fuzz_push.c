/*
 * Bodies of POST /v1/events, in each of the three forms.
 */
#include "producer/document.h"
#include "producer/sources/push.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const enum push_format formats[] = {PUSH_OURS, PUSH_CLOUDEVENT, PUSH_CLOUDEVENTS};
    struct error error = {""};
    struct node *body;
    char *text = fuzz_text(data, bytes);
    if (document_parse_json(text, bytes, &body, &error) == 0) {
        for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
            struct push push;
            int index;
            if (push_read(body, formats[i], 1, &push, &index, &error) == 0) {
                for (size_t j = 0; j < push.count; j++) {
                    char *key = push_key(push.events[j]);
                    REQUIRE(strchr(key, '/') != NULL);
                    free(key);
                }
                push_release(&push);
            } else {
                REQUIRE(error.text[0] != '\0' && index >= -1);
            }
        }
        node_free(body);
    }
    free(text);
    return 0;
}
