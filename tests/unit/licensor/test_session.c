/*
 * A connection's requests that wait.
 */
#include "tests/unit/licensor/unit.h"

#include "licensor/session.h"

static const uint8_t frame[] = {1, 2, 3};

static void a_grant_is_sent_once_to_who_waits(void **state)
{
    (void)state;
    struct session session = {0};
    struct store_grant grant = {.request = "s:1", .token = 5}, early;
    int64_t waited_us = 0;
    session_ask(&session, "s:1", frame, sizeof(frame), 100);
    assert_false(session_waits(&session, "s:1", &early));
    assert_true(session_granted(&session, &grant, 350, &waited_us));
    assert_int_equal(waited_us, 250);
    assert_false(session_granted(&session, &grant, 360, &waited_us));
    session_release(&session);
}

static void a_grant_before_its_answer_is_kept_for_it(void **state)
{
    (void)state;
    struct session session = {0};
    struct store_grant grant = {.request = "s:1", .token = 5}, early = {0};
    int64_t waited_us = 0;
    session_ask(&session, "s:1", frame, sizeof(frame), 100);
    assert_false(session_granted(&session, &grant, 110, &waited_us));
    assert_false(session_granted(&session, &grant, 110, &waited_us));
    assert_true(session_waits(&session, "s:1", &early));
    assert_int_equal(early.token, 5);
    assert_false(session_granted(&session, &grant, 120, &waited_us));
    session_release(&session);
}

static void a_grant_for_nobody_is_not_sent(void **state)
{
    (void)state;
    struct session session = {0};
    struct store_grant grant = {.request = "s:2", .token = 5};
    int64_t waited_us;
    assert_false(session_granted(&session, &grant, 1, &waited_us));
    session_ask(&session, "s:2", frame, sizeof(frame), 1);
    session_forget(&session, "s:2");
    session_forget(&session, "s:2");
    assert_false(session_granted(&session, &grant, 1, &waited_us));
    session_release(&session);
}

static void count_frame(void *context, const uint8_t *data, size_t bytes)
{
    assert_int_equal(bytes, sizeof(frame));
    assert_memory_equal(data, frame, bytes);
    ++*(unsigned *)context;
}

static void only_those_in_line_are_asked_again(void **state)
{
    (void)state;
    struct session session = {0};
    struct store_grant early;
    unsigned frames = 0;
    session_ask(&session, "s:1", frame, sizeof(frame), 1);
    session_ask(&session, "s:2", frame, sizeof(frame), 1);
    session_ask(&session, "s:2", frame, sizeof(frame), 2);
    assert_false(session_waits(&session, "s:2", &early));
    session_each_waiting(&session, count_frame, &frames);
    assert_int_equal(frames, 1);
    session_release(&session);
    session_release(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_is_sent_once_to_who_waits),
        cmocka_unit_test(a_grant_before_its_answer_is_kept_for_it),
        cmocka_unit_test(a_grant_for_nobody_is_not_sent),
        cmocka_unit_test(only_those_in_line_are_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
