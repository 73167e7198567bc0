#include "worker/production.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static void read_trigger(struct production *production, const Engenho__Production *definition)
{
    production->trigger = definition->trigger_case;
    switch (definition->trigger_case) {
    case ENGENHO__PRODUCTION__TRIGGER_DATA:
        production->connection = memory_copy_text(definition->data->connection);
        production->object = memory_copy_text(definition->data->object);
        break;
    case ENGENHO__PRODUCTION__TRIGGER_NAMED:
        production->connection = memory_copy_text(definition->named->connection);
        production->object = memory_copy_text(definition->named->name);
        break;
    case ENGENHO__PRODUCTION__TRIGGER_TRANSITION:
        production->process = memory_copy_text(definition->transition->process);
        production->from_stage = memory_copy_text(definition->transition->from_stage);
        production->to_stage = memory_copy_text(definition->transition->to_stage);
        break;
    case ENGENHO__PRODUCTION__TRIGGER_SCHEDULE:
        production->overlap = definition->schedule->overlap;
        break;
    default:
        break;
    }
}

static Engenho__Ordering resolve_ordering(const Engenho__Production *definition, bool epm_method)
{
    if (definition->ordering != ENGENHO__ORDERING__ORDERING_DEFAULT) {
        return definition->ordering;
    }
    if (epm_method || definition->trigger_case == ENGENHO__PRODUCTION__TRIGGER_SCHEDULE ||
        definition->trigger_case == ENGENHO__PRODUCTION__TRIGGER__NOT_SET) {
        return ENGENHO__ORDERING__ORDERING_PRODUCTION;
    }
    return ENGENHO__ORDERING__ORDERING_KEY;
}

static void read_definition(struct production *production, const Engenho__Production *definition,
                            bool epm_method)
{
    production->started_us = definition->started_us;
    production->ordering = resolve_ordering(definition, epm_method);
    production->retry =
        (struct retry_policy){.retries = definition->retries, .wait_us = definition->retry_wait_us};
    production->abort_on_new_event = definition->abort_on_new_event;
    production->stateful = (definition->state || epm_method) &&
                           production->ordering != ENGENHO__ORDERING__ORDERING_NONE;
    production->keeps_state = production->stateful || production->abort_on_new_event;
    production->breaker_failures = definition->breaker_failures;
    production->seat_kind = definition->seat_kind == ENGENHO__SEAT_KIND__SEAT_KIND_DEFAULT
                                ? ENGENHO__SEAT_KIND__SEAT_KIND_HELD
                                : definition->seat_kind;
    production->pool_count = definition->n_seat_pools;
    production->pools = memory_new(definition->n_seat_pools + 1, sizeof *production->pools);
    for (size_t i = 0; i < definition->n_seat_pools; i++) {
        production->pools[i] = memory_copy_text(definition->seat_pools[i]);
    }
    production->time_limit_us = definition->time_limit_us;
    production->memory_limit_bytes = definition->memory_limit_bytes;
    production->output_limit_bytes = definition->output_limit_bytes;
    read_trigger(production, definition);
}

struct production *production_new(const struct production_options *options, struct error *error)
{
    const Engenho__Production *definition = options->definition;
    struct when *when = NULL;
    if (definition != NULL && definition->trigger_case == ENGENHO__PRODUCTION__TRIGGER_DATA &&
        definition->data->when[0] != '\0') {
        when = when_new(definition->data->when, error);
        if (when == NULL) {
            return NULL;
        }
    }
    struct production *production = memory_new(1, sizeof *production);
    production->references = 1;
    production->when = when;
    production->name = memory_copy_text(options->name);
    production->application = memory_copy_text(options->application_name);
    production->package =
        memory_copy_text(options->application != NULL ? options->application->package : "");
    production->generation = options->generation;
    production->active_version = options->active_version;
    production->undecided = options->undecided;
    production->forget = options->forget;
    production->forget_context = options->forget_context;
    if (definition != NULL) {
        read_definition(production, definition, options->epm_method);
    } else {
        production->ordering = ENGENHO__ORDERING__ORDERING_NONE;
        production->seat_kind = ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST;
    }
    return production;
}

struct production *production_use(struct production *production)
{
    production->references++;
    return production;
}

void production_drop(struct production *production)
{
    if (production == NULL || --production->references > 0) {
        return;
    }
    while (production->codes != NULL) {
        struct code *code = production->codes;
        production->codes = code->next;
        if (production->forget != NULL) {
            production->forget(production->forget_context, code);
        }
        free(code->account);
        free(code);
    }
    for (size_t i = 0; i < production->pool_count; i++) {
        free(production->pools[i]);
    }
    free(production->pools);
    free(production->name);
    free(production->application);
    free(production->package);
    free(production->connection);
    free(production->object);
    free(production->process);
    free(production->from_stage);
    free(production->to_stage);
    when_free(production->when);
    free(production);
}

struct code *production_code(struct production *production, uint64_t version, bool *ret_new)
{
    if (version == 0) {
        version = production->active_version;
    }
    for (struct code *code = production->codes; code != NULL; code = code->next) {
        if (code->version == version) {
            *ret_new = false;
            return code;
        }
    }
    struct code *code = memory_new(1, sizeof *code);
    code->version = version;
    code->production = production;
    code->next = production->codes;
    production->codes = code;
    *ret_new = true;
    return code;
}
