/*
 * Events as people push them: our JSON and CloudEvents 1.0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "producer/document.h"
#include "producer/sources/push.h"

static int read_body(const char *json, enum push_format format, struct push *ret_push,
                     int *ret_index, struct error *error)
{
    struct node *body;
    int result = document_parse_json(json, strlen(json), &body, error);
    if (result == 0) {
        result = push_read(body, format, 42, ret_push, ret_index, error);
        node_free(body);
    }
    return result;
}

static void refused(const char *json, enum push_format format, int index, const char *sentence)
{
    struct push push;
    struct error error;
    int found;
    assert_int_equal(read_body(json, format, &push, &found, &error), -EINVAL);
    assert_string_equal(error.text, sentence);
    assert_int_equal(found, index);
}

static void ours_may_be_one_or_many_and_previous_is_never_invented(void **state)
{
    (void)state;
    struct push push;
    struct error error;
    int index;
    assert_int_equal(
        read_body(
            "[{\"connection\":\"c\",\"object\":\"a/b\",\"value\":1,\"previous\":0.5,\"timestamp\":\"1970-01-01T00:00:01Z\","
            "\"quality\":7,\"id\":\"x\"},{\"connection\":\"c\",\"object\":\"o\",\"value\":null}]",
            PUSH_OURS, &push, &index, &error),
        0);
    assert_int_equal(push.count, 2);
    const Engenho__Event *event = push.events[0];
    assert_int_equal(event->value->kind_case, ENGENHO__VALUE__KIND_INTEGER);
    assert_true(event->previous->number == 0.5);
    assert_int_equal(event->timestamp_us, 1000000);
    assert_int_equal(event->quality, 7);
    assert_string_equal(event->id, "x");
    char *key = push_key(event);
    assert_string_equal(key, "c/a/b");
    free(key);
    assert_null(push.events[1]->previous);
    assert_int_equal(push.events[1]->value->kind_case, ENGENHO__VALUE__KIND__NOT_SET);
    assert_int_equal(push.events[1]->timestamp_us, 42);
    push_release(&push);
    assert_int_equal(read_body("{\"connection\":\"c\",\"object\":\"o\",\"value\":\"t\"}", PUSH_OURS,
                               &push, &index, &error),
                     0);
    assert_string_equal(push.events[0]->value->text, "t");
    push_release(&push);
}

static void cloudevents_carry_a_value_or_an_object_of_values(void **state)
{
    (void)state;
    struct push push;
    struct error error;
    int index;
    assert_int_equal(
        read_body(
            "[{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\",\"source\":\"c\",\"subject\":\"o\",\"data\":true},"
            "{\"specversion\":\"1.0\",\"id\":\"2\",\"type\":\"t\",\"source\":\"c\",\"subject\":\"o\",\"time\":\"1970-01-01T00:00:02Z\","
            "\"data\":{\"value\":2,\"previous\":1},\"extension\":5}]",
            PUSH_CLOUDEVENTS, &push, &index, &error),
        0);
    assert_true(push.events[0]->value->boolean);
    assert_int_equal(push.events[1]->previous->integer, 1);
    assert_int_equal(push.events[1]->timestamp_us, 2000000);
    assert_string_equal(push.events[1]->id, "2");
    push_release(&push);
}

static void a_bad_event_is_named_by_its_index_and_none_is_taken(void **state)
{
    (void)state;
    refused(
        "[{\"connection\":\"c\",\"object\":\"o\",\"value\":1},{\"connection\":\"c\",\"value\":1}]",
        PUSH_OURS, 1, "object is missing");
    refused("{\"connection\":\"c\",\"object\":\"o\"}", PUSH_OURS, 0,
            "value is missing: write null when there is none");
    refused("{\"connection\":\"c\",\"object\":\"o\",\"value\":{}}", PUSH_OURS, 0,
            "value must be a number, true, false, text or null, not a map");
    refused("{\"connection\":\"c\",\"object\":\"o\",\"value\":1,\"prevous\":1}", PUSH_OURS, 0,
            "unknown key 'prevous': did you mean 'previous'?");
    refused("{\"connection\":\"a/b\",\"object\":\"o\",\"value\":1}", PUSH_OURS, 0,
            "connection 'a/b' can't hold a '/': keys are connection/object");
    refused("{\"connection\":\"c\",\"object\":\"o\",\"value\":1,\"timestamp\":5}", PUSH_OURS, 0,
            "the time must be RFC 3339 text such as 2026-01-31T12:00:00.5Z");
    refused("{\"connection\":\"c\",\"object\":\"o\",\"value\":1,\"quality\":-1}", PUSH_OURS, 0,
            "quality must be an OPC UA status code: a whole number from 0 (good) to 4294967295");
    refused("5", PUSH_OURS, -1,
            "the body must be an event or a list of events, not a whole number");
    refused("[5]", PUSH_OURS, 0, "an event must be an object, not a whole number");
    refused("{\"id\":\"1\"}", PUSH_CLOUDEVENT, 0,
            "not a CloudEvent 1.0: specversion must be \"1.0\"");
    refused("[]", PUSH_CLOUDEVENT, -1, "the body must be one CloudEvent, not a list");
    refused("{}", PUSH_CLOUDEVENTS, -1, "the body must be a list of CloudEvents, not a map");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_may_be_one_or_many_and_previous_is_never_invented),
        cmocka_unit_test(cloudevents_carry_a_value_or_an_object_of_values),
        cmocka_unit_test(a_bad_event_is_named_by_its_index_and_none_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
