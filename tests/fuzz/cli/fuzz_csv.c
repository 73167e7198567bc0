/*
 * Any bytes as a CSV file: its records are read to the end or to an error, and every field is text
 * within the record.
 */
#include "cli/csv.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct csv csv;
    uint64_t line = 0;
    int got;
    csv_init(&csv, (const char *)data, bytes);
    while ((got = csv_next(&csv)) == 1) {
        REQUIRE(csv.field_count >= 1 && csv.field_count <= CSV_FIELDS_MAX);
        REQUIRE(csv.line > line);
        line = csv.line;
        for (size_t i = 0; i < csv.field_count; i++) {
            const char *field = csv_field(&csv, i);
            REQUIRE((const uint8_t *)field + strlen(field) < csv.text.data + csv.text.length);
            (void)csv_is_json_number(field);
        }
    }
    REQUIRE(got <= 0);
    csv_release(&csv);
    return 0;
}
