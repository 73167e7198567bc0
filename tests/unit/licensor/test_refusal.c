/*
 * Refusals and explanations in words.
 */
#include "tests/unit/licensor/unit.h"

#include <stdio.h>

#include "licensor/explain.h"
#include "licensor/refusal.h"

static struct store_answer refused(enum store_reason reason, const char *pool, uint32_t in_use,
                                   uint32_t limit)
{
    struct store_answer answer = {.word = STORE_REFUSED, .reason = reason, .full_count = 1};
    snprintf(answer.full[0].pool, sizeof(answer.full[0].pool), "%s", pool);
    answer.full[0].in_use = in_use;
    answer.full[0].limit = limit;
    return answer;
}

static void a_full_pool_is_named_with_its_limit(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct store_answer answer = refused(STORE_POOL_LIMIT, "productions", 100, 100);
    struct refusal_text text;
    refusal_write(&answer, &limits, &text);
    assert_string_equal(text.en, "licence limit reached: pool productions, 100 of 100 in use");
    assert_memory_equal(text.pt, "Excedeu o número de licenças",
                        strlen("Excedeu o número de licenças"));
    snprintf(limits.contact, sizeof(limits.contact), "sales@example.org");
    refusal_write(&answer, &limits, &text);
    assert_string_equal(
        text.en,
        "licence limit reached: pool productions, 100 of 100 in use; contact: sales@example.org");
}

static void every_pool_of_a_chain_is_named(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    struct store_answer answer = refused(STORE_POOL_LIMIT, "requests", 4, 4);
    answer.full[1] = (struct store_full){.pool = "full", .in_use = 2, .limit = 2};
    answer.full_count = 2;
    struct refusal_text text;
    refusal_write(&answer, &limits, &text);
    assert_string_equal(
        text.en, "licence limit reached: pool requests, 4 of 4 in use; pool full, 2 of 2 in use");
}

static void every_reason_has_both_languages(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    for (enum store_reason reason = STORE_NO_KEY; reason <= STORE_BAD_REQUEST; reason++) {
        struct store_answer answer = refused(reason, "requests", 1, 1);
        struct refusal_text text;
        refusal_write(&answer, &limits, &text);
        assert_true(strlen(text.en) > 10);
        assert_true(strlen(text.pt) > 10);
        assert_string_not_equal(text.en, text.pt);
    }
}

static void a_long_chain_does_not_overflow_the_text(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    memset(limits.contact, 'c', sizeof(limits.contact) - 1);
    struct store_answer answer = refused(STORE_POOL_LIMIT, "p", 1, 1);
    answer.full_count = CHAIN_POOLS_MAX;
    for (size_t i = 0; i < CHAIN_POOLS_MAX; i++) {
        memset(answer.full[i].pool, 'p', POOL_BYTES_MAX);
        answer.full[i].pool[POOL_BYTES_MAX] = '\0';
        answer.full[i].in_use = answer.full[i].limit = UINT32_MAX;
    }
    struct refusal_text text;
    refusal_write(&answer, &limits, &text);
    assert_true(strlen(text.en) < REFUSAL_BYTES);
    assert_true(strlen(text.pt) < REFUSAL_BYTES);
}

static void a_seat_is_explained_by_what_was_there(void **state)
{
    (void)state;
    struct limits limits;
    limits_init(&limits);
    char text[EXPLANATION_BYTES];
    struct store_story story = {.word = "reused",
                                .name = "w1",
                                .pool = "full",
                                .requested = "requests",
                                .number = 1,
                                .token = 9,
                                .in_use = 2,
                                .limit = 3};
    explain_write("s:1", &story, &limits, text);
    assert_non_null(strstr(text, "L1 of pool full"));
    assert_non_null(strstr(text, "escalated from pool requests"));
    assert_non_null(strstr(text, "freed with life left"));
    struct store_story no = {.word = "refused",
                             .name = "w1",
                             .pool = "full",
                             .reason = STORE_POOL_LIMIT,
                             .in_use = 3,
                             .limit = 3};
    explain_write("s:2", &no, &limits, text);
    assert_non_null(strstr(text, "was refused"));
    assert_non_null(strstr(text, "pool full, 3 of 3 in use"));
}

static void holders_of_a_full_pool_are_named_and_the_rest_counted(void **state)
{
    (void)state;
    static struct store_seat_row seats[40];
    static struct store_processor_row processor = {.session = "s", .name = "w1"};
    struct store_answer list = {.seats = seats,
                                .seats_count = ARRAY_SIZE(seats),
                                .processors = &processor,
                                .processors_count = 1};
    char text[EXPLANATION_BYTES] = "refused";
    for (size_t i = 0; i < ARRAY_SIZE(seats); i++) {
        snprintf(seats[i].state, sizeof(seats[i].state), "%s", i == 0 ? "queued" : "busy");
        snprintf(seats[i].session, sizeof(seats[i].session), "%s", i == 2 ? "gone" : "s");
        memset(seats[i].production, 'p', NAME_BYTES_MAX); /* the longest */
        seats[i].number = i;
    }
    explain_holders(&list, text);
    assert_non_null(strstr(text, "refused; now held: L1 by w1 for ppp"));
    assert_non_null(strstr(text, ", L2 by a processor that is gone for ppp"));
    assert_null(strstr(text, "L0"));
    assert_null(strstr(text, "L6"));
    assert_string_equal(text + strlen(text) - strlen(", and 34 more"), ", and 34 more");
    /* However long the text is already: nothing is written behind its end. */
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    explain_holders(&list, text);
    assert_int_equal(strlen(text), sizeof(text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holders_of_a_full_pool_are_named_and_the_rest_counted),
        cmocka_unit_test(a_full_pool_is_named_with_its_limit),
        cmocka_unit_test(every_pool_of_a_chain_is_named),
        cmocka_unit_test(every_reason_has_both_languages),
        cmocka_unit_test(a_long_chain_does_not_overflow_the_text),
        cmocka_unit_test(a_seat_is_explained_by_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
