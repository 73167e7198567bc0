/*
 * Metrics and log of what the engine does.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/labels.h"
#include "common/log.h"
#include "common/memory.h"
#include "worker/service.h"

static const char *outcome_label(Engenho__Outcome outcome)
{
    return label_of(&engenho__outcome__descriptor, outcome);
}

/* Series that every execution needs are looked up once for each trigger kind and outcome. */
static struct metric *executions_of(struct service *service, Engenho__TriggerKind kind,
                                    Engenho__Outcome outcome)
{
    struct metric **place =
        (unsigned)kind < ACCOUNT_KINDS_MAX && (unsigned)outcome < ACCOUNT_OUTCOMES_MAX
            ? &service->series.executions[kind][outcome]
            : NULL;
    if (place != NULL && *place != NULL) {
        return *place;
    }
    struct metric *metric = metrics_series(
        service->metrics, "engenho_executions_total",
        METRIC_VALUES(service->config->agent, label_of(&engenho__trigger_kind__descriptor, kind),
                      outcome_label(outcome)));
    if (place != NULL) {
        *place = metric;
    }
    return metric;
}

void account_begin(struct service *service)
{
    static const char *const rebalances[] = {"assign", "revoke", "lost"};
    static const char *const letters[] = {"execution", "undecodable"};
    const char *agent = service->config->agent;
    const ProtobufCEnumDescriptor *kinds = &engenho__trigger_kind__descriptor;
    const ProtobufCEnumDescriptor *outcomes = &engenho__outcome__descriptor;
    for (unsigned k = 0; k < kinds->n_values; k++) {
        for (unsigned o = 0; o < outcomes->n_values; o++) {
            if (kinds->values[k].value != 0 && outcomes->values[o].value != 0) {
                (void)executions_of(service, (Engenho__TriggerKind)kinds->values[k].value,
                                    (Engenho__Outcome)outcomes->values[o].value);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(rebalances); i++) {
        (void)metrics_series(service->metrics, "engenho_kafka_rebalances_total",
                             METRIC_VALUES(agent, rebalances[i], "cooperative"));
    }
    for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
        (void)metrics_series(service->metrics, "engenho_dlq_messages_total",
                             METRIC_VALUES(agent, letters[i]));
    }
    static const char *const plain[] = {
        "engenho_retries_total", "engenho_kafka_max_poll_exceeded_total",
        "engenho_worker_records_lost_total", "engenho_worker_slots_fenced_total",
        "engenho_worker_overruns_total"};
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        (void)metrics_series(service->metrics, plain[i], METRIC_VALUES(agent));
    }
}

/* A series for each trigger kind of one family, looked up once. */
static struct metric *of_kind(struct service *service, struct metric **known, const char *name,
                              Engenho__TriggerKind kind)
{
    struct metric **place = (unsigned)kind < ACCOUNT_KINDS_MAX ? &known[kind] : NULL;
    if (place != NULL && *place != NULL) {
        return *place;
    }
    struct metric *metric = metrics_series(
        service->metrics, name,
        METRIC_VALUES(service->config->agent, label_of(&engenho__trigger_kind__descriptor, kind)));
    if (place != NULL) {
        *place = metric;
    }
    return metric;
}

static struct metric *durations_of(struct service *service, Engenho__TriggerKind kind)
{
    return of_kind(service, service->series.durations, "engenho_execution_duration_seconds", kind);
}

void account_started(struct service *service, const struct execution *execution,
                     int64_t start_unix_us)
{
    double wait_s = (double)(start_unix_us - execution->record->timestamp_us) / 1e6;
    metric_observe(of_kind(service, service->series.waits, "engenho_execution_queue_wait_seconds",
                           execution->kind),
                   wait_s < 0 ? 0 : wait_s);
}

/* What one code counts; kept with it, so that an execution costs no look-up. */
static struct code_account *account_of(struct service *service, struct code *code)
{
    struct code_account *account = code->account;
    if (account != NULL) {
        return account;
    }
    account = memory_new(1, sizeof *account);
    code->account = account;
    char version[32];
    const char *agent = service->config->agent, *script = code->production->application;
    snprintf(version, sizeof version, "%llu", (unsigned long long)code->version);
    account->sum = metrics_series(service->metrics, "engenho_script_duration_seconds_sum",
                                  METRIC_VALUES(agent, script, version));
    account->count = metrics_series(service->metrics, "engenho_script_duration_seconds_count",
                                    METRIC_VALUES(agent, script, version));
    account->last_success =
        metrics_series(service->metrics, "engenho_script_last_success_timestamp_seconds",
                       METRIC_VALUES(agent, script, version));
    return account;
}

static void count_script(struct service *service, const struct execution *execution,
                         const Engenho__Finished *finished)
{
    struct code_account *account = account_of(service, execution->code);
    unsigned outcome = (unsigned)finished->outcome;
    if (outcome < ARRAY_SIZE(account->outcomes)) {
        if (account->outcomes[outcome] == NULL) {
            char version[32];
            snprintf(version, sizeof version, "%llu", (unsigned long long)execution->code->version);
            account->outcomes[outcome] = metrics_series(
                service->metrics, "engenho_script_executions_total",
                METRIC_VALUES(service->config->agent, execution->production->application, version,
                              outcome_label(finished->outcome)));
        }
        metric_add(account->outcomes[outcome], 1);
    }
    if (finished->start_us > 0) {
        metric_add(account->sum, (double)(finished->end_us - finished->start_us) / 1e6);
        metric_add(account->count, 1);
    }
    if (finished->outcome == ENGENHO__OUTCOME__OUTCOME_SUCCEEDED) {
        metric_set(account->last_success, (double)finished->end_us / 1e6);
    } else if (retry_is_failure(finished->outcome)) {
        metric_add(
            metrics_series(service->metrics, "engenho_script_exceptions_total",
                           METRIC_VALUES(service->config->agent, execution->production->application,
                                         finished->error_class)),
            1);
    }
}

static void port_ended(void *context, const struct execution *execution,
                       const Engenho__Finished *finished, enum retry_verdict verdict)
{
    struct service *service = context;
    const char *agent = service->config->agent;
    metric_add(executions_of(service, execution->kind, finished->outcome), 1);
    if (finished->start_us > 0) {
        metric_observe(durations_of(service, execution->kind),
                       (double)(finished->end_us - finished->start_us) / 1e6);
    }
    count_script(service, execution, finished);
    if (execution->waived && service->licence != NULL) {
        licence_client_waived(service->licence, execution->own_seat ? execution->own_seat->pool
                                                                    : execution->holder->seat.pool);
    }
    if (verdict == RETRY_AGAIN) {
        metric_add(metrics_series(service->metrics, "engenho_retries_total", METRIC_VALUES(agent)),
                   1);
        metric_observe(
            metrics_series(service->metrics, "engenho_retry_delay_seconds", METRIC_VALUES(agent)),
            (double)execution->production->retry.wait_us / 1e6);
    } else if (verdict == RETRY_DEAD_LETTER) {
        metric_add(metrics_series(service->metrics, "engenho_dlq_messages_total",
                                  METRIC_VALUES(agent, "execution")),
                   1);
        log_warn("execution failed for good: dead letter", LOG_TEXT("execution", execution->id),
                 LOG_TEXT("production", execution->production->name),
                 LOG_INT("attempt", execution->attempt), LOG_TEXT("class", finished->error_class),
                 LOG_TEXT("reason", finished->error));
    }
}

static void port_dead_letter(void *context, const struct record *record, const char *reason)
{
    struct service *service = context;
    metric_add(metrics_series(service->metrics, "engenho_dlq_messages_total",
                              METRIC_VALUES(service->config->agent, "undecodable")),
               1);
    log_warn("record can't be worked on: dead letter", LOG_TEXT("topic", record->lane->topic),
             LOG_INT("partition", record->lane->partition), LOG_INT("offset", record->offset),
             LOG_BOOL("later", record->from_later), LOG_TEXT("reason", reason));
}

static void port_held(void *context, const struct holder *holder, const char *reason)
{
    (void)context;
    log_error("production stopped; its backlog is kept",
              LOG_TEXT("production", holder->production->name), LOG_TEXT("reason", reason));
}

static void port_lost(void *context, const struct emit *emit)
{
    (void)context;
    log_error("a record is larger than the broker takes and can't be made smaller; it is left out",
              LOG_INT("kind", emit->topic), LOG_INT("bytes", (int64_t)emit->value_bytes));
}

void account_fill_port(struct engine_port *port)
{
    port->ended = port_ended;
    port->dead_letter = port_dead_letter;
    port->held = port_held;
    port->lost = port_lost;
}

static void set(struct service *service, const char *name, double value)
{
    metric_set(metrics_series(service->metrics, name, METRIC_VALUES(service->config->agent)),
               value);
}

static void scrape_lane(struct service *service, const struct lane_io *io)
{
    char partition[16];
    snprintf(partition, sizeof partition, "%d", io->partition);
    const char *const *values = METRIC_VALUES(service->config->agent, io->lane->topic, partition);
    metric_set(metrics_series(service->metrics, "engenho_kafka_committed_offset", values),
               (double)io->lane->committed);
    metric_set(metrics_series(service->metrics, "engenho_kafka_position", values),
               (double)io->lane->input.cursor);
}

void account_scrape(void *context)
{
    struct service *service = context;
    const struct lane_io *io;
    const struct holder *holder, *following;
    unsigned lanes = 0, waiting = 0, held = 0;
    size_t queued = 0;
    uint64_t parked = 0;
    LIST_FOREACH (io, &service->lanes, next) {
        lanes++;
        queued += io->input.queue != NULL ? rd_kafka_queue_length(io->input.queue) : 0;
        scrape_lane(service, io);
    }
    for (holder = service->engine.holders; holder != NULL; holder = following) {
        following = holder->hh.next;
        waiting += holder->waiting;
        parked += holder->parked;
        held += holder->state == HOLDER_HELD;
    }
    set(service, "engenho_executions_in_flight", (double)service->engine.running_count);
    set(service, "engenho_executions_waiting", waiting);
    set(service, "engenho_executions_parked", (double)parked);
    set(service, "engenho_productions_held", held);
    set(service, "engenho_worker_registered", licence_client_registered(service->licence));
    set(service, "engenho_package_cache_bytes", (double)packages_bytes(service->packages));
    set(service, "engenho_package_cache_evictions", (double)packages_evicted(service->packages));
    set(service, "engenho_worker_cut_off",
        service->session != NULL && !licence_client_may_start(service->licence, clock_mono_us()));
    set(service, "engenho_worker_seats_held", service->engine.seats.held);
    set(service, "engenho_worker_seats_asked", service->engine.seats.asked);
    set(service, "engenho_kafka_assigned_partitions", lanes);
    set(service, "engenho_kafka_fetch_queue_messages", (double)queued);
    set(service, "engenho_kafka_broker_up", service->broker_seen);
    set(service, "engenho_kafka_last_poll_timestamp_seconds",
        (double)(clock_unix_us() - (clock_mono_us() - service->polled_us)) / 1e6);
    set(service, "engenho_kafka_stalled_partitions", probes_stalled(service));
    if (service->pool != NULL) {
        pool_scrape(service->pool);
    }
}
