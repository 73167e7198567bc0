/*
 * Which productions an event starts; views of packed events; the source of a package; the commit
 * metadata.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "worker/commit_metadata.h"
#include "worker/matcher.h"

static struct production *data_production(const char *name, const char *connection,
                                          const char *object)
{
    Engenho__DataTrigger data = ENGENHO__DATA_TRIGGER__INIT;
    Engenho__Production definition = ENGENHO__PRODUCTION__INIT;
    Engenho__Application application = ENGENHO__APPLICATION__INIT;
    data.connection = (char *)connection;
    data.object = (char *)object;
    definition.trigger_case = ENGENHO__PRODUCTION__TRIGGER_DATA;
    definition.data = &data;
    struct production_options options = {.name = name,
                                         .definition = &definition,
                                         .application = &application,
                                         .application_name = name};
    return production_new(&options, NULL);
}

static size_t count_matches(struct matcher *matcher, const char *connection, const char *object)
{
    struct event_view view = {.kind = EVENT_DATA,
                              .connection = {connection, strlen(connection)},
                              .object = {object, strlen(object)}};
    return matcher_find(matcher, &view).count;
}

static void names_and_patterns_match_and_answers_are_remembered(void **state)
{
    struct matcher *matcher = matcher_new();
    struct production *exact = data_production("a", "plant", "T1"),
                      *pattern = data_production("b", "plant", "T*");
    (void)state;
    matcher_add(matcher, exact);
    matcher_add(matcher, pattern);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(count_matches(matcher, "plant", "T1"), 2);
        assert_int_equal(count_matches(matcher, "plant", "T2"), 1);
        assert_int_equal(count_matches(matcher, "plant", "X"), 0);
        assert_int_equal(count_matches(matcher, "other", "T1"), 0);
    }
    matcher_clear(matcher);
    assert_int_equal(count_matches(matcher, "plant", "T1"), 0);
    matcher_free(matcher);
    production_drop(exact);
    production_drop(pattern);
}

static void a_new_production_is_seen_by_an_answer_that_was_remembered(void **state)
{
    struct matcher *matcher = matcher_new();
    struct production *first = data_production("a", "plant", "T*"),
                      *second = data_production("b", "plant", "T?");
    (void)state;
    matcher_add(matcher, first);
    assert_int_equal(count_matches(matcher, "plant", "T1"), 1);
    matcher_add(matcher, second);
    assert_int_equal(count_matches(matcher, "plant", "T1"), 2);
    matcher_free(matcher);
    production_drop(first);
    production_drop(second);
}

static void a_view_shows_what_was_packed(void **state)
{
    Engenho__Event event = ENGENHO__EVENT__INIT;
    Engenho__NamedEvent named = ENGENHO__NAMED_EVENT__INIT;
    uint8_t packed[256];
    struct event_view view;
    (void)state;
    event.connection = (char *)"plant";
    event.object = (char *)"T1";
    event.timestamp_us = 123456;
    size_t bytes = engenho__event__pack(&event, packed);
    assert_int_equal(event_view_read(packed, bytes, &view), 0);
    assert_int_equal(view.kind, EVENT_DATA);
    assert_memory_equal(view.connection.data, "plant", 5);
    assert_memory_equal(view.object.data, "T1", 2);
    assert_int_equal(view.timestamp_us, 123456);
    named.name = (char *)"Period/P_2m";
    event.named = &named;
    bytes = engenho__event__pack(&event, packed);
    assert_int_equal(event_view_read(packed, bytes, &view), 0);
    assert_int_equal(view.kind, EVENT_NAMED);
    assert_memory_equal(view.object.data, "Period/P_2m", 11);
}

static void bytes_that_are_no_event_are_refused(void **state)
{
    static const uint8_t text[] = "{\"connection\": \"plant\"}", wrong_type[] = {0x08, 0x01},
                         cut[] = {0x0a, 0x05, 'p'}, inner[] = {0x1a, 0x02, 0x0a, 0x01};
    struct event_view view;
    (void)state;
    assert_int_equal(event_view_read(text, sizeof text - 1, &view), -EBADMSG);
    assert_int_equal(event_view_read(wrong_type, sizeof wrong_type, &view), -EBADMSG);
    assert_int_equal(event_view_read(cut, sizeof cut, &view), -EBADMSG);
    assert_int_equal(event_view_read(inner, sizeof inner, &view), -EBADMSG);
    assert_int_equal(event_view_read(text, 0, &view), -EBADMSG);
}

static void a_condition_sees_value_previous_and_quality(void **state)
{
    Engenho__Event event = ENGENHO__EVENT__INIT;
    Engenho__Value value = ENGENHO__VALUE__INIT;
    struct when *when = when_new("value > 100 and previous = null and quality = 0", NULL);
    (void)state;
    value.kind_case = ENGENHO__VALUE__KIND_NUMBER;
    value.number = 101;
    event.value = &value;
    assert_non_null(when);
    /* A comparison with null is false. */
    assert_false(when_holds(when, event_lookup, &event));
    when_free(when);
    when = when_new("value > 100 and quality = 0", NULL);
    assert_true(when_holds(when, event_lookup, &event));
    when_free(when);
}

static void metadata_comes_back_as_it_was_and_never_passes_the_brokers_limit(void **state)
{
    Engenho__CommitMetadata metadata = ENGENHO__COMMIT_METADATA__INIT;
    static uint8_t done[4000];
    char text[COMMIT_METADATA_TEXT_MAX + 1];
    (void)state;
    metadata.slot = 3;
    metadata.suspect_offset = -1;
    metadata.unclean_starts = UINT32_MAX;
    metadata.one_by_one = true;
    metadata.suspect_later = INT64_MAX;
    metadata.life = UINT64_MAX;
    metadata.done = (ProtobufCBinaryData){.data = done, .len = COMMIT_METADATA_DONE_MAX};
    assert_int_equal(commit_metadata_print(&metadata, text), 0);
    assert_true(strlen(text) <= COMMIT_METADATA_TEXT_MAX);
    Engenho__CommitMetadata *read = commit_metadata_parse(text, strlen(text));
    assert_non_null(read);
    assert_int_equal(read->slot, 3);
    assert_int_equal(read->suspect_offset, -1);
    assert_int_equal(read->done.len, COMMIT_METADATA_DONE_MAX);
    engenho__commit_metadata__free_unpacked(read, NULL);
    metadata.done.len = sizeof done;
    assert_int_equal(commit_metadata_print(&metadata, text), -EMSGSIZE);
    assert_null(commit_metadata_parse("not ours", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_patterns_match_and_answers_are_remembered),
        cmocka_unit_test(a_new_production_is_seen_by_an_answer_that_was_remembered),
        cmocka_unit_test(a_view_shows_what_was_packed),
        cmocka_unit_test(bytes_that_are_no_event_are_refused),
        cmocka_unit_test(a_condition_sees_value_previous_and_quality),
        cmocka_unit_test(metadata_comes_back_as_it_was_and_never_passes_the_brokers_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
