/* What a lane makes of its last owner's end: a crash counts, a clean stop and giving up do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/commit_metadata.h"
#include "worker/engine.h"

#define OUR_LIFE 7

static void ignore_message(void *context, void *message)
{
    (void)context;
    (void)message;
}

struct fixture {
    struct engine engine;
    struct lane *lane;
};

/* Take a lane whose metadata is `metadata`, at offset 100. */
static void take(struct fixture *fixture, const Engenho__CommitMetadata *metadata)
{
    char text[COMMIT_METADATA_TEXT_MAX + 1];
    uint32_t slot;
    struct engine_options options = {.agent = "a",
                                     .worker = "w",
                                     .group = "a",
                                     .session = "",
                                     .life = OUR_LIFE,
                                     .isolate = true};
    struct engine_port port = {.message_free = ignore_message};
    engine_init(&fixture->engine, &options, &port);
    fixture->lane = engine_add_lane(&fixture->engine, "events", false, 0);
    assert_int_equal(commit_metadata_print(metadata, text), 0);
    assert_int_equal(lane_restore(fixture->lane, 100, text, strlen(text), &slot), 0);
}

static void put_back(struct fixture *fixture)
{
    engine_drop_lane(&fixture->engine, fixture->lane);
    engine_release(&fixture->engine);
}

static Engenho__CommitMetadata left_by(uint64_t life, bool clean)
{
    Engenho__CommitMetadata metadata = ENGENHO__COMMIT_METADATA__INIT;
    metadata.life = life;
    metadata.clean = clean;
    metadata.unclean_starts = 1;
    metadata.one_by_one = true;
    metadata.suspect_offset = 104;
    return metadata;
}

static void a_lane_of_a_worker_that_crashed_has_one_unclean_start_more_and_a_suspect(void **state)
{
    struct fixture fixture = {0};
    (void)state;
    Engenho__CommitMetadata metadata = left_by(OUR_LIFE + 1, false);
    take(&fixture, &metadata);
    assert_int_equal(fixture.lane->unclean_starts, 2);
    assert_int_equal(fixture.lane->crashed_offset, 104);
    put_back(&fixture);
}

static void a_lane_that_was_left_by_a_clean_stop_starts_clean(void **state)
{
    struct fixture fixture = {0};
    (void)state;
    Engenho__CommitMetadata metadata = left_by(OUR_LIFE + 1, true);
    take(&fixture, &metadata);
    assert_int_equal(fixture.lane->unclean_starts, 0);
    assert_int_equal(fixture.lane->crashed_offset, -1);
    put_back(&fixture);
}

static void a_lane_that_this_very_process_gave_up_has_no_unclean_start_more_and_no_suspect(
    void **state)
{
    struct fixture fixture = {0};
    (void)state;
    Engenho__CommitMetadata metadata = left_by(OUR_LIFE, false);
    take(&fixture, &metadata);
    assert_int_equal(fixture.lane->unclean_starts, 1);
    assert_int_equal(fixture.lane->crashed_offset, -1);
    put_back(&fixture);
}

static void metadata_of_a_writer_that_knows_no_life_counts_as_of_another(void **state)
{
    struct fixture fixture = {0};
    (void)state;
    Engenho__CommitMetadata metadata = left_by(0, false);
    take(&fixture, &metadata);
    assert_int_equal(fixture.lane->unclean_starts, 2);
    put_back(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_of_a_worker_that_crashed_has_one_unclean_start_more_and_a_suspect),
        cmocka_unit_test(a_lane_that_was_left_by_a_clean_stop_starts_clean),
        cmocka_unit_test(
            a_lane_that_this_very_process_gave_up_has_no_unclean_start_more_and_no_suspect),
        cmocka_unit_test(metadata_of_a_writer_that_knows_no_life_counts_as_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
