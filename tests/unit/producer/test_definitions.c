/*
 * Documents into definitions: what is taken, and the sentence for what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "producer/definitions.h"
#include "producer/document.h"

static int check_cron(const char *text, struct error *error)
{
    return strcmp(text, "bad") != 0 ? 0 : error_set(error, -EINVAL, "the minutes take 0 to 59");
}

static int check_zone(const char *name, struct error *error)
{
    return strcmp(name, "Mars/Base") != 0
               ? 0
               : error_set(error, -EINVAL, "there is no time zone Mars/Base");
}

static const struct definition_checks checks = {check_cron, check_zone};

struct outcome {
    int result, started, line;
    Engenho__Definition *definition;
    struct error error;
};

static struct outcome parse(const char *yaml)
{
    struct outcome outcome = {.result = -1};
    struct node *documents;
    outcome.result = document_parse_yaml(yaml, strlen(yaml), &documents, &outcome.error);
    if (outcome.result == 0) {
        outcome.result =
            definition_parse(documents->first, NULL, NULL, &checks, &outcome.definition,
                             &outcome.started, &outcome.line, &outcome.error);
        node_free(documents);
    }
    return outcome;
}

static void refused(const char *yaml, const char *sentence, int line)
{
    struct outcome outcome = parse(yaml);
    assert_int_equal(outcome.result, -EINVAL);
    assert_string_equal(outcome.error.text, sentence);
    assert_int_equal(outcome.line, line);
}

/* A production's document around some lines of its spec. */
static const char *production(const char *spec)
{
    static char text[2000];
    snprintf(text, sizeof text, "kind: Production\nname: p\nspec:\n  application: a\n%s", spec);
    return text;
}

static void the_example_of_the_design_is_read_member_by_member(void **state)
{
    (void)state;
    struct outcome outcome = parse(production(
        "  agent: hot\n  started: true\n  trigger: {data: {connection: plant, object: T*, when: \"value > 100\"}}\n  ordering: key\n"
        "  retries: {count: 3, wait: \"000.00:01:00\", abortOnNewEvent: true}\n  timeLimit: 60s\n  memoryLimit: 64MiB\n"
        "  parameters: {limit: 100, deep: {a: [1, 2.5, null]}}\n  seat: {kind: request, pools: [one, two]}\n  breaker: {failures: 5}\n"));
    assert_int_equal(outcome.result, 0);
    const Engenho__Production *spec = outcome.definition->production;
    assert_string_equal(outcome.definition->kind, "production");
    assert_string_equal(spec->agent, "hot");
    assert_string_equal(spec->data->object, "T*");
    assert_int_equal(spec->ordering, ENGENHO__ORDERING__ORDERING_KEY);
    assert_int_equal(spec->retries, 3);
    assert_int_equal(spec->retry_wait_us, 60000000);
    assert_true(spec->abort_on_new_event);
    assert_int_equal(spec->time_limit_us, 60000000);
    assert_int_equal(spec->memory_limit_bytes, 64 << 20);
    assert_int_equal(spec->n_parameters, 2);
    assert_string_equal(spec->parameters[1]->json, "{\"a\":[1,2.5,null]}");
    assert_int_equal(spec->seat_kind, ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST);
    assert_string_equal(spec->seat_pools[1], "two");
    assert_int_equal(spec->breaker_failures, 5);
    assert_int_equal(outcome.started, 1);
    assert_null(strstr(outcome.definition->spec_json, "started"));
    engenho__definition__free_unpacked(outcome.definition, NULL);
}

static void a_schedule_is_read_with_its_policies(void **state)
{
    (void)state;
    struct outcome outcome = parse(production(
        "  ordering: none\n  trigger: {schedule: {every: 30m, first: 2026-01-31T12:00:00Z, misfire: {policy: all, "
        "max: 60, within: 5m}, overlap: parallel}}\n"));
    assert_int_equal(outcome.result, 0);
    const Engenho__ScheduleTrigger *schedule = outcome.definition->production->schedule;
    assert_int_equal(schedule->every_us, INT64_C(1800000000));
    assert_int_equal(schedule->first_us, INT64_C(1769860800000000));
    assert_int_equal(schedule->misfire, ENGENHO__MISFIRE_POLICY__MISFIRE_POLICY_ALL);
    assert_int_equal(schedule->misfire_max, 60);
    assert_int_equal(schedule->misfire_within_us, INT64_C(300000000));
    assert_int_equal(outcome.started, -1);
    assert_string_equal(outcome.definition->production->agent, "default");
    engenho__definition__free_unpacked(outcome.definition, NULL);
}

static void an_unknown_key_is_refused_with_its_line_and_the_nearest_one(void **state)
{
    (void)state;
    refused(production("  started: true\n  agent: default\n  retris: {count: 3}\n"),
            "unknown key 'retris' in spec, line 7: did you mean 'retries'?", 7);
    refused("kind: Agent\nname: hot\nspec: {colour: red}\n",
            "unknown key 'colour' in spec, line 3: it takes description", 3);
    refused("kind: Agent\nname: hot\nspcc: {}\n",
            "unknown key 'spcc' in the document, line 3: did you mean 'spec'?", 3);
}

static void wrong_types_and_values_are_refused_with_what_is_taken(void **state)
{
    (void)state;
    refused(production("  started: yes please\n"),
            "spec.started must be true or false, not text, line 5", 5);
    refused(production("  retries: {count: many}\n"),
            "spec.retries.count must be a whole number, not text, line 5", 5);
    refused(production("  timeLimit: 5 parsecs\n"),
            "spec.timeLimit is not a duration, line 5: write 60s, 30m, 12h, 7d or ddd.hh:mm:ss", 5);
    refused(production("  ordering: sideways\n"),
            "spec.ordering takes key, production or none, line 5", 5);
    refused(production("  memoryLimit: a lot\n"),
            "spec.memoryLimit is not a size, line 5: write bytes, or 64KiB, 16MiB, 1GiB", 5);
    refused(production("  agent: Hot Agent\n"),
            "spec.agent 'Hot Agent' is not an agent's name, line 5: 1 to 40 of a-z, 0-9 and -", 5);
    refused("kind: Productoin\nname: p\n",
            "unknown kind 'Productoin', line 1: did you mean 'Production'?", 1);
    refused("kind: Production\nname: p\nspec: {}\n", "spec.application is missing, line 3", 3);
    refused("name: p\n", "kind is missing, line 1", 1);
    refused("kind: Package\nname: p\n",
            "a package is not applied: deploy it with `engenho deploy p PATH`", 1);
}

static void what_does_not_go_together_is_refused(void **state)
{
    (void)state;
    refused(production("  trigger: {schedule: {every: 1m, overlap: parallel}}\n"),
            "spec.trigger.schedule.overlap, line 4: parallel needs ordering: none", 4);
    refused(production("  trigger: {schedule: {every: 1m, cron: '* * * * *'}}\n"),
            "spec.trigger.schedule, line 5, needs one of cron, every and dates, not several", 5);
    refused(production("  trigger: {schedule: {cron: bad}}\n"),
            "spec.trigger.schedule.cron, line 5: the minutes take 0 to 59", 5);
    refused(production("  trigger: {schedule: {cron: '* * * * *', timeZone: Mars/Base}}\n"),
            "spec.trigger.schedule.timeZone, line 5: there is no time zone Mars/Base", 5);
    refused(
        production("  ordering: key\n"),
        "spec.ordering, line 4: key needs a data trigger, which has a variable to order by: write production or none",
        4);
    refused(
        production("  ordering: none\n  state: true\n"),
        "spec.state, line 4: executions side by side (ordering: none) share no userCache: remove one of the two",
        4);
    refused(
        production("  trigger: {transition: {process: p}}\n"),
        "spec.trigger.transition, line 5: this version starts productions by data and schedule only",
        5);
    refused("kind: Connection\nname: a/b\nspec: {type: push}\n",
            "a connection's name can't hold a '/': keys are connection/object", 3);
    refused(
        "kind: Connection\nname: epm\nspec: {type: epm, webApi: 'https://epm'}\n",
        "spec.type 'epm', line 3: this version takes push, whose values come over HTTP or Kafka",
        3);
}

static void a_bad_condition_is_refused_with_its_line_and_column(void **state)
{
    (void)state;
    struct outcome outcome =
        parse(production("  trigger: {data: {connection: c, object: o, when: 'value >'}}\n"));
    assert_int_equal(outcome.result, -EINVAL);
    assert_non_null(strstr(outcome.error.text, "spec.trigger.data.when, line 5: "));
    assert_non_null(strstr(outcome.error.text, "column"));
}

static void every_prefix_of_a_document_is_refused_or_read_without_harm(void **state)
{
    (void)state;
    char text[2000];
    snprintf(
        text, sizeof text, "%s",
        production(
            "  seat: {kind: held, pools: [a, 'b', \"c\"]}\n  trigger: {schedule: {dates: [2026-01-01, 2026-02-01]}}\n"));
    for (size_t bytes = strlen(text); bytes > 0; bytes--) {
        text[bytes] = '\0';
        struct node *documents;
        struct error error;
        if (document_parse_yaml(text, bytes, &documents, &error) != 0) {
            continue;
        }
        Engenho__Definition *definition = NULL;
        int started, line;
        if (documents->count > 0 && definition_parse(documents->first, NULL, NULL, &checks,
                                                     &definition, &started, &line, &error) == 0) {
            engenho__definition__free_unpacked(definition, NULL);
        }
        node_free(documents);
    }
}

static void equal_definitions_are_those_that_say_the_same(void **state)
{
    (void)state;
    struct outcome a = parse(production("  timeLimit: 60s\n")),
                   b = parse(production("  timeLimit: 60s\n")),
                   c = parse(production("  timeLimit: 61s\n"));
    a.definition->changed_us = 5;
    assert_true(definition_equal(a.definition, b.definition));
    assert_false(definition_equal(a.definition, c.definition));
    Engenho__Definition *copy = definition_copy(a.definition);
    assert_true(definition_equal(a.definition, copy));
    engenho__definition__free_unpacked(a.definition, NULL);
    engenho__definition__free_unpacked(b.definition, NULL);
    engenho__definition__free_unpacked(c.definition, NULL);
    engenho__definition__free_unpacked(copy, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_design_is_read_member_by_member),
        cmocka_unit_test(a_schedule_is_read_with_its_policies),
        cmocka_unit_test(an_unknown_key_is_refused_with_its_line_and_the_nearest_one),
        cmocka_unit_test(wrong_types_and_values_are_refused_with_what_is_taken),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(a_bad_condition_is_refused_with_its_line_and_column),
        cmocka_unit_test(every_prefix_of_a_document_is_refused_or_read_without_harm),
        cmocka_unit_test(equal_definitions_are_those_that_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
