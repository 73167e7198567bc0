/*
 * The engine's batches to the pool of interpreters, and its answers back. An edge: pool.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/duration.h"
#include "common/log.h"
#include "common/memory.h"
#include "worker/service.h"

static void fill_caches(const struct execution *execution, Engenho__Execution *message)
{
    char key[1024];
    if (!execution->production->stateful) {
        return;
    }
    int length = snprintf(key, sizeof key, "cache/%s/%s", execution->production->name,
                          execution->line->ordering_key);
    struct cache *cache = NULL;
    if (length > 0 && (size_t)length < sizeof key) {
        HASH_FIND(hh, execution->line->lane->caches, key, (size_t)length, cache);
    }
    if (cache != NULL) {
        message->user_cache_json = cache->user_cache_json ? cache->user_cache_json : (char *)"";
        message->last_executed_json =
            cache->last_executed_json ? cache->last_executed_json : (char *)"";
    }
}

static void fill(const struct execution *execution, struct pool_execution *run)
{
    const struct record *record = execution->record;
    Engenho__Execution *message = &run->message;
    run->number = execution->number;
    run->code = execution->code->edge;
    engenho__execution__init(message);
    message->execution_id = (char *)execution->id;
    message->time_event_us = execution->time_event_us;
    message->nominal_us = execution->nominal_us;
    message->attempt = execution->attempt;
    message->kind = execution->kind;
    if (record->trigger != NULL) {
        message->event = record->trigger->event;
        message->parameters = record->trigger->parameters;
        message->n_parameters = record->trigger->n_parameters;
    } else {
        message->event_bytes =
            (ProtobufCBinaryData){.data = (uint8_t *)record->event, .len = record->event_bytes};
    }
    fill_caches(execution, message);
}

static int port_submit(void *context, struct execution *const *executions, size_t count)
{
    struct service *service = context;
    struct pool_execution batch[BATCH_MAX];
    if (service->pool == NULL) {
        return -EAGAIN;
    }
    for (size_t i = 0; i < count; i++) {
        fill(executions[i], &batch[i]);
    }
    return pool_submit(service->pool, batch, count);
}

static unsigned port_free(void *context)
{
    struct service *service = context;
    return service->pool != NULL ? pool_free_interpreters(service->pool) : 0;
}

static void port_cancel(void *context, uint64_t number)
{
    struct service *service = context;
    if (service->pool != NULL) {
        int result = pool_cancel(service->pool, number);
        (void)result; /* it is over already */
    }
}

void runner_fill_port(struct engine_port *port)
{
    port->submit = port_submit;
    port->free_interpreters = port_free;
    port->cancel = port_cancel;
}

static void on_free_again(void *context)
{
    service_wake(context);
}

static void on_started(void *context, uint64_t number, int64_t start_unix_us)
{
    struct service *service = context;
    const struct execution *execution = engine_find(&service->engine, number);
    if (execution != NULL && execution->record != NULL) {
        account_started(service, execution, start_unix_us);
    }
}

static void on_finished(void *context, const Engenho__Finished *finished)
{
    struct service *service = context;
    service_wake(service);
    engine_finished(&service->engine, finished);
}

static void on_returned(void *context, uint64_t number)
{
    struct service *service = context;
    service_wake(service);
    engine_returned(&service->engine, number);
}

static void on_not_loadable(void *context, const struct pool_code *pool_code,
                            const Engenho__Loaded *loaded)
{
    struct service *service = context;
    struct code *code = catalog_view_code(service->catalog, pool_code->number);
    service_wake(service);
    if (code == NULL) {
        return;
    }
    code->state = CODE_BROKEN;
    log_error("package can't be loaded", LOG_TEXT("production", code->production->name),
              LOG_TEXT("application", code->production->application),
              LOG_TEXT("package", code->production->package),
              LOG_INT("version", (int64_t)code->version), LOG_TEXT("reason", loaded->error),
              LOG_TEXT("class", loaded->error_class), LOG_TEXT("traceback", loaded->traceback));
    catalog_view_break(service->catalog, code, loaded);
}

static void on_loaded(void *context, const struct pool_code *pool_code,
                      const Engenho__Loaded *loaded)
{
    (void)context;
    log_info("method loaded", LOG_TEXT("package", pool_code->load->package),
             LOG_INT("version", (int64_t)pool_code->load->package_version),
             LOG_TEXT("method", pool_code->load->method), LOG_INT("import_us", loaded->import_us));
}

int runner_start(struct service *service, struct error *error)
{
    static const struct pool_callbacks callbacks = {.free_again = on_free_again,
                                                    .started = on_started,
                                                    .finished = on_finished,
                                                    .returned = on_returned,
                                                    .not_loadable = on_not_loadable,
                                                    .loaded = on_loaded};
    const struct config *config = service->config;
    char interpreter[4096], work[4096];
    if (config->interpreter != NULL) {
        snprintf(interpreter, sizeof interpreter, "%s", config->interpreter);
    } else {
        ssize_t length = readlink("/proc/self/exe", interpreter, sizeof interpreter - 1);
        interpreter[length < 0 ? 0 : length] = '\0';
        char *slash = strrchr(interpreter, '/');
        snprintf(slash ? slash + 1 : interpreter, 64, "engenho-interpreter");
    }
    if (config->work_dir != NULL) {
        snprintf(work, sizeof work, "%s", config->work_dir);
    } else {
        snprintf(work, sizeof work, "%s/work-%s", config->cache_dir, config->name);
    }
    struct pool_options options = {
        .interpreter = interpreter,
        .python_library = config->python_library,
        .work_directory = work,
        .count = service->interpreters,
        .kill_grace_us = SECOND_US,
        .recycle_executions = (uint64_t)config->recycle_executions,
        .recycle_age_us = config->recycle_age_us,
        .recycle_rss_bytes = (uint64_t)config->recycle_rss_bytes,
        .agent = config->agent,
        .metrics = service->metrics,
    };
    service->pool = pool_new(service->base, &options, &callbacks, service, error);
    return service->pool != NULL ? 0 : -EIO;
}
