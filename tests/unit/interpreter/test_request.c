/*
 * Executions read in place are what protobuf-c packs, and no bytes from outside break the reading.
 */
/* clang-format off: cmocka.h needs the others before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/random.h"
#include "proto/interpreter.pb-c.h"
#include "worker/interpreter/request.h"

static uint8_t *pack(const Engenho__Execution *execution, struct wire_span *ret_message)
{
    size_t bytes = engenho__execution__get_packed_size(execution);
    /* Exactly as long as it is, so that a sanitizer sees a read past its end. */
    uint8_t *packed = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(packed);
    engenho__execution__pack(execution, packed);
    *ret_message = (struct wire_span){packed, bytes};
    return packed;
}

static void assert_span(struct wire_span span, const char *text)
{
    assert_int_equal(span.bytes, strlen(text));
    assert_memory_equal(span.data, text, span.bytes);
}

static void every_field_is_read_as_it_was_packed(void **state)
{
    (void)state;
    Engenho__Execution execution = ENGENHO__EXECUTION__INIT;
    Engenho__Parameter one = ENGENHO__PARAMETER__INIT;
    Engenho__Parameter two = ENGENHO__PARAMETER__INIT;
    Engenho__Parameter *parameters[] = {&one, &two};
    struct wire_span message;
    struct wire_span name;
    struct wire_span json;
    struct request request;
    one.name = (char *)"a";
    one.json = (char *)"[1]";
    two.name = (char *)"b";
    execution.number = UINT64_MAX;
    execution.code = 4000000000U;
    execution.execution_id = (char *)"default/events/0/1/p";
    execution.time_event_us = -5;
    execution.nominal_us = 7;
    execution.attempt = 3;
    execution.kind = ENGENHO__TRIGGER_KIND__TRIGGER_KIND_RETRY;
    execution.parameters = parameters;
    execution.n_parameters = 2;
    execution.user_cache_json = (char *)"{\"n\":1}";
    execution.last_executed_json = (char *)"{}";
    execution.event_bytes.data = (uint8_t *)(uintptr_t) "packed";
    execution.event_bytes.len = 6;
    uint8_t *packed = pack(&execution, &message);
    assert_int_equal(request_read(message, &request), 0);
    assert_true(request.number == UINT64_MAX);
    assert_true(request.code == 4000000000U);
    assert_true(request.time_us == -5);
    assert_int_equal(request.attempt, 3);
    assert_int_equal(request.kind, ENGENHO__TRIGGER_KIND__TRIGGER_KIND_RETRY);
    assert_span(request.execution_id, "default/events/0/1/p");
    assert_span(request.user_cache, "{\"n\":1}");
    assert_span(request.last_executed, "{}");
    assert_span(request.event, "packed");
    assert_int_equal(request.parameter_count, 2);
    assert_int_equal(request_parameter(&request, 0, &name, &json), 1);
    assert_span(name, "a");
    assert_span(json, "[1]");
    assert_int_equal(request_parameter(&request, 1, &name, &json), 1);
    assert_span(name, "b");
    assert_span(json, "");
    assert_int_equal(request_parameter(&request, 2, &name, &json), 0);
    free(packed);
}

static void a_decoded_event_is_the_bytes_it_was_packed_to(void **state)
{
    (void)state;
    Engenho__Execution execution = ENGENHO__EXECUTION__INIT;
    Engenho__Event event = ENGENHO__EVENT__INIT;
    struct wire_span message;
    struct request request;
    event.object = (char *)"Tank1";
    event.timestamp_us = 12;
    execution.event = &event;
    execution.nominal_us = 9;
    uint8_t *packed = pack(&execution, &message);
    assert_int_equal(request_read(message, &request), 0);
    assert_true(request.time_us == 9);
    assert_int_equal(request.attempt, 1);
    Engenho__Event *read = engenho__event__unpack(NULL, request.event.bytes, request.event.data);
    assert_non_null(read);
    assert_string_equal(read->object, "Tank1");
    engenho__event__free_unpacked(read, NULL);
    free(packed);
}

static void without_an_event_there_is_none(void **state)
{
    (void)state;
    struct request request;
    assert_int_equal(request_read((struct wire_span){NULL, 0}, &request), 0);
    assert_null(request.event.data);
    assert_int_equal(request.number, 0);
}

static void fields_of_tomorrow_are_passed_over(void **state)
{
    (void)state;
    /* 100: varint; 101: bytes; 102: fixed64; 103: fixed32; then number = 5. */
    static const uint8_t data[] = "\xa0\x06\x01\xaa\x06\x02xx\xb1\x06"
                                  "12345678"
                                  "\xbd\x06"
                                  "1234"
                                  "\x08\x05";
    struct request request;
    assert_int_equal(request_read((struct wire_span){data, sizeof(data) - 1}, &request), 0);
    assert_int_equal(request.number, 5);
}

static void cut_and_random_bytes_are_refused_or_read_never_worse(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 7);
    size_t refused = 0;
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)random_below(&random, 40);
        uint8_t *data = malloc(bytes > 0 ? bytes : 1);
        assert_non_null(data);
        for (size_t i = 0; i < bytes; i++) {
            data[i] = (uint8_t)random_next(&random);
        }
        struct request request;
        struct wire_span name;
        struct wire_span json;
        int result = request_read((struct wire_span){data, bytes}, &request);
        if (result == 0) {
            for (size_t i = 0; i <= request.parameter_count; i++) {
                (void)!request_parameter(&request, i, &name, &json);
            }
        } else {
            assert_int_equal(result, -EBADMSG);
            refused++;
        }
        free(data);
    }
    assert_true(refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_read_as_it_was_packed),
        cmocka_unit_test(a_decoded_event_is_the_bytes_it_was_packed_to),
        cmocka_unit_test(without_an_event_there_is_none),
        cmocka_unit_test(fields_of_tomorrow_are_passed_over),
        cmocka_unit_test(cut_and_random_bytes_are_refused_or_read_never_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
