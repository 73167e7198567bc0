/* The model's interpreters and its licensor. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/worker/model.h"

#define UNIX_US MODEL_UNIX_US

static unsigned port_free(void *context)
{
    struct model *model = context;
    unsigned count = 0;
    for (size_t i = 0; i < INTERPRETERS; i++) {
        count += model->interpreters[i].count == 0;
    }
    return count;
}

static int port_submit(void *context, struct execution *const *executions, size_t count)
{
    struct model *model = context;
    if (!model->calm && model_chance(model, 20)) {
        return -EAGAIN;
    }
    for (size_t i = 0; i < count; i++) {
        if (executions[i]->time_event_us % TOO_LARGE == 0) {
            return -EMSGSIZE;
        }
    }
    for (size_t i = 0; i < INTERPRETERS; i++) {
        struct seat_of_work *interpreter = &model->interpreters[i];
        if (interpreter->count == 0) {
            *interpreter = (struct seat_of_work){.count = count};
            for (size_t j = 0; j < count; j++) {
                interpreter->batch[j] = executions[j];
                interpreter->numbers[j] = executions[j]->number;
            }
            /* Nobody else is at work on the key. */
            for (size_t k = 0; k < INTERPRETERS; k++) {
                for (size_t j = 0; k != i && j < model->interpreters[k].count; j++) {
                    struct execution *other =
                        engine_find(&model->engine, model->interpreters[k].numbers[j]);
                    for (size_t m = 0; other != NULL && other->line != NULL && m < count; m++) {
                        assert(other->line != executions[m]->line || !other->line->ordered);
                    }
                }
            }
            return 0;
        }
    }
    return -EAGAIN;
}

static void port_cancel(void *context, uint64_t number)
{
    struct model *model = context;
    for (size_t i = 0; i < INTERPRETERS; i++) {
        for (size_t j = 0; j < model->interpreters[i].count; j++) {
            if (model->interpreters[i].numbers[j] == number) {
                model->interpreters[i].cancelled = true;
            }
        }
    }
}

void model_run_one(struct model *model, struct seat_of_work *interpreter)
{
    struct engine *engine = &model->engine;
    uint64_t number = interpreter->numbers[interpreter->next];
    struct execution *execution = engine_find(engine, number);
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    char cache[32];
    if (execution == NULL) {
        abort();
    }
    finished.number = number;
    finished.start_us = model->now_us + UNIX_US;
    finished.end_us = finished.start_us + (int64_t)random_below(&model->random, 300);
    finished.outcome = ENGENHO__OUTCOME__OUTCOME_SUCCEEDED;
    if (model_chance(model, 12)) {
        finished.outcome = ENGENHO__OUTCOME__OUTCOME_FAILED;
        finished.error_class = (char *)"ValueError";
        finished.not_retryable = model_chance(model, 5);
    } else if (execution->line != NULL && execution->production->stateful) {
        char key[600];
        snprintf(key, sizeof key, "cache/%s/%s", execution->production->name,
                 execution->line->ordering_key);
        struct cache *found;
        struct cache *caches = execution->line->lane->caches;
        HASH_FIND(hh, caches, key, strlen(key), found);
        long before =
            found && found->user_cache_json ? strtol(found->user_cache_json, NULL, 10) : 0;
        snprintf(cache, sizeof cache, "%ld", before + 1);
        finished.user_cache_changed = true;
        finished.user_cache_json = cache;
        finished.result = cache;
    }
    bool crashed = !model->calm && model_chance(model, 60);
    if (crashed) {
        finished.outcome = ENGENHO__OUTCOME__OUTCOME_CRASHED;
        finished.error_class = (char *)"InterpreterCrash";
        finished.user_cache_changed = false;
        model->crashes++;
    }
    interpreter->next++;
    model->runs++;
    engine_finished(engine, &finished);
    if (crashed) {
        while (interpreter->next < interpreter->count) {
            engine_returned(engine, interpreter->numbers[interpreter->next++]);
        }
    }
    if (interpreter->next == interpreter->count) {
        interpreter->count = 0;
    }
}

/* The licensor. */

static void port_acquire(void *context, const struct seat *seat)
{
    struct model *model = context;
    assert(model->asked_count < ASKED_MAX);
    model->asked[model->asked_count++] = seat->request;
}

static void port_release(void *context, const struct seat *seat)
{
    struct model *model = context;
    for (size_t i = 0; i < model->asked_count; i++) {
        if (model->asked[i] == seat->request) {
            model->asked[i] = model->asked[--model->asked_count];
            return;
        }
    }
}

void model_grant_one(struct model *model)
{
    if (model->asked_count == 0) {
        return;
    }
    size_t at = random_below(&model->random, model->asked_count);
    uint64_t request = model->asked[at];
    const struct seat *seat = seats_find(&model->engine.seats, request);
    if (model->refused != NULL && seat != NULL && !strcmp(seat->production, model->refused)) {
        return;
    }
    model->asked[at] = model->asked[--model->asked_count];
    Engenho__Granted granted = ENGENHO__GRANTED__INIT;
    granted.pool = (char *)"productions";
    granted.token = request;
    granted.number = request;
    engine_granted(&model->engine, &granted, request);
}

void model_fill_pool_port(struct model *model, struct engine_port *port)
{
    port->submit = port_submit;
    port->free_interpreters = port_free;
    port->cancel = port_cancel;
    port->seats =
        (struct seats_port){.context = model, .acquire = port_acquire, .release = port_release};
}
