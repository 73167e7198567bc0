/*
 * Any text as an execution id: what is read is printed the same, byte by byte.
 */
#include "common/execution_id.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = fuzz_text(data, bytes);
    struct execution_id id;
    if (!execution_id_parse(text, &id)) {
        char printed[EXECUTION_ID_BYTES_MAX];
        execution_id_print(id.agent, id.topic, id.partition, id.offset, id.production, printed);
        REQUIRE(!strcmp(printed, text));
    }
    free(text);
    return 0;
}
