/*
 * The pool with real interpreters: what well-behaved scripts see and give back.
 */
#include "tests/unit/worker/pool_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain[] =
    "from engenho import method\n"
    "@method('Rise')\n"
    "def rise(event, limit=100):\n"
    "    print(f'{event.object} rose to {event.value}')\n"
    "    return {'delta': event.value - event.previous, 'limit': limit, 'at': str(event.timestamp)}\n";

static void a_trivial_method_gives_its_result_and_output(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code = fixture_code(fixture, plain, "Rise");
    struct answer *answer = fixture_run(fixture, code, 21.5);
    assert_succeeded(answer);
    assert_string_equal(answer->finished->result,
                        "{\"delta\":1.0,\"limit\":100,\"at\":\"2026-01-31 12:00:00+00:00\"}");
    assert_int_equal(answer->finished->output.len, strlen("Tank1 rose to 21.5\n"));
    assert_memory_equal(answer->finished->output.data, "Tank1 rose to 21.5\n",
                        answer->finished->output.len);
    assert_true(answer->finished->end_us >= answer->finished->start_us);
    assert_int_equal(answer->started_calls, 1);
    assert_int_equal(fixture->loaded_calls, 1);
    assert_false(fixture->epm_method);
    assert_true(pool_has_answered(fixture->pool));
    fixture_free(fixture);
}

static void every_execution_of_a_batch_is_answered_by_itself_in_order(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code = fixture_code(fixture,
                                          "from engenho import method\n"
                                          "@method('M')\n"
                                          "def m(event):\n"
                                          "    if event.value == 3: raise ValueError('three')\n"
                                          "    return event.value\n",
                                          "M");
    struct pool_execution batch[POOL_BATCH_MAX];
    for (size_t i = 0; i < POOL_BATCH_MAX; i++) {
        batch[i] = fixture_execution(fixture, code, (double)i);
    }
    fixture_submit(fixture, batch, POOL_BATCH_MAX);
    for (size_t i = 0; i < POOL_BATCH_MAX; i++) {
        struct answer *answer = fixture_wait(fixture, batch[i].number);
        if (i == 3) {
            assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_FAILED, "ValueError");
            assert_string_equal(answer->finished->error, "three");
            assert_text(answer->finished->traceback, "main.py\", line 4, in m");
            assert_null(strstr(answer->finished->traceback, "_packages"));
        } else {
            assert_succeeded(answer);
            assert_float_equal(strtod(answer->finished->result, NULL), (double)i, 0);
        }
    }
    fixture_free(fixture);
}

static void answers_do_not_wait_for_a_slow_one_behind_them(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code =
        fixture_code(fixture,
                     "import os, time\n"
                     "from engenho import method\n"
                     "@method('M')\n"
                     "def m(event, path):\n"
                     "    if event.value == 2:\n"
                     "        while not os.path.exists(path): time.sleep(0.01)\n",
                     "M");
    char *path = NULL;
    assert_true(asprintf(&path, "\"%s/go\"", fixture->directory) > 0);
    fixture_parameter(code, "path", path);
    struct pool_execution batch[2] = {fixture_execution(fixture, code, 1),
                                      fixture_execution(fixture, code, 2)};
    fixture_submit(fixture, batch, 2);
    assert_succeeded(fixture_wait(fixture, batch[0].number));
    assert_null(fixture->answers[batch[1].number].finished);
    path[strlen(path) - 1] = '\0';
    FILE *go = fopen(path + 1, "w");
    assert_non_null(go);
    fclose(go);
    assert_succeeded(fixture_wait(fixture, batch[1].number));
    free(path);
    fixture_free(fixture);
}

static void parameters_of_the_application_and_of_the_run_reach_the_method(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code = fixture_code(fixture,
                                          "from engenho import method\n"
                                          "@method('M')\n"
                                          "def m(a, b, c=3, *, d=4):\n"
                                          "    b.append(1)\n"
                                          "    return [a, b, c, d]\n",
                                          "M");
    fixture_parameter(code, "a", "\"x\"");
    fixture_parameter(code, "b", "[]");
    fixture_parameter(code, "d", "{\"k\": null}");
    assert_string_equal(fixture_run(fixture, code, 1)->finished->result,
                        "[\"x\",[1],3,{\"k\":null}]");
    /* A list is a fresh one each time. */
    assert_string_equal(fixture_run(fixture, code, 1)->finished->result,
                        "[\"x\",[1],3,{\"k\":null}]");
    struct pool_execution execution = fixture_execution(fixture, code, 1);
    Engenho__Parameter own = ENGENHO__PARAMETER__INIT;
    own.name = (char *)"c";
    own.json = (char *)"true";
    Engenho__Parameter *parameters[] = {&own};
    execution.message.parameters = parameters;
    execution.message.n_parameters = 1;
    fixture_submit(fixture, &execution, 1);
    assert_string_equal(fixture_wait(fixture, execution.number)->finished->result,
                        "[\"x\",[1],true,{\"k\":null}]");
    own.name = (char *)"nope";
    execution.number = ++fixture->last_number;
    fixture_submit(fixture, &execution, 1);
    struct answer *answer = fixture_wait(fixture, execution.number);
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_FAILED, "TypeError");
    assert_text(answer->finished->error, "no parameter 'nope'");
    fixture_free(fixture);
}

static void a_package_that_does_not_import_is_told_once_and_its_executions_come_back(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *bad = fixture_code(fixture, "import nothing_of_this_name\n", "M");
    struct pool_execution batch[3] = {fixture_execution(fixture, bad, 1),
                                      fixture_execution(fixture, bad, 2),
                                      fixture_execution(fixture, bad, 3)};
    fixture_submit(fixture, batch, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fixture_wait(fixture, batch[i].number)->returned);
    }
    while (fixture->not_loadable_calls == 0) {
        fixture_turn(fixture);
    }
    assert_int_equal(fixture->not_loadable_calls, 1);
    assert_string_equal(fixture->not_loadable_class, "ModuleNotFoundError");
    assert_text(fixture->not_loadable, "main.py:1");
    struct pool_code *good = fixture_code(fixture, plain, "Rise");
    assert_succeeded(fixture_run(fixture, good, 1));
    fixture_free(fixture);
}

static void an_import_that_kills_the_interpreter_is_not_loadable(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *bad = fixture_code(fixture, "import os\nos._exit(7)\n", "M");
    assert_true(fixture_run(fixture, bad, 1)->returned);
    while (fixture->not_loadable_calls == 0) {
        fixture_turn(fixture);
    }
    assert_text(fixture->not_loadable, "exited with code 7 while it imported the package");
    struct pool_code *good = fixture_code(fixture, plain, "Rise");
    assert_succeeded(fixture_run(fixture, good, 1));
    fixture_free(fixture);
}

static void two_packages_with_modules_of_one_name_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    static const char text[] = "import helper\n"
                               "from engenho import method\n"
                               "@method('M')\n"
                               "def m(event):\n"
                               "    import late\n"
                               "    return [helper.NAME, late.NAME]\n";
    struct pool_code *one = fixture_code(fixture, text, "M");
    fixture_write(one, "helper.py", "NAME = 'one'\n");
    fixture_write(one, "late.py", "NAME = 'late one'\n");
    struct pool_code *two = fixture_code(fixture, text, "M");
    fixture_write(two, "helper.py", "NAME = 'two'\n");
    fixture_write(two, "late.py", "NAME = 'late two'\n");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(fixture_run(fixture, one, 1)->finished->result,
                            "[\"one\",\"late one\"]");
        assert_string_equal(fixture_run(fixture, two, 1)->finished->result,
                            "[\"two\",\"late two\"]");
    }
    /* All in one process. */
    assert_float_equal(fixture_metric(fixture, "engenho_interpreter_starts_total", NULL), 1, 0);
    fixture_free(fixture);
}

static void a_new_version_of_a_package_gets_a_new_interpreter(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    static const char text[] = "import os\n"
                               "from engenho import method\n"
                               "@method('M')\n"
                               "def m(): return os.getpid()\n";
    struct pool_code *one = fixture_code(fixture, text, "M");
    struct pool_code *two = fixture_code(fixture, text, "M");
    free(fixture_load(two)->package);
    fixture_load(two)->package = strdup(one->load->package);
    char first[32];
    snprintf(first, sizeof(first), "%s", fixture_run(fixture, one, 1)->finished->result);
    assert_string_equal(fixture_run(fixture, one, 1)->finished->result, first);
    struct answer *answer = fixture_run(fixture, two, 1);
    assert_succeeded(answer);
    assert_string_not_equal(answer->finished->result, first);
    fixture_free(fixture);
}

static void user_cache_and_last_executed_go_round(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code =
        fixture_code(fixture,
                     "import epmprocessor as epr\n"
                     "@epr.applicationMethod('M')\n"
                     "def m(session):\n"
                     "    session.userCache['n'] = session.userCache.get('n', 0) + 1\n"
                     "    last = session.lastExecutedInfo\n"
                     "    print(last is None or (last.when.isoformat(), last.succeeded))\n"
                     "    return epr.ScopeResult(True)\n",
                     "M");
    struct answer *first = fixture_run(fixture, code, 1);
    assert_succeeded(first);
    assert_true(fixture->epm_method);
    assert_string_equal(first->finished->result, "true");
    assert_true(first->finished->user_cache_changed);
    assert_string_equal(first->finished->user_cache_json, "{\"n\":1}");
    assert_true(first->finished->last_executed_changed);
    assert_memory_equal(first->finished->output.data, "True\n", 5);
    struct pool_execution execution = fixture_execution(fixture, code, 2);
    execution.message.user_cache_json = first->finished->user_cache_json;
    execution.message.last_executed_json = first->finished->last_executed_json;
    fixture_submit(fixture, &execution, 1);
    struct answer *second = fixture_wait(fixture, execution.number);
    assert_succeeded(second);
    assert_string_equal(second->finished->user_cache_json, "{\"n\":2}");
    assert_text((char *)second->finished->output.data, "('2026-01-31T12:00:00+00:00', True)");
    fixture_free(fixture);
}

static void a_pool_of_more_runs_side_by_side_and_shrinks_when_idle(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(3, NULL);
    struct pool_code *code = fixture_code(fixture,
                                          "import time\n"
                                          "from engenho import method\n"
                                          "@method('M')\n"
                                          "def m(): time.sleep(0.05)\n",
                                          "M");
    fixture_wait_free(fixture, 3);
    struct pool_execution executions[4];
    for (size_t i = 0; i < 4; i++) {
        executions[i] = fixture_execution(fixture, code, 1);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pool_submit(fixture->pool, &executions[i], 1), 0);
    }
    assert_int_equal(pool_free_interpreters(fixture->pool), 0);
    assert_int_equal(pool_submit(fixture->pool, &executions[3], 1), -EAGAIN);
    for (size_t i = 0; i < 3; i++) {
        assert_succeeded(fixture_wait(fixture, executions[i].number));
    }
    pool_resize(fixture->pool, 1);
    while (pool_live(fixture->pool) != 1) {
        fixture_turn(fixture);
    }
    assert_succeeded(fixture_run(fixture, code, 1));
    pool_scrape(fixture->pool);
    assert_float_equal(fixture_metric(fixture, "engenho_interpreters", "idle"), 1, 0);
    assert_true(fixture_metric(fixture, "engenho_interpreter_rss_bytes", "0") > 1e6);
    fixture_free(fixture);
}

static void interpreters_are_recycled_by_count(void **state)
{
    (void)state;
    struct pool_options options = {.recycle_executions = 2};
    struct fixture *fixture = fixture_new(1, &options);
    struct pool_code *code = fixture_code(fixture, plain, "Rise");
    for (int i = 0; i < 5; i++) {
        assert_succeeded(fixture_run(fixture, code, i));
    }
    fixture_wait_free(fixture, 1);
    assert_float_equal(fixture_metric(fixture, "engenho_interpreter_starts_total", NULL), 3, 0);
    assert_float_equal(fixture_metric(fixture, "engenho_interpreter_exits_total", "recycle"), 2, 0);
    fixture_free(fixture);
}

static void an_abandoned_pool_gives_everything_back(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code = fixture_code(fixture,
                                          "import time\n"
                                          "from engenho import method\n"
                                          "@method('M')\n"
                                          "def m(): time.sleep(60)\n",
                                          "M");
    struct pool_execution batch[2] = {fixture_execution(fixture, code, 1),
                                      fixture_execution(fixture, code, 2)};
    fixture_submit(fixture, batch, 2);
    while (fixture->answers[batch[0].number].started_calls == 0) {
        fixture_turn(fixture);
    }
    pool_abandon(fixture->pool);
    assert_true(fixture_wait(fixture, batch[0].number)->returned);
    assert_true(fixture_wait(fixture, batch[1].number)->returned);
    fixture_free(fixture);
}

static void an_interpreter_that_cannot_start_is_retried_and_a_missing_one_is_one_sentence(
    void **state)
{
    (void)state;
    struct pool_options options = {.python_library = "/tmp"};
    struct fixture *fixture = fixture_new(1, &options);
    while (fixture_metric(fixture, "engenho_interpreter_exits_total", "start") < 2) {
        fixture_turn(fixture);
    }
    assert_int_equal(pool_live(fixture->pool), 0);
    struct error error;
    struct pool_options missing = fixture->options;
    missing.interpreter = "/nowhere/engenho-interpreter";
    struct pool_callbacks callbacks = {0};
    assert_null(pool_new(fixture->base, &missing, &callbacks, NULL, &error));
    assert_text(error.text, "/nowhere/engenho-interpreter");
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trivial_method_gives_its_result_and_output),
        cmocka_unit_test(every_execution_of_a_batch_is_answered_by_itself_in_order),
        cmocka_unit_test(answers_do_not_wait_for_a_slow_one_behind_them),
        cmocka_unit_test(parameters_of_the_application_and_of_the_run_reach_the_method),
        cmocka_unit_test(a_package_that_does_not_import_is_told_once_and_its_executions_come_back),
        cmocka_unit_test(an_import_that_kills_the_interpreter_is_not_loadable),
        cmocka_unit_test(two_packages_with_modules_of_one_name_do_not_disturb_each_other),
        cmocka_unit_test(a_new_version_of_a_package_gets_a_new_interpreter),
        cmocka_unit_test(user_cache_and_last_executed_go_round),
        cmocka_unit_test(a_pool_of_more_runs_side_by_side_and_shrinks_when_idle),
        cmocka_unit_test(interpreters_are_recycled_by_count),
        cmocka_unit_test(an_abandoned_pool_gives_everything_back),
        cmocka_unit_test(
            an_interpreter_that_cannot_start_is_retried_and_a_missing_one_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
