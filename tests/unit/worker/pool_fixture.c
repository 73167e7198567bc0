/*
 * A pool of real interpreters for tests.
 */
#include "tests/unit/worker/pool_fixture.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "worker/pool_metrics.h"

#define WAIT_US (60 * SECOND_US)

static struct answer *answer_of(struct fixture *fixture, uint64_t number)
{
    assert_true(number >= 1 && number < FIXTURE_ANSWERS_MAX);
    struct answer *answer = &fixture->answers[number];
    answer->number = number;
    return answer;
}

static void on_free(void *context)
{
    ((struct fixture *)context)->free_calls++;
}

static void on_started(void *context, uint64_t number, int64_t start_unix_us)
{
    struct answer *answer = answer_of(context, number);
    answer->started_calls++;
    answer->started_us = start_unix_us;
}

static void on_finished(void *context, const Engenho__Finished *finished)
{
    struct answer *answer = answer_of(context, finished->number);
    assert_null(answer->finished);
    assert_false(answer->returned);
    size_t bytes = engenho__finished__get_packed_size(finished);
    uint8_t *packed = memory_new(1, bytes + 1);
    engenho__finished__pack(finished, packed);
    answer->finished = engenho__finished__unpack(NULL, bytes, packed);
    assert_non_null(answer->finished);
    free(packed);
}

static void on_returned(void *context, uint64_t number)
{
    struct answer *answer = answer_of(context, number);
    assert_null(answer->finished);
    assert_false(answer->returned);
    answer->returned = true;
}

static void on_not_loadable(void *context, const struct pool_code *code,
                            const Engenho__Loaded *loaded)
{
    struct fixture *fixture = context;
    assert_int_equal(code->number, loaded->code);
    fixture->not_loadable_calls++;
    snprintf(fixture->not_loadable, sizeof(fixture->not_loadable), "%s", loaded->error);
    snprintf(fixture->not_loadable_class, sizeof(fixture->not_loadable_class), "%s",
             loaded->error_class);
}

static void on_loaded(void *context, const struct pool_code *code, const Engenho__Loaded *loaded)
{
    struct fixture *fixture = context;
    assert_int_equal(code->number, loaded->code);
    fixture->loaded_calls++;
    fixture->epm_method = loaded->epm_method;
}

static void on_stack(void *context, uint64_t number, const char *text)
{
    struct fixture *fixture = context;
    (void)number;
    fixture->stack_came = true;
    free(fixture->stack);
    fixture->stack = memory_copy_text(text);
}

struct fixture *fixture_new(unsigned count, const struct pool_options *options)
{
    struct fixture *fixture = memory_new(1, sizeof(*fixture));
    struct error error = {{0}};
    log_start("test", LOG_LEVEL_ERROR);
    snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/engenho-pool-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->base = event_base_new();
    fixture->metrics = metrics_new("worker", pool_metrics, pool_metrics_count);
    if (options != NULL) {
        fixture->options = *options;
    }
    struct pool_options *own = &fixture->options;
    own->interpreter = own->interpreter != NULL ? own->interpreter : TEST_INTERPRETER;
    own->python_library = own->python_library != NULL ? own->python_library : TEST_PYTHON_LIBRARY;
    own->work_directory = fixture->directory;
    own->count = count;
    own->agent = "default";
    own->metrics = fixture->metrics;
    struct pool_callbacks callbacks = {.free_again = on_free,
                                       .started = on_started,
                                       .finished = on_finished,
                                       .returned = on_returned,
                                       .not_loadable = on_not_loadable,
                                       .loaded = on_loaded,
                                       .stack = on_stack};
    fixture->pool = pool_new(fixture->base, own, &callbacks, fixture, &error);
    if (fixture->pool == NULL) {
        fail_msg("%s", error.text);
    }
    return fixture;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    (void)remove(path);
    return 0;
}

void fixture_free(struct fixture *fixture)
{
    pool_free(fixture->pool);
    metrics_free(fixture->metrics);
    event_base_free(fixture->base);
    for (size_t i = 0; i < FIXTURE_ANSWERS_MAX; i++) {
        if (fixture->answers[i].finished != NULL) {
            engenho__finished__free_unpacked(fixture->answers[i].finished, NULL);
        }
    }
    for (size_t i = 0; i < fixture->code_count; i++) {
        Engenho__Load *load = &fixture->loads[i];
        for (size_t p = 0; p < load->n_parameters; p++) {
            free(load->parameters[p]->name);
            free(load->parameters[p]->json);
            free(load->parameters[p]);
        }
        free(load->parameters);
        free(load->directory);
        free(load->package);
        free(load->method);
    }
    free(fixture->stack);
    nftw(fixture->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
}

Engenho__Load *fixture_load(struct pool_code *code)
{
    return (Engenho__Load *)code->load;
}

static struct pool_code *new_code(struct fixture *fixture, const char *directory,
                                  const char *package, const char *method)
{
    assert_true(fixture->code_count < FIXTURE_CODES_MAX);
    size_t index = fixture->code_count++;
    Engenho__Load *load = &fixture->loads[index];
    engenho__load__init(load);
    load->code = (uint32_t)index + 1;
    load->directory = memory_copy_text(directory);
    load->package = memory_copy_text(package);
    load->method = memory_copy_text(method);
    load->output_limit_bytes = 64 * 1024;
    fixture->codes[index] = (struct pool_code){.number = load->code, .load = load};
    return &fixture->codes[index];
}

struct pool_code *fixture_code(struct fixture *fixture, const char *text, const char *method)
{
    char *directory = memory_print("%s/package-%zu", fixture->directory, fixture->code_count + 1);
    char package[32];
    snprintf(package, sizeof(package), "package-%zu", fixture->code_count + 1);
    assert_int_equal(mkdir(directory, 0700), 0);
    struct pool_code *code = new_code(fixture, directory, package, method);
    free(directory);
    fixture_write(code, "main.py", text);
    return code;
}

struct pool_code *fixture_method(struct fixture *fixture, const struct pool_code *of,
                                 const char *method)
{
    return new_code(fixture, of->load->directory, of->load->package, method);
}

void fixture_write(const struct pool_code *code, const char *file, const char *text)
{
    char *path = memory_print("%s/%s", code->load->directory, file);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    free(path);
}

void fixture_parameter(struct pool_code *code, const char *name, const char *json)
{
    Engenho__Load *load = fixture_load(code);
    load->parameters =
        memory_resize(load->parameters, load->n_parameters + 1, sizeof(*load->parameters));
    Engenho__Parameter *parameter = memory_new(1, sizeof(*parameter));
    engenho__parameter__init(parameter);
    parameter->name = memory_copy_text(name);
    parameter->json = memory_copy_text(json);
    load->parameters[load->n_parameters++] = parameter;
}

struct pool_execution fixture_execution(struct fixture *fixture, const struct pool_code *code,
                                        double value)
{
    static Engenho__Value values[FIXTURE_ANSWERS_MAX][2];
    static Engenho__Event events[FIXTURE_ANSWERS_MAX];
    uint64_t number = ++fixture->last_number;
    assert_true(number < FIXTURE_ANSWERS_MAX);
    Engenho__Event *event = &events[number];
    engenho__event__init(event);
    for (size_t i = 0; i < 2; i++) {
        engenho__value__init(&values[number][i]);
        values[number][i].kind_case = ENGENHO__VALUE__KIND_NUMBER;
        values[number][i].number = value - (double)i;
    }
    event->connection = (char *)"plant";
    event->object = (char *)"Tank1";
    event->value = &values[number][0];
    event->previous = &values[number][1];
    event->timestamp_us = INT64_C(1769860800000000);
    struct pool_execution execution = {.number = number, .code = code};
    engenho__execution__init(&execution.message);
    execution.message.event = event;
    execution.message.time_event_us = event->timestamp_us;
    execution.message.attempt = 1;
    execution.message.kind = ENGENHO__TRIGGER_KIND__TRIGGER_KIND_EVENT;
    execution.message.execution_id = (char *)"default/events/0/1/p";
    return execution;
}

static void on_alarm(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    (void)context;
}

void fixture_turn(struct fixture *fixture)
{
    struct timeval tenth = {.tv_usec = 100000};
    event_base_once(fixture->base, -1, EV_TIMEOUT, on_alarm, NULL, &tenth);
    event_base_loop(fixture->base, EVLOOP_ONCE);
}

void fixture_wait_free(struct fixture *fixture, unsigned count)
{
    int64_t limit_us = clock_mono_us() + WAIT_US;
    while (pool_free_interpreters(fixture->pool) < count) {
        if (clock_mono_us() > limit_us) {
            fail_msg("%u of %u interpreters became free", pool_free_interpreters(fixture->pool),
                     count);
        }
        fixture_turn(fixture);
    }
}

void fixture_submit(struct fixture *fixture, const struct pool_execution *executions, size_t count)
{
    int result;
    do {
        fixture_wait_free(fixture, 1);
        result = pool_submit(fixture->pool, executions, count);
    } while (result == -EAGAIN);
    assert_int_equal(result, 0);
}

struct answer *fixture_wait(struct fixture *fixture, uint64_t number)
{
    struct answer *answer = answer_of(fixture, number);
    int64_t limit_us = clock_mono_us() + WAIT_US;
    while (answer->finished == NULL && !answer->returned) {
        if (clock_mono_us() > limit_us) {
            fail_msg("execution %llu was not answered", (unsigned long long)number);
        }
        fixture_turn(fixture);
    }
    return answer;
}

struct answer *fixture_run(struct fixture *fixture, const struct pool_code *code, double value)
{
    struct pool_execution execution = fixture_execution(fixture, code, value);
    fixture_submit(fixture, &execution, 1);
    return fixture_wait(fixture, execution.number);
}

double fixture_metric(struct fixture *fixture, const char *name, const char *label)
{
    return metric_value(metrics_series(fixture->metrics, name, METRIC_VALUES("default", label)));
}

void assert_succeeded(const struct answer *answer)
{
    assert_false(answer->returned);
    if (answer->finished->outcome != ENGENHO__OUTCOME__OUTCOME_SUCCEEDED) {
        fail_msg("outcome %d: %s: %s\n%s%.*s", (int)answer->finished->outcome,
                 answer->finished->error_class, answer->finished->error,
                 answer->finished->traceback, (int)answer->finished->output.len,
                 (const char *)answer->finished->output.data);
    }
}

void assert_outcome(const struct answer *answer, Engenho__Outcome outcome, const char *error_class)
{
    assert_false(answer->returned);
    if (answer->finished->outcome != outcome ||
        strcmp(answer->finished->error_class, error_class) != 0) {
        fail_msg("outcome %d, not %d: class %s, not %s: %s\n%s", (int)answer->finished->outcome,
                 (int)outcome, answer->finished->error_class, error_class, answer->finished->error,
                 answer->finished->traceback);
    }
}

void assert_text(const char *whole, const char *part)
{
    if (whole == NULL || strstr(whole, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, whole != NULL ? whole : "(nothing)");
    }
}
