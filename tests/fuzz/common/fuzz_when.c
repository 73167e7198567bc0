/*
 * Any text as a condition: refused with a sentence, or compiled and evaluated.
 */
#include "common/when.h"

#include <math.h>

#include "tests/fuzz/fuzz.h"

static struct when_value look_up(void *context, enum when_name name, const char *member)
{
    (void)context;
    switch (name) {
    case WHEN_NAME_VALUE:
        return (struct when_value){.type = WHEN_NUMBER, .number = 100.5};
    case WHEN_NAME_PREVIOUS:
        return (struct when_value){.type = WHEN_NUMBER, .number = NAN};
    case WHEN_NAME_QUALITY:
        return (struct when_value){.type = WHEN_INTEGER, .integer = INT64_MIN};
    case WHEN_NAME_TIMESTAMP:
        return (struct when_value){.type = WHEN_INTEGER, .integer = INT64_C(1769860800000000)};
    case WHEN_NAME_PAYLOAD:
        REQUIRE(member && member[0]);
        return (struct when_value){.type = WHEN_TEXT, .text = member, .text_bytes = strlen(member)};
    case WHEN_NAME_FIELDS:
        REQUIRE(member && member[0]);
        return (struct when_value){.type = WHEN_NULL};
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = fuzz_text(data, bytes);
    struct error error = {.text = ""};
    struct when *when = when_new(text, &error);
    if (when) {
        bool first = when_holds(when, look_up, NULL);
        REQUIRE(first == when_holds(when, look_up, NULL));
    } else {
        REQUIRE(error.text[0]);
    }
    when_free(when);
    free(text);
    return 0;
}
