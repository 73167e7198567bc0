/*
 * Answers written by hand are what protobuf-c reads.
 */
/* clang-format off: cmocka.h needs the others before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/random.h"
#include "worker/interpreter/answer.h"

static Engenho__ToWorker *round_trip(const Engenho__Finished *finished)
{
    size_t bytes_max = answer_bytes_max(finished);
    uint8_t *packed = malloc(bytes_max);
    assert_non_null(packed);
    size_t bytes = answer_pack(finished, packed);
    assert_true(bytes <= bytes_max);
    Engenho__ToWorker *message = engenho__to_worker__unpack(NULL, bytes, packed);
    assert_non_null(message);
    assert_int_equal(message->n_answers, 1);
    free(packed);
    return message;
}

static void assert_same(const Engenho__Finished *one, const Engenho__Finished *two)
{
    size_t bytes = engenho__finished__get_packed_size(one);
    assert_int_equal(bytes, engenho__finished__get_packed_size(two));
    uint8_t *first = memory_new(1, bytes + 1);
    uint8_t *second = memory_new(1, bytes + 1);
    engenho__finished__pack(one, first);
    engenho__finished__pack(two, second);
    assert_memory_equal(first, second, bytes);
    free(first);
    free(second);
}

static void an_answer_with_everything_is_read_back(void **state)
{
    (void)state;
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    finished.number = UINT64_MAX;
    finished.outcome = ENGENHO__OUTCOME__OUTCOME_SKIPPED;
    finished.start_us = -1;
    finished.end_us = INT64_MAX;
    finished.result = (char *)"{}";
    finished.output.data = (uint8_t *)(uintptr_t) "printed";
    finished.output.len = 7;
    finished.output_truncated = true;
    finished.error_class = (char *)"ValueError";
    finished.error = (char *)"why";
    finished.traceback = (char *)"where";
    finished.not_retryable = true;
    finished.user_cache_changed = true;
    finished.user_cache_json = (char *)"{\"a\":1}";
    finished.last_executed_changed = true;
    finished.last_executed_json = (char *)"[]";
    Engenho__ToWorker *message = round_trip(&finished);
    assert_same(&finished, message->answers[0]);
    engenho__to_worker__free_unpacked(message, NULL);
}

static void an_empty_answer_is_one_too(void **state)
{
    (void)state;
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    Engenho__ToWorker *message = round_trip(&finished);
    assert_same(&finished, message->answers[0]);
    engenho__to_worker__free_unpacked(message, NULL);
}

static void answers_of_any_length_fit_where_their_header_grows(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 3);
    for (int round = 0; round < 300; round++) {
        size_t bytes = round < 200 ? (size_t)round : (size_t)random_below(&random, 3 * 1024 * 1024);
        char *text = memory_new(1, bytes + 1);
        memset(text, 'x', bytes);
        Engenho__Finished finished = ENGENHO__FINISHED__INIT;
        finished.number = 1;
        finished.result = text;
        Engenho__ToWorker *message = round_trip(&finished);
        assert_int_equal(strlen(message->answers[0]->result), bytes);
        engenho__to_worker__free_unpacked(message, NULL);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_with_everything_is_read_back),
        cmocka_unit_test(an_empty_answer_is_one_too),
        cmocka_unit_test(answers_of_any_length_fit_where_their_header_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
