/*
 * Executions as they stand in a frame: whatever the bytes, reading ends, and what it accepts lies
 * inside them.
 */
#include "tests/fuzz/fuzz.h"
#include "worker/interpreter/request.h"

static void require_inside(struct wire_span span, const uint8_t *data, size_t bytes)
{
    REQUIRE(span.bytes == 0 || (span.data >= data && span.data + span.bytes <= data + bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct request request;
    struct wire_span name = {0};
    struct wire_span json = {0};
    if (request_read((struct wire_span){data, bytes}, &request) < 0) {
        return 0;
    }
    require_inside(request.event, data, bytes);
    require_inside(request.execution_id, data, bytes);
    require_inside(request.user_cache, data, bytes);
    require_inside(request.last_executed, data, bytes);
    size_t good = 0;
    while (good < request.parameter_count && request_parameter(&request, good, &name, &json) == 1) {
        require_inside(name, data, bytes);
        require_inside(json, data, bytes);
        good++;
    }
    return 0;
}
