/*
 * What `engenho up` runs.
 */
#include "cli/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct plan_places places = {
    .data = "/data",
    .bin = "/bin",
    .java = "/usr/bin/java",
    .redis_server = "/usr/bin/redis-server",
    .licences = "/data/licences",
    .token_file = "/data/token",
    .kafka_port = 20001,
    .controller_port = 20002,
    .redis_port = 20003,
    .licensor_port = 20004,
    .api_port = 20005,
};
static struct plan plan;
static struct error error;

static const struct up_options usual = {.prefix = "engenho.",
                                        .kafka_home = "/kafka",
                                        .workers = 1,
                                        .kafka_heap_bytes = INT64_C(128) << 20};

static bool has_words(const struct plan_process *process, const char *first, const char *second)
{
    for (char **word = process->argv; *word; word++) {
        if (strcmp(*word, first) == 0 && (!second || (word[1] && strcmp(word[1], second) == 0))) {
            return true;
        }
    }
    return false;
}

static const struct plan_process *find(const char *name)
{
    for (size_t i = 0; i < plan.count; i++) {
        if (strcmp(plan.processes[i].name, name) == 0) {
            return &plan.processes[i];
        }
    }
    return NULL;
}

static void everything_is_ours_by_default(void **state)
{
    (void)state;
    static const char *const names[] = {"kafka", "redis", "licensor", "producer",
                                        "worker-default-1"};
    assert_int_equal(plan_init(&plan, &usual, &places, &error), 0);
    assert_int_equal(plan.count, 5);
    for (size_t i = 0; i < plan.count; i++) {
        assert_string_equal(plan.processes[i].name, names[i]);
    }
    assert_true(has_words(&plan.processes[0], "-Xmx128m", NULL));
    assert_true(has_words(&plan.processes[1], "--appendonly", "yes"));
    assert_true(has_words(&plan.processes[1], "--maxmemory-policy", "noeviction"));
    assert_true(has_words(&plan.processes[3], "--kafka", "127.0.0.1:20001"));
    assert_true(has_words(&plan.processes[4], "--static-membership", NULL));
    assert_true(has_words(&plan.processes[4], "--name", "default-1"));
    assert_false(has_words(&plan.processes[4], "--interpreters", NULL));
    assert_int_equal(plan.processes[2].needs, 2);
    assert_int_equal(plan.processes[3].needs, 1 | 4);
    assert_int_equal(plan.processes[4].needs, 8);
}

static void workers_stop_before_those_they_need(void **state)
{
    (void)state;
    assert_int_equal(plan_init(&plan, &usual, &places, &error), 0);
    for (size_t i = 0; i < plan.count; i++) {
        for (size_t j = 0; j < plan.count; j++) {
            if (plan.processes[i].needs >> j & 1) {
                assert_true(plan.processes[i].stop_stage < plan.processes[j].stop_stage);
            }
        }
    }
}

static void real_servers_are_used_as_they_are_named(void **state)
{
    (void)state;
    struct up_options options = usual;
    options.kafka = "kafka:9092";
    options.redis = "redis://cache:6379";
    assert_int_equal(plan_init(&plan, &options, &places, &error), 0);
    assert_int_equal(plan.count, 3);
    assert_null(find("kafka"));
    assert_true(has_words(find("licensor"), "--redis", "redis://cache:6379"));
    assert_true(has_words(find("worker-default-1"), "--kafka", "kafka:9092"));
    assert_int_equal(find("licensor")->needs, 0);
}

static void agents_get_their_workers(void **state)
{
    (void)state;
    struct up_options options = usual;
    options.workers = 2;
    options.agents = "slow=1,critical=2";
    options.interpreters = 3;
    assert_int_equal(plan_init(&plan, &options, &places, &error), 0);
    assert_int_equal(plan.count, 4 + 2 + 3);
    assert_true(has_words(find("worker-critical-2"), "--agent", "critical"));
    assert_true(has_words(find("worker-slow-1"), "--interpreters", "3"));
    assert_int_equal(find("worker-critical-2")->needs, find("worker-default-1")->needs);
}

static void wrong_agents_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const wrong[] = {"slow",          "slow=",    "slow=0",  "Slow=1",
                                        "slow=x",        "slow=1,,", "slow=1a", "default=2",
                                        "slow=1,slow=2", "=1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct up_options options = usual;
        options.agents = wrong[i];
        assert_int_equal(plan_init(&plan, &options, &places, &error), -EINVAL);
        assert_non_null(strstr(error.text, wrong[i]));
        plan_release(&plan);
    }
}

static void more_processes_than_the_maximum_are_refused(void **state)
{
    (void)state;
    struct up_options options = usual;
    options.workers = SUPERVISOR_UNITS_MAX;
    assert_int_equal(plan_init(&plan, &options, &places, &error), -ENOSPC);
}

static void kafka_listens_on_this_machine_only(void **state)
{
    (void)state;
    char *text = plan_kafka_properties(&places);
    assert_non_null(
        strstr(text, "listeners=PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002\n"));
    assert_non_null(strstr(text, "log.dirs=/data/kafka/data\n"));
    assert_non_null(strstr(text, "transaction.state.log.replication.factor=1\n"));
    free(text);
}

static int tear_down(void **state)
{
    (void)state;
    plan_release(&plan);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(everything_is_ours_by_default, tear_down),
        cmocka_unit_test_teardown(workers_stop_before_those_they_need, tear_down),
        cmocka_unit_test_teardown(real_servers_are_used_as_they_are_named, tear_down),
        cmocka_unit_test_teardown(agents_get_their_workers, tear_down),
        cmocka_unit_test_teardown(wrong_agents_are_refused_with_a_sentence, tear_down),
        cmocka_unit_test_teardown(more_processes_than_the_maximum_are_refused, tear_down),
        cmocka_unit_test(kafka_listens_on_this_machine_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
