/*
 * Scripts that crash, hang, flood and attack: each ends as PITFALLS says, what shares its batch is
 * unharmed, and the pool is healthy again within two seconds.
 */
#include "tests/unit/worker/pool_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define HEALTHY_US (2 * SECOND_US)
#define STARTS 8 /* of interpreters: so long, where that is more, because the machine is busy */
#define TIME_LIMIT_US (SECOND_US / 2)

/* Value 2 misbehaves by `body`; everything else returns its value. */
#define SCRIPT(body)                                                                               \
    "import ctypes, os, signal, subprocess, sys, threading, time\n"                                \
    "from engenho import method, NotRetryable\n"                                                   \
    "@method('M')\n"                                                                               \
    "def m(event):\n"                                                                              \
    "    print('value', event.value)\n"                                                            \
    "    if event.value != 2: return event.value\n" body

/*
 * Run a batch of three whose second misbehaves, beside a well-behaved one on another interpreter.
 * Returns the second's answer; the first must have succeeded, the third succeeded or came back, and
 * afterwards everything works in time.
 */
static struct answer *misbehave(struct fixture *fixture, struct pool_code *code)
{
    struct pool_code *good = fixture_code(fixture, SCRIPT(""), "M");
    struct pool_execution batch[3] = {fixture_execution(fixture, code, 1),
                                      fixture_execution(fixture, code, 2),
                                      fixture_execution(fixture, code, 3)};
    struct pool_execution beside = fixture_execution(fixture, good, 7);
    int64_t begun_us = clock_mono_us();
    fixture_wait_free(fixture, 2);
    int64_t start_us = clock_mono_us() - begun_us;
    fixture_submit(fixture, batch, 3);
    fixture_submit(fixture, &beside, 1);
    assert_succeeded(fixture_wait(fixture, beside.number));
    struct answer *answer = fixture_wait(fixture, batch[1].number);
    int64_t over_us = clock_mono_us();
    assert_succeeded(fixture_wait(fixture, batch[0].number));
    struct answer *third = fixture_wait(fixture, batch[2].number);
    if (!third->returned) {
        assert_succeeded(third);
    }
    for (int i = 0; i < 2; i++) {
        assert_succeeded(fixture_run(fixture, code, 4));
        assert_succeeded(fixture_run(fixture, good, 5));
    }
    fixture_wait_free(fixture, 2);
    int64_t limit_us = STARTS * start_us > HEALTHY_US ? STARTS * start_us : HEALTHY_US;
    assert_true(clock_mono_us() - over_us < limit_us);
    assert_false(answer->returned);
    assert_int_equal(answer->started_calls, 1);
    return answer;
}

static void exit_without_a_word_is_a_crash_with_its_output(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2, NULL);
    struct answer *answer =
        misbehave(fixture, fixture_code(fixture, SCRIPT("    os._exit(1)\n"), "M"));
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_CRASHED, "InterpreterCrash");
    assert_string_equal(answer->finished->error,
                        "the interpreter exited with code 1 while the method ran");
    assert_int_equal(answer->finished->output.len, strlen("value 2.0\n"));
    assert_true(answer->finished->start_us > 0 &&
                answer->finished->end_us >= answer->finished->start_us);
    fixture_free(fixture);
}

static void a_segmentation_fault_and_an_abort_are_crashes(void **state)
{
    (void)state;
    static const char *const bodies[] = {SCRIPT("    os.write(1, b'raw'); ctypes.string_at(0)\n"),
                                         SCRIPT("    os.abort()\n")};
    static const char *const words[] = {"signal 11", "signal 6"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture = fixture_new(2, NULL);
        struct answer *answer = misbehave(fixture, fixture_code(fixture, bodies[i], "M"));
        assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_CRASHED, "InterpreterCrash");
        assert_text(answer->finished->error, words[i]);
        if (i == 0) {
            assert_int_equal(answer->finished->output.len, strlen("value 2.0\nraw"));
        }
        fixture_free(fixture);
    }
}

static void an_endless_loop_is_interrupted_with_its_traceback(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2, NULL);
    struct pool_code *code = fixture_code(fixture, SCRIPT("    while True: pass\n"), "M");
    code->time_limit_us = TIME_LIMIT_US;
    struct answer *answer = misbehave(fixture, code);
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_TIMED_OUT, "TimeLimit");
    assert_string_equal(answer->finished->error, "it ran longer than its time limit of 500ms");
    assert_text(answer->finished->traceback, "KeyboardInterrupt");
    assert_text(answer->finished->traceback, "line 7, in m");
    /* Nobody was killed for it. */
    assert_float_equal(fixture_metric(fixture, "engenho_interpreter_starts_total", NULL), 2, 0);
    fixture_free(fixture);
}

static void what_never_sees_an_interrupt_is_killed(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        SCRIPT("    sum(range(10**11))\n"),
        SCRIPT(
            "    while True:\n        try:\n            time.sleep(10)\n        except BaseException: pass\n"),
        SCRIPT("    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True: pass\n"),
        SCRIPT("    os.kill(os.getpid(), signal.SIGSTOP)\n"),
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct fixture *fixture = fixture_new(2, NULL);
        struct pool_code *code = fixture_code(fixture, bodies[i], "M");
        code->time_limit_us = TIME_LIMIT_US;
        struct answer *answer = misbehave(fixture, code);
        assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_TIMED_OUT, "TimeLimit");
        assert_true(answer->finished->end_us - answer->finished->start_us < 4 * SECOND_US);
        assert_float_equal(fixture_metric(fixture, "engenho_interpreter_exits_total", "timeout"), 1,
                           0);
        fixture_free(fixture);
    }
}

static void an_interrupt_never_hits_the_next_execution(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    /* Each ends just about when its limit does; the next one must never see the interrupt. */
    struct pool_code *code =
        fixture_code(fixture,
                     "import time\n"
                     "from engenho import method\n"
                     "@method('M')\n"
                     "def m(event):\n"
                     "    end = time.monotonic() + (0.1 if event.value % 2 else 0.01)\n"
                     "    while time.monotonic() < end: pass\n",
                     "M");
    code->time_limit_us = 100000;
    struct pool_execution batch[40];
    for (size_t i = 0; i < 40; i++) {
        batch[i] = fixture_execution(fixture, code, (double)i);
    }
    fixture_submit(fixture, batch, 40);
    for (size_t i = 0; i < 40; i++) {
        struct answer *answer = fixture_wait(fixture, batch[i].number);
        if (answer->finished->outcome != ENGENHO__OUTCOME__OUTCOME_SUCCEEDED) {
            assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_TIMED_OUT, "TimeLimit");
            /* It was its own limit that ended it. */
            assert_true(answer->finished->end_us - answer->finished->start_us >=
                        code->time_limit_us);
        }
    }
    fixture_free(fixture);
}

static void a_hundred_megabytes_of_output_are_cut(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        SCRIPT("    for _ in range(100): print('x' * 1048576)\n"),
        SCRIPT("    for _ in range(100): os.write(1, b'x' * 1048576)\n"),
        SCRIPT("    subprocess.run(['head', '-c', '100000000', '/dev/zero'], check=True)\n"),
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct fixture *fixture = fixture_new(2, NULL);
        struct pool_code *code = fixture_code(fixture, bodies[i], "M");
        code->memory_limit_bytes = 200 * 1024 * 1024;
        struct answer *answer = misbehave(fixture, code);
        assert_succeeded(answer);
        assert_true(answer->finished->output_truncated);
        assert_int_equal(answer->finished->output.len, 64 * 1024);
        assert_memory_equal(answer->finished->output.data, "value 2.0\n", 10);
        fixture_free(fixture);
    }
}

static void output_of_children_and_of_c_code_belongs_to_its_execution(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2, NULL);
    struct pool_code *code = fixture_code(fixture,
                                          SCRIPT("    os.write(2, b'one ')\n"
                                                 "    subprocess.run(['echo', 'two'])\n"
                                                 "    ctypes.CDLL(None).puts(b'three')\n"
                                                 /* one write: print's line is two, and what C
                                                    code prints may come between them */
                                                 "    sys.stderr.write('\\udcff caf\\xe9\\n')\n"
                                                 "    os.write(1, b'\\xff\\n')\n"),
                                          "M");
    struct answer *answer = misbehave(fixture, code);
    assert_succeeded(answer);
    static const char *const parts[] = {"value 2.0\n",           "one ", "two\n", "three\n",
                                        "\\udcff caf\xc3\xa9\n", "?\n"};
    char *text = strndup((char *)answer->finished->output.data, answer->finished->output.len);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_text(text, parts[i]);
    }
    free(text);
    fixture_free(fixture);
}

static void exceptions_are_failures_with_one_sentence(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2, NULL);
    struct answer *answer = misbehave(
        fixture, fixture_code(fixture, SCRIPT("    raise NotRetryable('no\\nway')\n"), "M"));
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_FAILED, "NotRetryable");
    assert_string_equal(answer->finished->error, "no way");
    assert_true(answer->finished->not_retryable);
    struct pool_code *code = fixture_code(fixture, SCRIPT("    sys.exit('enough')\n"), "M");
    assert_outcome(fixture_run(fixture, code, 2), ENGENHO__OUTCOME__OUTCOME_FAILED, "SystemExit");
    code = fixture_code(fixture, SCRIPT("    raise KeyboardInterrupt\n"), "M");
    assert_outcome(fixture_run(fixture, code, 2), ENGENHO__OUTCOME__OUTCOME_FAILED,
                   "KeyboardInterrupt");
    code = fixture_code(fixture, SCRIPT("    return {'a': [1, object()]}\n"), "M");
    answer = fixture_run(fixture, code, 2);
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_FAILED, "TypeError");
    assert_text(answer->finished->error,
                "the returned value['a'][1] is a object, which is not JSON");
    code = fixture_code(
        fixture,
        SCRIPT("    return [float('nan'), float('inf'), -float('inf'), 10**30, '\\x00\"']\n"), "M");
    answer = fixture_run(fixture, code, 2);
    assert_succeeded(answer);
    assert_string_equal(
        answer->finished->result,
        "[\"NaN\",\"Infinity\",\"-Infinity\",1000000000000000000000000000000,\"\\u0000\\\"\"]");
    code = fixture_code(
        fixture,
        SCRIPT(
            "    class Bad(Exception):\n        def __str__(self): raise ValueError\n    raise Bad\n"),
        "M");
    answer = fixture_run(fixture, code, 2);
    assert_text(answer->finished->error, "__str__ raised ValueError");
    code = fixture_code(fixture, SCRIPT("    f = lambda n: f(n + 1)\n    f(0)\n"), "M");
    answer = fixture_run(fixture, code, 2);
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_FAILED, "RecursionError");
    assert_true(strlen(answer->finished->traceback) <= 8192);
    code = fixture_code(fixture, SCRIPT("    raise ValueError('long ' * 100000)\n"), "M");
    answer = fixture_run(fixture, code, 2);
    assert_true(strlen(answer->finished->traceback) <= 8192);
    assert_true(strlen(answer->finished->error) <= 1000);
    fixture_free(fixture);
}

static void recursion_in_c_is_a_crash(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2, NULL);
    struct pool_code *code = fixture_code(
        fixture,
        SCRIPT("    sys.setrecursionlimit(10**9)\n    f = lambda n: [f(n + 1)]\n    x = []\n"
               "    for _ in range(10**7): x = [x]\n    return repr(x)\n"),
        "M");
    struct answer *answer = misbehave(fixture, code);
    assert_true(answer->finished->outcome == ENGENHO__OUTCOME__OUTCOME_CRASHED ||
                answer->finished->outcome == ENGENHO__OUTCOME__OUTCOME_FAILED);
    fixture_free(fixture);
}

static void children_that_outlive_it_are_killed_with_the_interpreter(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        SCRIPT("    print(subprocess.Popen([\'sleep\', \'300\'], start_new_session=True).pid)\n"),
        SCRIPT("    os.system(\'sleep 300 & echo $!\')\n"),
        SCRIPT("    print(subprocess.Popen(['sleep', '300']).pid)\n"),
        SCRIPT("    pid = os.fork()\n    if pid == 0: time.sleep(300)\n    print(pid)\n"),
    };
    for (size_t i = 0; i < 4; i++) {
        struct fixture *fixture = fixture_new(2, NULL);
        struct answer *answer = misbehave(fixture, fixture_code(fixture, bodies[i], "M"));
        assert_succeeded(answer);
        long pid = strtol((char *)answer->finished->output.data + strlen("value 2.0\n"), NULL, 10);
        assert_true(pid > 1);
        int64_t limit_us = clock_mono_us() + HEALTHY_US;
        char path[64];
        char line[256] = "";
        do {
            /* Dead is gone, or a zombie that init will take. */
            snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
            FILE *in = fopen(path, "r");
            line[0] = '\0';
            if (in != NULL) {
                (void)!fgets(line, sizeof(line), in);
                fclose(in);
                fixture_turn(fixture);
            }
        } while (line[0] != '\0' && strstr(line, ") Z") == NULL && clock_mono_us() < limit_us);
        assert_true(line[0] == '\0' || strstr(line, ") Z") != NULL);
        fixture_free(fixture);
    }
}

static void a_forked_child_that_returns_answers_nothing(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2, NULL);
    struct pool_code *code = fixture_code(
        fixture,
        SCRIPT(
            "    pid = os.fork()\n    if pid == 0: return 'child'\n    os.waitpid(pid, 0)\n    return 'parent'\n"),
        "M");
    struct answer *answer = misbehave(fixture, code);
    assert_succeeded(answer);
    assert_string_equal(answer->finished->result, "\"parent\"");
    fixture_free(fixture);
}

static void closing_every_descriptor_is_a_crash_at_worst(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2, NULL);
    struct answer *answer =
        misbehave(fixture, fixture_code(fixture, SCRIPT("    os.closerange(3, 4096)\n"), "M"));
    if (answer->finished->outcome != ENGENHO__OUTCOME__OUTCOME_SUCCEEDED) {
        /* Else its answer was found in the shared memory. */
        assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_CRASHED, "InterpreterCrash");
    }
    fixture_free(fixture);
    /* Descriptor 3 is not ours any more. */
    fixture = fixture_new(2, NULL);
    answer = misbehave(
        fixture,
        fixture_code(fixture,
                     SCRIPT("    try: os.close(3)\n    except OSError: pass\n"
                            "    try: os.write(3, b'garbage')\n    except OSError: pass\n"),
                     "M"));
    assert_succeeded(answer);
    fixture_free(fixture);
}

static void garbage_on_the_connection_kills_the_interpreter(void **state)
{
    (void)state;
    static const char *const garbage[] = {"b'\\xff' * 65536", "b'\\0\\0\\0\\4\\xff\\xff\\xff\\xff'",
                                          /* An answer for an execution that it does not have. */
                                          "b'\\0\\0\\0\\6\\x3a\\4\\x08\\xe7\\x07\\x10'"};
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        char body[1024];
        struct fixture *fixture = fixture_new(2, NULL);
        /* The answer before it leaves within 1 ms: then it is not behind the garbage. */
        snprintf(
            body, sizeof(body),
            SCRIPT(
                "    time.sleep(0.05)\n"
                "    for fd in os.listdir('/proc/self/fd'):\n"
                "        try:\n"
                "            if os.readlink('/proc/self/fd/' + fd).startswith('socket:'): os.write(int(fd), %s)\n"
                "        except OSError: pass\n"
                "    time.sleep(30)\n"),
            garbage[i]);
        struct answer *answer = misbehave(fixture, fixture_code(fixture, body, "M"));
        assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_CRASHED, "InterpreterCrash");
        fixture_free(fixture);
    }
}

static void signals_that_a_script_sends_end_at_its_own_interpreter(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        SCRIPT("    os.killpg(0, signal.SIGTERM)\n    time.sleep(30)\n"),
        SCRIPT("    os.kill(os.getpid(), signal.SIGKILL)\n")};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture = fixture_new(2, NULL);
        struct answer *answer = misbehave(fixture, fixture_code(fixture, bodies[i], "M"));
        assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_CRASHED, "InterpreterCrash");
        fixture_free(fixture);
    }
}

static void memory_without_end_is_stopped_at_the_limit(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        SCRIPT("    x = bytearray(b'x') * 10**10\n"),
        SCRIPT("    x = []\n    while True: x.append(bytearray(b'x' * 1000000))\n"),
        SCRIPT("    x = []\n    while True: x.append(object())\n"),
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct fixture *fixture = fixture_new(2, NULL);
        struct pool_code *code = fixture_code(fixture, bodies[i], "M");
        code->memory_limit_bytes = 128 * 1024 * 1024;
        struct answer *answer = misbehave(fixture, code);
        assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_OUT_OF_MEMORY, "MemoryLimit");
        assert_string_equal(answer->finished->error,
                            "it used more memory than its limit of 128 MiB");
        fixture_free(fixture);
    }
}

static void a_running_execution_is_cancelled_and_shows_its_stack(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code = fixture_code(fixture, SCRIPT("    sum(range(10**11))\n"), "M");
    struct pool_execution execution = fixture_execution(fixture, code, 2);
    fixture_submit(fixture, &execution, 1);
    while (fixture->answers[execution.number].started_calls == 0) {
        fixture_turn(fixture);
    }
    /* A stack even of what holds the GIL in C. */
    assert_int_equal(pool_stack(fixture->pool, execution.number), 0);
    while (!fixture->stack_came) {
        fixture_turn(fixture);
    }
    assert_text(fixture->stack, "line 7 in m");
    assert_int_equal(pool_cancel(fixture->pool, execution.number), 0);
    struct answer *answer = fixture_wait(fixture, execution.number);
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_CANCELLED, "Cancelled");
    assert_int_equal(pool_cancel(fixture->pool, execution.number), -ENOENT);
    assert_int_equal(pool_stack(fixture->pool, execution.number), -ENOENT);
    fixture_free(fixture);
}

static void a_user_cache_that_is_not_json_is_one_sentence(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1, NULL);
    struct pool_code *code =
        fixture_code(fixture,
                     "from engenho import method\n"
                     "@method('M')\n"
                     "def m(session): session.userCache['when'] = session.timeEvent\n"
                     "@method('N')\n"
                     "def n(session): session.userCache[1] = 2\n",
                     "M");
    struct pool_code *other = fixture_method(fixture, code, "N");
    fixture_load(code)->state = true;
    struct answer *answer = fixture_run(fixture, code, 1);
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_FAILED, "TypeError");
    assert_text(answer->finished->error,
                "session.userCache['when'] is a datetime.datetime, which is not JSON");
    answer = fixture_run(fixture, other, 1);
    assert_outcome(answer, ENGENHO__OUTCOME__OUTCOME_FAILED, "AttributeError");
    assert_text(answer->finished->error, "needs `state: true`");
    fixture_load(other)->state = true;
    struct pool_code *again = fixture_method(fixture, code, "N");
    fixture_load(again)->state = true;
    answer = fixture_run(fixture, again, 1);
    assert_text(answer->finished->error, "session.userCache has the key 1, which is not text");
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_without_a_word_is_a_crash_with_its_output),
        cmocka_unit_test(a_segmentation_fault_and_an_abort_are_crashes),
        cmocka_unit_test(an_endless_loop_is_interrupted_with_its_traceback),
        cmocka_unit_test(what_never_sees_an_interrupt_is_killed),
        cmocka_unit_test(an_interrupt_never_hits_the_next_execution),
        cmocka_unit_test(a_hundred_megabytes_of_output_are_cut),
        cmocka_unit_test(output_of_children_and_of_c_code_belongs_to_its_execution),
        cmocka_unit_test(exceptions_are_failures_with_one_sentence),
        cmocka_unit_test(recursion_in_c_is_a_crash),
        cmocka_unit_test(children_that_outlive_it_are_killed_with_the_interpreter),
        cmocka_unit_test(a_forked_child_that_returns_answers_nothing),
        cmocka_unit_test(closing_every_descriptor_is_a_crash_at_worst),
        cmocka_unit_test(garbage_on_the_connection_kills_the_interpreter),
        cmocka_unit_test(signals_that_a_script_sends_end_at_its_own_interpreter),
        cmocka_unit_test(memory_without_end_is_stopped_at_the_limit),
        cmocka_unit_test(a_running_execution_is_cancelled_and_shows_its_stack),
        cmocka_unit_test(a_user_cache_that_is_not_json_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
