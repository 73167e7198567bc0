/*
 * A pool of real interpreters for tests: packages written from text, executions submitted one by
 * one or in batches, their answers kept.
 */
#ifndef ENGENHO_TESTS_UNIT_WORKER_POOL_FIXTURE_H
#define ENGENHO_TESTS_UNIT_WORKER_POOL_FIXTURE_H

/* clang-format off: cmocka.h needs the others before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <event2/event.h>
#include <stdbool.h>

#include "common/metrics.h"
#include "worker/pool.h"

#define FIXTURE_ANSWERS_MAX 4096
#define FIXTURE_CODES_MAX 64

struct answer {
    uint64_t number;
    bool returned;
    int started_calls;
    int64_t started_us;
    Engenho__Finished *finished; /* NULL until it is over, and for what was returned */
};

struct fixture {
    struct event_base *base;
    struct metrics *metrics;
    struct pool *pool;
    char directory[64];
    struct pool_options options;
    struct pool_code codes[FIXTURE_CODES_MAX];
    Engenho__Load loads[FIXTURE_CODES_MAX];
    size_t code_count;
    struct answer answers[FIXTURE_ANSWERS_MAX];
    uint64_t last_number;
    size_t free_calls, loaded_calls, not_loadable_calls;
    char not_loadable[1024], not_loadable_class[128];
    bool epm_method;
    char *stack;
    bool stack_came;
};

/*
 * A pool of `count` interpreters. `options` may be NULL: what it sets is kept, the rest is filled.
 */
struct fixture *fixture_new(unsigned count, const struct pool_options *options);
void fixture_free(struct fixture *fixture);

/*
 * A package with one file main.py of this text; its method `method`. Change the returned code's
 * limits as needed.
 */
struct pool_code *fixture_code(struct fixture *fixture, const char *text, const char *method);
/* Another method of the same package. */
struct pool_code *fixture_method(struct fixture *fixture, const struct pool_code *of,
                                 const char *method);
/* Write a file into a code's package. */
void fixture_write(const struct pool_code *code, const char *file, const char *text);
Engenho__Load *fixture_load(struct pool_code *code);
void fixture_parameter(struct pool_code *code, const char *name, const char *json);

/* An execution with a data event plant/Tank1 = value, previous value - 1. */
struct pool_execution fixture_execution(struct fixture *fixture, const struct pool_code *code,
                                        double value);
/* Submit when an interpreter is free. */
void fixture_submit(struct fixture *fixture, const struct pool_execution *executions, size_t count);
/* Run the loop until `number` is answered; fails the test after 30 s. */
struct answer *fixture_wait(struct fixture *fixture, uint64_t number);
/* Both for one execution. */
struct answer *fixture_run(struct fixture *fixture, const struct pool_code *code, double value);
/* One pass of the loop, a tenth of a second at most. */
void fixture_turn(struct fixture *fixture);
void fixture_wait_free(struct fixture *fixture, unsigned count);
double fixture_metric(struct fixture *fixture, const char *name, const char *label);

void assert_succeeded(const struct answer *answer);
void assert_outcome(const struct answer *answer, Engenho__Outcome outcome, const char *error_class);
void assert_text(const char *whole, const char *part);

#endif
