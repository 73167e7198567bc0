/*
 * The rules on the memory store: the traces T1 to T6 of the 30-second rule, and what the simulation
 * reaches rarely.
 */
#include "tests/unit/licensor/unit.h"

#define START INT64_C(1767225600000)

static void allow(struct memory *memory, uint32_t keys, uint32_t productions, uint32_t cap)
{
    struct pool_limit pools[] = {{.pool = "productions", .cap = cap},
                                 {.pool = "requests", .cap = cap}};
    struct store_request limits = {.verb = STORE_LIMITS};
    limits.limits.keys = keys;
    limits.limits.productions = productions;
    limits.limits.pools = pools;
    limits.limits.pools_count = 2;
    assert_int_equal(ask_store(memory, START, &limits).word, STORE_DONE);
}

static struct store_answer enrol(struct memory *memory, int64_t now_ms, const char *name,
                                 const char *session)
{
    struct store_request request = {.verb = STORE_REGISTER, .session = session, .lease_ms = 30000};
    request.who.name = name;
    request.who.agent = "default";
    request.who.host = "host";
    request.who.version = "1";
    request.who.connection = name;
    request.who.old_session = "";
    request.who.pid = 7;
    return ask_store(memory, now_ms, &request);
}

static struct store_answer acquire(struct memory *memory, int64_t now_ms, const char *session,
                                   const char *id)
{
    static const char *const pools[] = {"requests"};
    struct store_request request = {.verb = STORE_ACQUIRE,
                                    .session = session,
                                    .request = id,
                                    .reuse_ms = 30000,
                                    .memo_ms = 60000};
    request.ask.use = SEAT_REQUEST;
    request.ask.production = "";
    request.ask.user = "";
    request.ask.pools = pools;
    request.ask.pools_count = 1;
    request.ask.line_max = 10;
    return ask_store(memory, now_ms, &request);
}

static struct store_answer let_go(struct memory *memory, int64_t now_ms, const char *session,
                                  const struct store_grant *grant)
{
    struct store_request request = {.verb = STORE_RELEASE,
                                    .session = session,
                                    .request = grant->request,
                                    .token = grant->token,
                                    .memo_ms = 60000};
    return ask_store(memory, now_ms, &request);
}

struct seat_of_trace {
    int64_t taken_ms, freed_ms;
    uint64_t number;
    bool reused;
};

static uint32_t used_now;

static void keep_used(void *context, const struct store_answer *answer)
{
    (void)context;
    used_now = answer->pools[0].in_use + answer->pools[0].queued;
}

static void run_trace(const struct seat_of_trace *seats, size_t count, uint32_t used)
{
    struct memory *memory = memory_store_new();
    struct store_grant grants[4] = {0};
    allow(memory, 1, 10, 10);
    enrol(memory, START, "w1", "s1");
    for (int64_t ms = 0; ms <= 41000; ms++) {
        for (size_t i = 0; i < count; i++) {
            if (seats[i].freed_ms == ms) {
                assert_int_equal(let_go(memory, START + ms, "s1", &grants[i]).word, STORE_RELEASED);
            }
        }
        for (size_t i = 0; i < count; i++) {
            if (seats[i].taken_ms != ms) {
                continue;
            }
            static const char *const ids[] = {"s1:1", "s1:2", "s1:3", "s1:4"};
            struct store_answer answer = acquire(memory, START + ms, "s1", ids[i]);
            assert_int_equal(answer.word, STORE_GRANTED);
            assert_int_equal(answer.grant.number, seats[i].number);
            assert_int_equal(answer.grant.reused, seats[i].reused);
            grants[i] = answer.grant;
            if (i + 1 == count) {
                struct store_request list = {.verb = STORE_LIST, .pool = "requests"};
                store_submit(memory_store(memory), &list, keep_used, NULL);
                assert_int_equal(used_now, used);
            }
        }
    }
    memory_store_free(memory);
}

#define TRACE(name, used, ...)                                                                     \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        static const struct seat_of_trace seats[] = {__VA_ARGS__};                                 \
        run_trace(seats, ARRAY_SIZE(seats), used);                                                 \
    }

TRACE(t1_the_manuals_example, 2, {0, 2000, 1, false}, {10000, 12000, 1, true},
      {31000, 36000, 2, false}, {32000, 37000, 3, false})
TRACE(t2_overlap, 3, {0, 2000, 1, false}, {10000, 14000, 1, true}, {11000, 16000, 2, false},
      {12000, 17000, 3, false})
TRACE(t3_long_second, 2, {0, 2000, 1, false}, {10000, 33000, 1, true}, {34000, 39000, 2, false},
      {35000, 40000, 3, false})
TRACE(t4_in_time, 2, {0, 2000, 1, false}, {10000, 12000, 1, true}, {20000, 25000, 1, true},
      {21000, 26000, 2, false})
TRACE(t5_the_edge_is_too_late, 1, {0, 2000, 1, false}, {30000, 35000, 2, false})
TRACE(t6_a_millisecond_before_the_edge_is_in_time, 1, {0, 2000, 1, false}, {29999, 35000, 1, true})

static void a_queued_seat_never_causes_a_refusal(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 1, 10, 1);
    enrol(memory, START, "w1", "s1");
    struct store_answer first = acquire(memory, START, "s1", "s1:1");
    assert_int_equal(acquire(memory, START, "s1", "s1:2").reason, STORE_POOL_LIMIT);
    let_go(memory, START + 1, "s1", &first.grant);
    struct store_answer again = acquire(memory, START + 2, "s1", "s1:3");
    assert_int_equal(again.word, STORE_GRANTED);
    assert_true(again.grant.reused);
    assert_true(again.grant.token > first.grant.token);
    memory_store_free(memory);
}

static void a_refusal_says_what_is_full_and_is_repeated_as_it_was(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 1, 10, 0);
    enrol(memory, START, "w1", "s1");
    for (int times = 0; times < 2; times++) {
        struct store_answer answer = acquire(memory, START, "s1", "s1:1");
        assert_int_equal(answer.reason, STORE_POOL_LIMIT);
        assert_int_equal(answer.full_count, 1);
        assert_string_equal(answer.full[0].pool, "requests");
        allow(memory, 1, 10, 1);
    }
    assert_int_equal(acquire(memory, START + 60001, "s1", "s1:1").word, STORE_GRANTED);
    memory_store_free(memory);
}

static void the_second_processor_needs_a_second_key(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 1, 10, 1);
    assert_int_equal(enrol(memory, START, "w1", "s1").slot, 0);
    struct store_answer refused = enrol(memory, START, "w2", "s2");
    assert_int_equal(refused.reason, STORE_NO_KEY);
    allow(memory, 2, 10, 1);
    assert_int_equal(enrol(memory, START, "w2", "s2").slot, 1);
    memory_store_free(memory);
}

static void a_name_is_in_use_for_ten_seconds_after_a_heartbeat(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 2, 10, 1);
    enrol(memory, START, "w1", "s1");
    struct store_answer refused = enrol(memory, START + 9999, "w1", "s2");
    assert_int_equal(refused.reason, STORE_NAME_IN_USE);
    assert_string_equal(refused.host, "host");
    assert_int_equal(refused.pid, 7);
    struct store_answer taken = enrol(memory, START + 10000, "w1", "s2");
    assert_int_equal(taken.word, STORE_REGISTERED);
    assert_int_equal(taken.slot, 0);
    assert_int_equal(acquire(memory, START + 10000, "s1", "s1:1").reason, STORE_UNKNOWN_SESSION);
    memory_store_free(memory);
}

static struct store_request registration(const char *session, const char *old_session,
                                         int64_t began_us, uint64_t sequence)
{
    struct store_request request = {.verb = STORE_REGISTER, .session = session, .lease_ms = 30000};
    request.who.name = "w1";
    request.who.agent = "default";
    request.who.host = "host";
    request.who.version = "1";
    request.who.connection = session;
    request.who.old_session = old_session;
    request.who.began_us = began_us;
    request.who.sequence = sequence;
    return request;
}

/* The session goes on by another licensor and takes a seat; then what was sent before is read. */
static void a_late_registration_frees_nothing_of_a_session_that_goes_on(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 2, 10, 1);
    struct store_request first = registration("s1", "", 100, 1);
    struct store_request late = registration("x", "s1", 100, 2);
    struct store_request again = registration("y", "s1", 100, 3);
    assert_int_equal(ask_store(memory, START, &first).word, STORE_REGISTERED);
    assert_string_equal(ask_store(memory, START, &again).session, "s1");
    struct store_answer seat = acquire(memory, START, "s1", "s1:1");
    struct store_answer refused = ask_store(memory, START + 1, &late);
    assert_int_equal(refused.reason, STORE_LATE);
    assert_int_equal(acquire(memory, START + 1, "s1", "s1:2").reason, STORE_POOL_LIMIT);
    assert_int_equal(let_go(memory, START + 1, "s1", &seat.grant).word, STORE_RELEASED);
    memory_store_free(memory);
}

/* Its connection is gone and its name is free to whoever comes, but not to who came before. */
static void a_late_registration_takes_no_name_over(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 2, 10, 1);
    struct store_request one = registration("s1", "", 200, 1);
    struct store_request same_process = registration("s2", "", 200, 1);
    struct store_request dead_process = registration("s3", "s0", 100, 7);
    struct store_request next_process = registration("s4", "", 300, 1);
    assert_int_equal(ask_store(memory, START, &one).word, STORE_REGISTERED);
    struct store_answer seat = acquire(memory, START, "s1", "s1:1");
    assert_int_equal(seat.word, STORE_GRANTED);
    assert_int_equal(ask_store(memory, START + 20000, &same_process).reason, STORE_LATE);
    assert_int_equal(ask_store(memory, START + 20000, &dead_process).reason, STORE_LATE);
    assert_int_equal(ask_store(memory, START + 20000, &next_process).word, STORE_REGISTERED);
    assert_int_equal(let_go(memory, START + 20000, "s1", &seat.grant).reason, STORE_STALE);
    memory_store_free(memory);
}

static void a_heartbeat_of_the_connection_before_changes_nothing(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 2, 10, 1);
    struct store_request first = registration("s1", "", 100, 1);
    struct store_request again = registration("y", "s1", 100, 2);
    struct store_request next = registration("z", "", 200, 1);
    struct store_request late = {.verb = STORE_HEARTBEAT, .session = "s1", .lease_ms = 30000};
    struct store_request gone = {.verb = STORE_DISCONNECT, .session = "s1"};
    late.who.connection = gone.who.connection = "s1";
    late.who.sequence = 1;
    ask_store(memory, START, &first);
    ask_store(memory, START, &again);
    assert_int_equal(ask_store(memory, START + 1, &late).reason, STORE_LATE);
    ask_store(memory, START + 1, &gone);
    assert_int_equal(ask_store(memory, START + 2, &next).reason, STORE_NAME_IN_USE);
    memory_store_free(memory);
}

/* The process ended and the next one has the name: what the first one's connection said ends
 * nothing. */
static void a_late_goodbye_or_end_of_a_connection_ends_nothing_of_the_next_process(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 2, 10, 1);
    struct store_request first = registration("s1", "", 100, 1);
    struct store_request next = registration("s2", "", 200, 1);
    struct store_request other = registration("s3", "", 300, 1);
    struct store_request goodbye = {.verb = STORE_GOODBYE, .session = "s1"};
    struct store_request gone = {.verb = STORE_DISCONNECT, .session = "s1"};
    gone.who.connection = "s1";
    ask_store(memory, START, &first);
    assert_int_equal(ask_store(memory, START + 10000, &next).word, STORE_REGISTERED);
    struct store_answer seat = acquire(memory, START + 10000, "s2", "s2:1");
    assert_int_equal(ask_store(memory, START + 10001, &goodbye).reason, STORE_UNKNOWN_SESSION);
    ask_store(memory, START + 10001, &gone);
    assert_int_equal(ask_store(memory, START + 10001, &other).reason, STORE_NAME_IN_USE);
    assert_int_equal(let_go(memory, START + 10001, "s2", &seat.grant).word, STORE_RELEASED);
    memory_store_free(memory);
}

static void tick_with(struct memory *memory, int64_t now_ms, int64_t lease_ms)
{
    struct store_request request = {.verb = STORE_TICK, .lease_ms = lease_ms, .reuse_ms = 30000};
    ask_store(memory, now_ms, &request);
}

static void tick(struct memory *memory, int64_t now_ms)
{
    tick_with(memory, now_ms, 30000);
}

static void nobody_dies_while_nobody_ticked(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 1, 10, 1);
    tick(memory, START);
    enrol(memory, START, "w1", "s1");
    tick(memory, START + 600000);
    assert_int_equal(acquire(memory, START + 600000, "s1", "s1:1").word, STORE_GRANTED);
    for (int64_t ms = 601000; ms <= 630000; ms += 1000) {
        tick(memory, START + ms);
    }
    assert_int_equal(acquire(memory, START + 630000, "s1", "s1:2").reason, STORE_UNKNOWN_SESSION);
    memory_store_free(memory);
}

/* A store that was away for `away_ms`, when a session of `lease_ms` had just sent its heartbeat. */
static bool outlives(int64_t lease_ms, int64_t away_ms)
{
    struct memory *memory = memory_store_new();
    allow(memory, 1, 10, 1);
    tick_with(memory, START, lease_ms);
    struct store_request request = {
        .verb = STORE_REGISTER, .session = "s1", .lease_ms = lease_ms, .who.name = "w1"};
    request.who.agent = request.who.host = request.who.version = request.who.connection = "x";
    request.who.old_session = "";
    assert_int_equal(ask_store(memory, START, &request).word, STORE_REGISTERED);
    tick_with(memory, START + away_ms, lease_ms);
    bool lives = acquire(memory, START + away_ms, "s1", "s1:1").word == STORE_GRANTED;
    /* and it is reaped one lease later, with ticks each second */
    for (int64_t ms = 1000; ms <= lease_ms + 1000; ms += 1000) {
        tick_with(memory, START + away_ms + ms, lease_ms);
    }
    assert_int_equal(acquire(memory, START + away_ms + lease_ms + 1000, "s1", "s1:2").reason,
                     STORE_UNKNOWN_SESSION);
    memory_store_free(memory);
    return lives;
}

static void a_session_outlives_an_absence_of_the_store_however_short_its_lease_is(void **state)
{
    (void)state;
    static const int64_t leases_ms[] = {3000, 4000, 5000, 8000, 15000, 30000, 3600000};
    for (size_t i = 0; i < ARRAY_SIZE(leases_ms); i++) {
        for (int64_t away_ms = 500; away_ms <= 12000; away_ms += 100) {
            assert_true(outlives(leases_ms[i], away_ms));
        }
        assert_true(outlives(leases_ms[i], 2 * leases_ms[i]));
    }
}

static void lost_writes_stop_grants_for_one_lease(void **state)
{
    (void)state;
    struct memory *memory = memory_store_new();
    allow(memory, 1, 10, 1);
    enrol(memory, START, "w1", "s1");
    struct store_request hello = {.verb = STORE_HELLO, .highest_op = 1000, .lease_ms = 30000};
    struct store_answer answer = ask_store(memory, START, &hello);
    assert_true(answer.recovering);
    assert_int_equal(answer.op, 1000);
    assert_int_equal(acquire(memory, START, "s1", "s1:1").reason, STORE_RECOVERING);
    assert_int_equal(acquire(memory, START + 29999, "s1", "s1:1").reason, STORE_RECOVERING);
    assert_int_equal(acquire(memory, START + 30000, "s1", "s1:1").word, STORE_GRANTED);
    memory_store_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t1_the_manuals_example),
        cmocka_unit_test(t2_overlap),
        cmocka_unit_test(t3_long_second),
        cmocka_unit_test(t4_in_time),
        cmocka_unit_test(t5_the_edge_is_too_late),
        cmocka_unit_test(t6_a_millisecond_before_the_edge_is_in_time),
        cmocka_unit_test(a_queued_seat_never_causes_a_refusal),
        cmocka_unit_test(a_refusal_says_what_is_full_and_is_repeated_as_it_was),
        cmocka_unit_test(the_second_processor_needs_a_second_key),
        cmocka_unit_test(a_name_is_in_use_for_ten_seconds_after_a_heartbeat),
        cmocka_unit_test(a_late_registration_frees_nothing_of_a_session_that_goes_on),
        cmocka_unit_test(a_late_registration_takes_no_name_over),
        cmocka_unit_test(a_heartbeat_of_the_connection_before_changes_nothing),
        cmocka_unit_test(a_late_goodbye_or_end_of_a_connection_ends_nothing_of_the_next_process),
        cmocka_unit_test(nobody_dies_while_nobody_ticked),
        cmocka_unit_test(a_session_outlives_an_absence_of_the_store_however_short_its_lease_is),
        cmocka_unit_test(lost_writes_stop_grants_for_one_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
