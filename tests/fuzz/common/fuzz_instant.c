/*
 * Any text as a duration, an instant, an address and an agent's name: what is read comes back when
 * printed.
 */
#include <stdio.h>

#include "common/address.h"
#include "common/duration.h"
#include "common/names.h"
#include "tests/fuzz/fuzz.h"

static void try_duration(const char *text)
{
    int64_t us, again;
    if (!duration_parse(text, &us)) {
        char printed[DURATION_TEXT_BYTES];
        REQUIRE(us >= 0);
        duration_print(us, printed);
        REQUIRE(!duration_parse(printed, &again) && again == us);
    }
}

static void try_instant(const char *text)
{
    int64_t us, again;
    if (!instant_parse(text, &us)) {
        char printed[INSTANT_TEXT_BYTES];
        instant_print(us, printed);
        /*
         * An offset may move the year below 0 or past 9999, which has no text that is read again.
         */
        if (printed[0] != '-' && printed[4] == '-') {
            REQUIRE(!instant_parse(printed, &again) && again == us);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = fuzz_text(data, bytes);
    try_duration(text);
    try_instant(text);
    struct address address;
    struct error error;
    if (!address_parse(text, &address, &error)) {
        REQUIRE(address.host[0]);
    }
    if (name_is_agent(text)) {
        REQUIRE(name_is_valid(text));
    }
    free(text);
    return 0;
}
