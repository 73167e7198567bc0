/*
 * Rules of SEATS that a licence asks for, on the memory store: reservations, shared seats, caps
 * that are lowered, what was used in a minute. The simulation shows that Redis does the same.
 */
#include "tests/unit/licensor/unit.h"

#include <stdio.h>

#define START INT64_C(1767225600000)

struct plant {
    struct memory *memory;
    int64_t now_ms;
    struct pool_limit pools[2];
    uint32_t productions; /* of a processor */
};

static void allow(struct plant *plant)
{
    struct store_request limits = {.verb = STORE_LIMITS};
    limits.limits.keys = 10;
    limits.limits.productions = plant->productions;
    limits.limits.pools = plant->pools;
    limits.limits.pools_count = 2;
    assert_int_equal(ask_store(plant->memory, plant->now_ms, &limits).word, STORE_DONE);
}

static void enrol(struct plant *plant, const char *session, const char *agent)
{
    struct store_request request = {.verb = STORE_REGISTER, .session = session, .lease_ms = 30000};
    request.who.name = session;
    request.who.agent = agent;
    request.who.host = "host";
    request.who.version = "1";
    request.who.connection = session;
    request.who.old_session = "";
    assert_int_equal(ask_store(plant->memory, plant->now_ms, &request).word, STORE_REGISTERED);
}

static struct plant plant_of(uint32_t cap)
{
    struct plant plant = {.memory = memory_store_new(), .now_ms = START, .productions = 100};
    snprintf(plant.pools[0].pool, sizeof(plant.pools[0].pool), "productions");
    snprintf(plant.pools[1].pool, sizeof(plant.pools[1].pool), "full");
    plant.pools[0].cap = plant.pools[1].cap = cap;
    allow(&plant);
    enrol(&plant, "s1", "default");
    enrol(&plant, "s2", "critical");
    return plant;
}

/* A held seat for the production; `wait`: or a place in the line. */
static struct store_answer take(struct plant *plant, const char *session, const char *id,
                                const char *production, bool wait)
{
    static const char *const pools[] = {"productions"};
    struct store_request request = {.verb = STORE_ACQUIRE,
                                    .session = session,
                                    .request = id,
                                    .reuse_ms = 30000,
                                    .memo_ms = 60000};
    request.ask.use = SEAT_HELD;
    request.ask.production = production;
    request.ask.user = "";
    request.ask.pools = pools;
    request.ask.pools_count = 1;
    request.ask.line_max = 10;
    request.ask.wait = wait;
    return ask_store(plant->memory, plant->now_ms, &request);
}

static struct store_answer let_go(struct plant *plant, const struct store_answer *granted)
{
    struct store_request request = {.verb = STORE_RELEASE,
                                    .session = granted->grant.session,
                                    .request = granted->grant.request,
                                    .token = granted->grant.token,
                                    .memo_ms = 60000};
    return ask_store(plant->memory, plant->now_ms, &request);
}

static void tick(struct plant *plant)
{
    struct store_request request = {
        .verb = STORE_TICK, .lease_ms = 30000, .reuse_ms = 30000, .memo_ms = 60000};
    struct store_holder holders[] = {
        {.pool = "productions", .processor = "w1", .production = "p1", .granted = 2}};
    request.holders = holders;
    request.holders_count = 1;
    ask_store(plant->memory, plant->now_ms, &request);
}

static uint32_t in_use, queued, waiting;

static void keep_pool(void *context, const struct store_answer *answer)
{
    (void)context;
    in_use = answer->pools[0].in_use;
    queued = answer->pools[0].queued;
    waiting = answer->pools[0].waiting;
}

static void look(struct plant *plant)
{
    struct store_request list = {.verb = STORE_LIST, .pool = "productions"};
    memory_store_set_now(plant->memory, plant->now_ms);
    store_submit(memory_store(plant->memory), &list, keep_pool, NULL);
}

static void others_never_take_a_reserved_seat(void **state)
{
    (void)state;
    struct plant plant = plant_of(3);
    plant.pools[0].reserved[0] = (struct reservation){.agent = "critical", .seats = 2};
    plant.pools[0].reserved_count = 1;
    allow(&plant);
    assert_int_equal(take(&plant, "s1", "s1:1", "p1", false).word, STORE_GRANTED);
    assert_int_equal(take(&plant, "s1", "s1:2", "p2", false).reason, STORE_POOL_LIMIT);
    struct store_answer reserved = take(&plant, "s2", "s2:1", "p1", false);
    assert_int_equal(reserved.word, STORE_GRANTED);
    assert_int_equal(take(&plant, "s2", "s2:2", "p2", false).word, STORE_GRANTED);
    assert_int_equal(take(&plant, "s2", "s2:3", "p3", false).reason, STORE_POOL_LIMIT);
    /* given back it is queued, and still reserved */
    let_go(&plant, &reserved);
    look(&plant);
    assert_int_equal(queued, 1);
    assert_int_equal(take(&plant, "s1", "s1:3", "p3", false).reason, STORE_POOL_LIMIT);
    assert_true(take(&plant, "s2", "s2:4", "p4", false).grant.reused);
    memory_store_free(plant.memory);
}

static void who_has_a_reserved_seat_passes_those_who_have_none(void **state)
{
    (void)state;
    struct plant plant = plant_of(2);
    plant.pools[0].reserved[0] = (struct reservation){.agent = "critical", .seats = 1};
    plant.pools[0].reserved_count = 1;
    allow(&plant);
    struct store_answer first = take(&plant, "s1", "s1:1", "p1", false);
    assert_int_equal(take(&plant, "s1", "s1:2", "p2", true).word, STORE_WAITING);
    assert_int_equal(take(&plant, "s2", "s2:1", "p1", true).word, STORE_GRANTED);
    let_go(&plant, &first);
    look(&plant);
    assert_int_equal(in_use, 2); /* it went to who waited */
    memory_store_free(plant.memory);
}

static void productions_of_a_processor_share_a_seat_where_the_holder_is_the_pool(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    plant.pools[0].shared = true;
    allow(&plant);
    struct store_answer first = take(&plant, "s1", "s1:1", "p1", false);
    struct store_answer second = take(&plant, "s1", "s1:2", "p2", false);
    assert_false(first.grant.waived);
    assert_true(second.grant.waived);
    assert_int_equal(second.grant.token, first.grant.token);
    assert_int_equal(take(&plant, "s2", "s2:1", "p1", false).reason, STORE_POOL_LIMIT);
    assert_false(let_go(&plant, &first).queued); /* the second production still runs on it */
    look(&plant);
    assert_int_equal(in_use, 1);
    assert_true(let_go(&plant, &second).queued);
    assert_int_equal(take(&plant, "s2", "s2:2", "p1", false).word, STORE_GRANTED);
    memory_store_free(plant.memory);
}

static void productions_that_share_a_seat_count_for_the_edition(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    plant.pools[0].shared = true;
    plant.productions = 2;
    allow(&plant);
    struct store_answer first = take(&plant, "s1", "s1:1", "p1", false);
    assert_int_equal(take(&plant, "s1", "s1:2", "p2", false).word, STORE_GRANTED);
    struct store_answer refused = take(&plant, "s1", "s1:3", "p3", false);
    assert_int_equal(refused.reason, STORE_EDITION_LIMIT);
    assert_int_equal(refused.full[0].in_use, 2);
    let_go(&plant, &first);
    assert_true(take(&plant, "s1", "s1:4", "p3", false).grant.waived);
    memory_store_free(plant.memory);
}

static void a_cap_below_what_is_in_use_takes_nothing_away(void **state)
{
    (void)state;
    struct plant plant = plant_of(3);
    struct store_answer taken[3];
    static const char *const ids[] = {"s1:1", "s1:2", "s1:3"};
    static const char *const names[] = {"p1", "p2", "p3"};
    for (size_t i = 0; i < 3; i++) {
        taken[i] = take(&plant, "s1", ids[i], names[i], false);
    }
    plant.pools[0].cap = 1;
    allow(&plant);
    look(&plant);
    assert_int_equal(in_use, 3);
    struct store_answer refused = take(&plant, "s2", "s2:1", "p1", false);
    assert_int_equal(refused.reason, STORE_POOL_LIMIT);
    assert_int_equal(refused.full[0].in_use, 3);
    assert_int_equal(refused.full[0].limit, 1);
    let_go(&plant, &taken[0]);
    let_go(&plant, &taken[1]);
    assert_int_equal(take(&plant, "s2", "s2:2", "p1", false).reason, STORE_POOL_LIMIT);
    let_go(&plant, &taken[2]);
    assert_int_equal(take(&plant, "s2", "s2:3", "p1", false).word, STORE_GRANTED);
    memory_store_free(plant.memory);
}

/* What the last transition handed to those who waited. */
static struct store_grant handed[8];
static size_t handed_count;

static void keep_handed(void *context, const struct store_answer *answer)
{
    (void)context;
    handed_count = answer->handed_count;
    for (size_t i = 0; i < handed_count; i++) {
        handed[i] = answer->handed[i];
    }
}

static void submit(struct plant *plant, const struct store_request *request)
{
    memory_store_set_now(plant->memory, plant->now_ms);
    store_submit(memory_store(plant->memory), request, keep_handed, NULL);
}

static void let_go_and_hand(struct plant *plant, const struct store_answer *granted)
{
    struct store_request request = {.verb = STORE_RELEASE,
                                    .session = granted->grant.session,
                                    .request = granted->grant.request,
                                    .token = granted->grant.token,
                                    .memo_ms = 60000};
    submit(plant, &request);
}

static void who_waits_for_what_its_holder_gets_is_waived_with_it(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    struct store_answer first = take(&plant, "s1", "s1:1", "p1", false);
    assert_int_equal(take(&plant, "s2", "s2:1", "p1", true).word, STORE_WAITING);
    assert_int_equal(take(&plant, "s1", "s1:2", "p2", true).word, STORE_WAITING);
    assert_int_equal(take(&plant, "s2", "s2:2", "p1", true).word, STORE_WAITING);
    let_go_and_hand(&plant, &first);
    assert_int_equal(handed_count, 2);
    assert_string_equal(handed[0].request, "s2:1");
    assert_false(handed[0].waived);
    assert_string_equal(handed[1].request, "s2:2");
    assert_true(handed[1].waived);
    assert_int_equal(handed[1].token, handed[0].token);
    look(&plant);
    assert_int_equal(in_use, 1);
    assert_int_equal(waiting, 1); /* the other processor's */
    memory_store_free(plant.memory);
}

static void who_waits_for_a_shared_seat_that_its_processor_gets_is_waived_with_it(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    plant.pools[0].shared = true;
    plant.productions = 2;
    allow(&plant);
    struct store_answer first = take(&plant, "s1", "s1:1", "p1", false);
    static const char *const ids[] = {"s2:1", "s2:2", "s2:3", "s2:4"};
    static const char *const names[] = {"p1", "p2", "p3", "p1"};
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_int_equal(take(&plant, "s2", ids[i], names[i], true).word, STORE_WAITING);
    }
    let_go_and_hand(&plant, &first);
    assert_int_equal(handed_count, 3);
    assert_string_equal(handed[0].request, "s2:1");
    assert_string_equal(handed[1].request, "s2:4");
    assert_string_equal(handed[2].request, "s2:2");
    look(&plant);
    assert_int_equal(waiting, 1); /* its edition has no third production */
    memory_store_free(plant.memory);
}

static void who_waited_through_a_recovery_is_waived_at_the_next_heartbeat(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    struct store_request hello = {.verb = STORE_HELLO, .highest_op = 1000, .lease_ms = 30000};
    ask_store(plant.memory, plant.now_ms, &hello);
    struct store_claim claim = {.token = 900,
                                .number = 1,
                                .pool = "productions",
                                .production = "p1",
                                .request = "s1:1",
                                .use = SEAT_HELD};
    struct store_request again = {.verb = STORE_REGISTER, .session = "new", .lease_ms = 60000};
    again.who.name = again.who.old_session = again.who.connection = "s1";
    again.who.agent = "default";
    again.who.host = again.who.version = "1";
    again.who.claims = &claim;
    again.who.claims_count = 1;
    assert_int_equal(ask_store(plant.memory, plant.now_ms, &again).word, STORE_REGISTERED);
    assert_int_equal(take(&plant, "s1", "s1:2", "p1", true).word, STORE_WAITING);
    struct store_request beat = {.verb = STORE_HEARTBEAT, .session = "s1", .lease_ms = 60000};
    beat.who.connection = "s1";
    submit(&plant, &beat);
    assert_int_equal(handed_count, 0); /* nothing while it recovers */
    plant.now_ms += 30000;
    submit(&plant, &beat);
    assert_int_equal(handed_count, 1);
    assert_true(handed[0].waived);
    assert_int_equal(handed[0].token, 900);
    memory_store_free(plant.memory);
}

static struct audit_entry newest, oldest;
static size_t audited;

static void keep_audit(void *context, const struct store_answer *answer)
{
    (void)context;
    audited = answer->audit_count;
    newest = answer->audit[0];
    oldest = answer->audit[audited - 1];
}

static void the_audit_keeps_the_newest_thousand(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    struct store_request list = {.verb = STORE_LIST_AUDIT, .max = 2000};
    for (int i = 0; i <= AUDIT_ENTRIES_MAX; i++) {
        char who[20];
        snprintf(who, sizeof(who), "who%d", i);
        struct store_request entry = {.verb = STORE_AUDIT};
        entry.audit.who = who;
        entry.audit.what = "release";
        entry.audit.detail = "refused";
        plant.now_ms++;
        assert_int_equal(ask_store(plant.memory, plant.now_ms, &entry).word, STORE_DONE);
    }
    store_submit(memory_store(plant.memory), &list, keep_audit, NULL);
    assert_int_equal(audited, AUDIT_ENTRIES_MAX);
    assert_string_equal(newest.who, "who1000");
    assert_int_equal(newest.at_ms, plant.now_ms);
    assert_string_equal(oldest.who, "who1");
    memory_store_free(plant.memory);
}

static struct usage_record record;
static size_t records;

static void keep_record(void *context, const struct store_answer *answer)
{
    (void)context;
    records = answer->records_count;
    if (records > 0) {
        record = answer->records[0];
    }
}

static void fetch(struct plant *plant)
{
    struct store_request request = {.verb = STORE_USAGE, .max = 10};
    store_submit(memory_store(plant->memory), &request, keep_record, NULL);
}

static void a_closed_minute_is_kept_until_it_is_acknowledged(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    struct store_answer first = take(&plant, "s1", "s1:1", "p1", false);
    take(&plant, "s1", "s1:2", "p2", true);
    take(&plant, "s2", "s2:1", "p1", false);
    plant.now_ms += 1500;
    let_go(&plant, &first); /* and the second production has its seat */
    tick(&plant);
    fetch(&plant);
    assert_int_equal(records, 0); /* the minute goes on */
    plant.now_ms = START + 60000;
    tick(&plant);
    for (int times = 0; times < 2; times++) {
        fetch(&plant);
        assert_int_equal(records, 1);
        assert_string_equal(record.id, "29453760:productions");
        assert_int_equal(record.from_ms, START);
        assert_int_equal(record.until_ms, START + 60000);
        assert_int_equal(record.granted, 1);
        assert_int_equal(record.reused, 1);
        assert_int_equal(record.refused_pool, 1);
        assert_int_equal(record.waited, 1);
        assert_int_equal(record.wait_ms, 1500);
        assert_int_equal(record.peak, 1);
        assert_int_equal(record.limit, 1);
        assert_int_equal(record.holders_count, 1);
        assert_int_equal(record.holders[0].granted, 4);
    }
    struct store_request acknowledge = {.verb = STORE_ACKNOWLEDGE, .through = record.id};
    char id[sizeof(record.id)];
    snprintf(id, sizeof(id), "%s", record.id);
    acknowledge.through = id;
    for (int times = 0; times < 2; times++) {
        assert_int_equal(ask_store(plant.memory, plant.now_ms, &acknowledge).word, STORE_DONE);
        fetch(&plant);
        assert_int_equal(records, 0);
    }
    acknowledge.through = "nonsense";
    assert_int_equal(ask_store(plant.memory, plant.now_ms, &acknowledge).reason, STORE_BAD_REQUEST);
    memory_store_free(plant.memory);
}

static void a_clock_set_back_uses_no_minute_twice(void **state)
{
    (void)state;
    struct plant plant = plant_of(1);
    take(&plant, "s1", "s1:1", "p1", false);
    tick(&plant); /* so that the next one sees that nobody could keep a lease alive */
    plant.now_ms += 60000;
    tick(&plant); /* closes the first minute; the seat is held, so the next one is open */
    plant.now_ms -= 60000;
    tick(&plant);
    fetch(&plant);
    assert_int_equal(records, 2);
    struct store_request acknowledge = {.verb = STORE_ACKNOWLEDGE,
                                        .through = "29453760:productions"};
    ask_store(plant.memory, plant.now_ms, &acknowledge);
    plant.now_ms += 60000;
    tick(&plant);
    fetch(&plant);
    assert_int_equal(records, 2);
    assert_string_equal(record.id, "29453761:productions");
    memory_store_free(plant.memory);
}

static void a_clock_set_back_puts_no_minute_before_one_that_was_acknowledged(void **state)
{
    (void)state;
    static const char *const pools[] = {"full"};
    struct plant plant = plant_of(1);
    struct store_answer taken = take(&plant, "s1", "s1:1", "p1", false);
    tick(&plant);
    plant.now_ms += 60000;
    let_go(&plant, &taken);
    tick(&plant); /* closes the minute 29453760 of the pool productions */
    plant.now_ms -= 120000;
    tick(&plant);
    struct store_request request = {.verb = STORE_ACQUIRE,
                                    .session = "s2",
                                    .request = "s2:1",
                                    .reuse_ms = 30000,
                                    .memo_ms = 60000};
    request.ask.use = SEAT_HELD;
    request.ask.production = "p2";
    request.ask.user = "";
    request.ask.pools = pools;
    request.ask.pools_count = 1;
    assert_int_equal(ask_store(plant.memory, plant.now_ms, &request).word, STORE_GRANTED);
    plant.now_ms += 60000;
    tick(&plant); /* closes an earlier one of the pool full */
    struct store_request acknowledge = {.verb = STORE_ACKNOWLEDGE,
                                        .through = "29453760:productions"};
    ask_store(plant.memory, plant.now_ms, &acknowledge);
    fetch(&plant);
    assert_true(records >= 1);
    assert_string_equal(record.pool, "full");
    assert_int_equal(record.from_ms, START - 60000);
    memory_store_free(plant.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_never_take_a_reserved_seat),
        cmocka_unit_test(who_has_a_reserved_seat_passes_those_who_have_none),
        cmocka_unit_test(productions_of_a_processor_share_a_seat_where_the_holder_is_the_pool),
        cmocka_unit_test(productions_that_share_a_seat_count_for_the_edition),
        cmocka_unit_test(a_cap_below_what_is_in_use_takes_nothing_away),
        cmocka_unit_test(who_waits_for_what_its_holder_gets_is_waived_with_it),
        cmocka_unit_test(who_waits_for_a_shared_seat_that_its_processor_gets_is_waived_with_it),
        cmocka_unit_test(who_waited_through_a_recovery_is_waived_at_the_next_heartbeat),
        cmocka_unit_test(the_audit_keeps_the_newest_thousand),
        cmocka_unit_test(a_closed_minute_is_kept_until_it_is_acknowledged),
        cmocka_unit_test(a_clock_set_back_uses_no_minute_twice),
        cmocka_unit_test(a_clock_set_back_puts_no_minute_before_one_that_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
