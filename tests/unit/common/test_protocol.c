/*
 * What docs/PROTOCOL.md promises of readers and writers of different age, tried on real messages.
 */
#include <stdbool.h>

#include "common/base64.h"
#include "proto/event.pb-c.h"
#include "proto/lane.pb-c.h"
#include "proto/trigger.pb-c.h"
#include "tests/unit/common/unit.h"

static void a_field_that_an_old_reader_does_not_know_is_ignored(void **state)
{
    (void)state;
    char connection[] = "plant", object[] = "Temp";
    Engenho__Event event = ENGENHO__EVENT__INIT;
    event.connection = connection;
    event.object = object;
    event.timestamp_us = 1769860800000000;
    uint8_t bytes[256];
    size_t length = engenho__event__pack(&event, bytes);
    /*
     * Field 1000 with a varint, a text and 8 bytes: what a later version might write, of every wire
     * type.
     */
    static const uint8_t later[] = {0xc0, 0x3e, 0x96, 0x01, 0xca, 0x3e, 0x03, 'n', 'e', 'w',
                                    0xd1, 0x3e, 1,    2,    3,    4,    5,    6,   7,   8};
    memcpy(bytes + length, later, sizeof later);
    Engenho__Event *read = engenho__event__unpack(NULL, length + sizeof later, bytes);
    assert_non_null(read);
    assert_string_equal(read->connection, "plant");
    assert_string_equal(read->object, "Temp");
    assert_int_equal(read->timestamp_us, 1769860800000000);
    engenho__event__free_unpacked(read, NULL);
}

static void a_field_inside_a_message_inside_is_ignored_too(void **state)
{
    (void)state;
    /* Event.value (3) with sint64 5 (field 2: zigzag 10) and an unknown field 100. */
    static const uint8_t bytes[] = {0x1a, 0x05, 0x10, 0x0a, 0xa0, 0x06, 0x01};
    Engenho__Event *read = engenho__event__unpack(NULL, sizeof bytes, bytes);
    assert_non_null(read);
    assert_non_null(read->value);
    assert_int_equal(read->value->kind_case, ENGENHO__VALUE__KIND_INTEGER);
    assert_int_equal(read->value->integer, 5);
    engenho__event__free_unpacked(read, NULL);
}

static void what_an_old_writer_left_out_has_its_default(void **state)
{
    (void)state;
    Engenho__Trigger *trigger = engenho__trigger__unpack(NULL, 0, NULL);
    assert_non_null(trigger);
    assert_string_equal(trigger->execution_id, "");
    assert_string_equal(trigger->production, "");
    assert_null(trigger->event);
    assert_null(trigger->origin);
    assert_int_equal(trigger->attempt, 0);
    assert_int_equal(trigger->kind, ENGENHO__TRIGGER_KIND__TRIGGER_KIND_UNKNOWN);
    assert_int_equal(trigger->later, ENGENHO__LATER_REASON__LATER_REASON_NONE);
    assert_int_equal(trigger->n_parameters, 0);
    engenho__trigger__free_unpacked(trigger, NULL);
}

static void an_enum_number_of_a_later_version_is_kept(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x28, 0x63}; /* kind (5) = 99 */
    Engenho__Trigger *trigger = engenho__trigger__unpack(NULL, sizeof bytes, bytes);
    assert_non_null(trigger);
    assert_int_equal((int)trigger->kind, 99);
    uint8_t again[8];
    assert_int_equal(engenho__trigger__pack(trigger, again), sizeof bytes);
    assert_memory_equal(again, bytes, sizeof bytes);
    engenho__trigger__free_unpacked(trigger, NULL);
}

static void the_order_of_fields_does_not_matter_and_the_last_one_counts(void **state)
{
    (void)state;
    /* object "B", connection "a", object "C". */
    static const uint8_t bytes[] = {0x12, 1, 'B', 0x0a, 1, 'a', 0x12, 1, 'C'};
    Engenho__Event *read = engenho__event__unpack(NULL, sizeof bytes, bytes);
    assert_non_null(read);
    assert_string_equal(read->connection, "a");
    assert_string_equal(read->object, "C");
    engenho__event__free_unpacked(read, NULL);
}

static void a_message_cut_anywhere_is_refused_or_whole(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x0a, 5, 'p', 'l', 'a', 'n', 't', 0x12, 4, 'T', 'e', 'm', 'p'};
    for (size_t length = 0; length <= sizeof bytes; length++) {
        Engenho__Event *read = engenho__event__unpack(NULL, length, bytes);
        bool whole = length == 0 || length == 7 || length == sizeof bytes;
        assert_int_equal(read != NULL, whole);
        if (read) {
            engenho__event__free_unpacked(read, NULL);
        }
    }
}

static void commit_metadata_in_base64_is_far_below_kafkas_limit(void **state)
{
    (void)state;
    Engenho__CommitMetadata metadata = ENGENHO__COMMIT_METADATA__INIT;
    uint8_t done[3000] = {1};
    metadata.slot = UINT32_MAX;
    metadata.done = (ProtobufCBinaryData){.len = sizeof done, .data = done};
    metadata.clean = true;
    metadata.unclean_starts = UINT32_MAX;
    metadata.one_by_one = true;
    metadata.suspect_offset = INT64_MAX;
    metadata.life = UINT64_MAX;
    assert_true(BASE64_TEXT_BYTES(engenho__commit_metadata__get_packed_size(&metadata)) - 1 <=
                4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_that_an_old_reader_does_not_know_is_ignored),
        cmocka_unit_test(a_field_inside_a_message_inside_is_ignored_too),
        cmocka_unit_test(what_an_old_writer_left_out_has_its_default),
        cmocka_unit_test(an_enum_number_of_a_later_version_is_kept),
        cmocka_unit_test(the_order_of_fields_does_not_matter_and_the_last_one_counts),
        cmocka_unit_test(a_message_cut_anywhere_is_refused_or_whole),
        cmocka_unit_test(commit_metadata_in_base64_is_far_below_kafkas_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
