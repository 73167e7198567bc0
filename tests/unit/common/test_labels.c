#include "common/labels.h"

#include <errno.h>

#include "proto/definition.pb-c.h"
#include "proto/result.pb-c.h"
#include "proto/trigger.pb-c.h"
#include "tests/unit/common/unit.h"

static void a_value_is_its_name_without_the_enums(void **state)
{
    (void)state;
    assert_string_equal(label_of(&engenho__trigger_kind__descriptor, 5), "simulation");
    assert_string_equal(
        label_of(&engenho__outcome__descriptor, ENGENHO__OUTCOME__OUTCOME_TIMED_OUT), "timed_out");
    assert_string_equal(label_of(&engenho__overlap_policy__descriptor,
                                 ENGENHO__OVERLAP_POLICY__OVERLAP_POLICY_QUEUE_ONE),
                        "queue_one");
}

static void a_number_without_a_name_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(label_of(&engenho__trigger_kind__descriptor, 99), "unknown");
    assert_string_equal(label_of(&engenho__trigger_kind__descriptor, -1), "unknown");
}

static void every_word_comes_back_and_stays_where_it_is(void **state)
{
    (void)state;
    const ProtobufCEnumDescriptor *descriptor = &engenho__trigger_kind__descriptor;
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        const char *word = label_of(descriptor, descriptor->values[i].value);
        assert_ptr_equal(word, label_of(descriptor, descriptor->values[i].value));
        int value = -1;
        assert_int_equal(label_parse(descriptor, word, &value), 0);
        assert_int_equal(value, descriptor->values[i].value);
    }
}

static void other_words_are_refused(void **state)
{
    (void)state;
    int value = 77;
    assert_int_equal(label_parse(&engenho__trigger_kind__descriptor, "Event", &value), -EINVAL);
    assert_int_equal(label_parse(&engenho__trigger_kind__descriptor, "", &value), -EINVAL);
    assert_int_equal(label_parse(&engenho__trigger_kind__descriptor, "TRIGGER_KIND_EVENT", &value),
                     -EINVAL);
    assert_int_equal(value, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_its_name_without_the_enums),
        cmocka_unit_test(a_number_without_a_name_is_unknown),
        cmocka_unit_test(every_word_comes_back_and_stays_where_it_is),
        cmocka_unit_test(other_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
