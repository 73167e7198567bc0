#include "worker/service.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/labels.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/random.h"

#define TICK_MS 100      /* a look without a wake-up: polls, leases, timeouts */
#define AGAIN_US 1000000 /* after what could not be started */
#define REFUSAL_TOLD_US (60 * SECOND_US)
#define TURN_MIN_US 100
#define DUE_MAX 10000 /* retries of a lane in memory; the others are read again later */

void service_wake(struct service *service)
{
    if (!service->awake) {
        service->awake = true;
        engine_set_time(&service->engine, clock_mono_us(), clock_unix_us());
        event_active(service->turn_event, EV_TIMEOUT, 0);
    }
}

void service_start_over(struct service *service, const char *reason)
{
    if (!service->remake) {
        log_warn("starting over from the committed offsets", LOG_TEXT("reason", reason));
    }
    service->remake = true;
    service_wake(service);
}

/* The licensor. */

static void on_registered(void *context, const Engenho__Registered *registered, bool resumed)
{
    struct service *service = context;
    struct error error;
    uint32_t wanted = (uint32_t)service->config->interpreters;
    service->unlicensed[0] = '\0';
    log_info(resumed ? "session goes on" : "registered", LOG_TEXT("edition", registered->edition),
             LOG_INT("slot", registered->slot), LOG_INT("interpreters", registered->interpreters));
    if (!resumed && service->phase > PHASE_LICENCE && service->phase < PHASE_LEAVING) {
        service_start_over(service, "the licensor gave a new session");
    }
    service->slot = registered->slot;
    service->strict = registered->strict;
    service->interpreters = registered->interpreters == 0 ? 1 : registered->interpreters;
    if (wanted > 0 && wanted < service->interpreters) {
        service->interpreters = wanted;
    }
    if (service->pool != NULL) {
        pool_resize(service->pool, service->interpreters);
    } else if (runner_start(service, &error) != 0) {
        service->pool_failed = true;
        log_error("interpreters can't be started", LOG_TEXT("reason", error.text));
    }
    free(service->session);
    service->session = memory_copy_text(registered->session);
    service->engine.options.session = service->session;
    service->engine.options.session = service->session;
    if (resumed) {
        for (const struct seat *seat = service->engine.seats.first; seat != NULL;
             seat = seat->next) {
            if (seat->state == SEAT_ASKED) {
                licence_client_acquire(service->licence, seat);
            }
        }
    } else {
        engine_set_time(&service->engine, clock_mono_us(), clock_unix_us());
        engine_seats_lost(&service->engine);
    }
    service_wake(service);
}

static void on_refused(void *context, const Engenho__Refused *refused)
{
    struct service *service = context;
    if (strcmp(service->unlicensed, refused->text) != 0) {
        log_warn("not registered; trying on", LOG_TEXT("reason", refused->text));
    }
    snprintf(service->unlicensed, sizeof service->unlicensed, "%s", refused->text);
    metric_add(metrics_series(
                   service->metrics, "engenho_worker_registrations_refused_total",
                   METRIC_VALUES(service->config->agent,
                                 label_of(&engenho__refusal_reason__descriptor, refused->reason))),
               1);
}

static void on_session_lost(void *context)
{
    struct service *service = context;
    log_warn("the licensor does not know our session any more");
    snprintf(service->unlicensed, sizeof service->unlicensed,
             "the session was lost; registering again");
}

static void on_limits(void *context, uint32_t interpreters)
{
    struct service *service = context;
    uint32_t wanted = (uint32_t)service->config->interpreters;
    uint32_t count = wanted > 0 && wanted < interpreters ? wanted : interpreters;
    if (count != service->interpreters && service->pool != NULL) {
        log_info("the licence gives another number of interpreters",
                 LOG_INT("interpreters", count));
        service->interpreters = count;
        pool_resize(service->pool, count);
    }
}

static void on_granted(void *context, const Engenho__Granted *granted, uint64_t request)
{
    struct service *service = context;
    engine_set_time(&service->engine, clock_mono_us(), clock_unix_us());
    engine_granted(&service->engine, granted, request);
    service_wake(service);
}

/* The licensor has decided, and remembers it; otherwise it could not, and may have granted. */
static bool is_for_good(Engenho__RefusalReason reason)
{
    return reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_POOL_LIMIT ||
           reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_EDITION_LIMIT ||
           reason == ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_POOL;
}

/* Asked for again each second for as long as it is wanted; a reason is logged once a minute. */
static void on_seat_refused(void *context, uint64_t request, const Engenho__Refused *refused)
{
    struct service *service = context;
    if (strncmp(service->seat_refusal, refused->text, sizeof service->seat_refusal - 1) != 0 ||
        clock_mono_us() > service->seat_refusal_us + REFUSAL_TOLD_US) {
        char id[128]; /* as `engenho seats explain` takes it */
        snprintf(id, sizeof id, "%s:%" PRIu64, licence_client_session(service->licence), request);
        log_warn("no seat; it is asked for again until there is one", LOG_TEXT("request", id),
                 LOG_TEXT("reason", refused->text));
        snprintf(service->seat_refusal, sizeof service->seat_refusal, "%s", refused->text);
        service->seat_refusal_us = clock_mono_us();
    }
    if (is_for_good(refused->reason)) {
        seats_refused(&service->engine.seats, request);
    }
    service->ask_again_us =
        clock_mono_us() + (refused->retry_after_us > 0 ? refused->retry_after_us : AGAIN_US);
}

static void on_seat_lost(void *context, uint64_t token)
{
    struct service *service = context;
    log_warn("a seat is not ours any more", LOG_INT("token", (int64_t)token));
    engine_set_time(&service->engine, clock_mono_us(), clock_unix_us());
    engine_seat_lost(&service->engine, token);
    service_wake(service);
}

static void on_waited(void *context, const char *pool)
{
    struct service *service = context;
    seats_free_lingering(&service->engine.seats, pool);
}

static void on_connected(void *context, bool connected, const char *reason)
{
    struct service *service = context;
    if (connected) {
        log_info("connected to the licensor", LOG_TEXT("address", service->config->licensor));
    } else {
        log_warn("no connection to the licensor; trying on",
                 LOG_TEXT("address", service->config->licensor), LOG_TEXT("reason", reason));
    }
    if (!connected && service->phase <= PHASE_LICENCE && service->unlicensed[0] == '\0') {
        snprintf(service->unlicensed, sizeof service->unlicensed,
                 "no connection to the licensor at %s", service->config->licensor);
    }
}

static void port_acquire(void *context, const struct seat *seat)
{
    struct service *service = context;
    licence_client_acquire(service->licence, seat);
}

static void port_release(void *context, const struct seat *seat)
{
    struct service *service = context;
    if (service->licence != NULL) {
        licence_client_release(service->licence, seat);
    }
}

/* Kafka. */

static void on_record(void *context, const rd_kafka_message_t *message)
{
    struct service *service = context;
    const char *name =
        topic_without_prefix(service->config->kafka.prefix, rd_kafka_topic_name(message->rkt));
    struct lane_io *io;
    if (name != NULL && !strcmp(name, TOPIC_CATALOG)) {
        catalog_view_record(service->catalog, message);
        return;
    }
    LIST_FOREACH (io, &service->lanes, next) {
        if (io->partition == message->partition &&
            !strcmp(io->state_topic, rd_kafka_topic_name(message->rkt))) {
            takeover_state_record(io, message);
            return;
        }
    }
}

static void on_caught_up(void *context, const char *topic, int32_t partition)
{
    struct service *service = context;
    const char *name = topic_without_prefix(service->config->kafka.prefix, topic);
    struct lane_io *io;
    service->broker_seen = true;
    if (name != NULL && !strcmp(name, TOPIC_CATALOG)) {
        log_info("catalog read");
        service->catalog_read = true;
        service_wake(service);
        return;
    }
    LIST_FOREACH (io, &service->lanes, next) {
        if (io->partition == partition && !strcmp(io->state_topic, topic)) {
            takeover_state_caught_up(io);
            return;
        }
    }
}

static void on_trouble(void *context, const char *sentence)
{
    (void)context;
    log_warn("reading catalog or state", LOG_TEXT("reason", sentence));
}

/* Phases. */

static void leave(struct service *service)
{
    engine_allow(&service->engine, false);
    if (service->pool != NULL) {
        pool_abandon(service->pool);
    }
    engine_txn_gone(&service->engine);
    struct lane_io *io;
    while ((io = LIST_FIRST(&service->lanes)) != NULL) {
        consume_drop_lane(service, io);
    }
    publish_stop(service);
    takeover_free(service->takeover);
    service->takeover = NULL;
    consume_leave(service);
    service->phase = PHASE_LEAVING;
    service->remake = false;
}

static void enter_group(struct service *service)
{
    struct error error;
    service->engine.options.slot = service->slot;
    engine_txn_ready(&service->engine);
    service->takeover = takeover_new(service);
    service->phase = PHASE_GROUP;
    if (consume_start(service, &error) != 0) {
        service_start_over(service, error.text);
    }
}

static void advance(struct service *service)
{
    switch (service->phase) {
    case PHASE_LICENCE:
        if (service->stopping) {
            service->phase = PHASE_STOPPED;
        } else if (licence_client_registered(service->licence) && service->pool != NULL &&
                   follower_has_broker(service->follower)) {
            service->phase = PHASE_PRODUCERS;
            publish_start(service);
        }
        break;
    case PHASE_PRODUCERS:
        if (service->stopping) {
            service->remake = true;
        } else if (service->txns_ready == 2 && service->catalog_read) {
            enter_group(service);
        }
        break;
    case PHASE_LEAVING:
        if (consume_left(service)) {
            consume_stop(service);
            service->phase = service->stopping ? PHASE_STOPPED : PHASE_LICENCE;
            if (!service->stopping) {
                licence_client_confirm(service->licence);
            }
            service_wake(service);
        }
        break;
    default:
        break;
    }
    if (service->phase == PHASE_STOPPED) {
        event_base_loopbreak(service->base);
    }
}

/*
 * A stop: what runs may finish until its time is over; then everything is committed and the group
 * is left.
 */
static void drain(struct service *service)
{
    struct lane_io *io;
    bool closed = true;
    if (service->phase != PHASE_GROUP) {
        return;
    }
    if (!service->abandoned && clock_mono_us() >= service->drain_until_us) {
        log_warn("scripts did not end in time; they run again elsewhere",
                 LOG_INT("running", (int64_t)service->engine.running_count));
        service->abandoned = true;
        LIST_FOREACH (io, &service->lanes, next) {
            engine_cut_lane(&service->engine, io->lane);
        }
        pool_abandon(service->pool);
    }
    LIST_FOREACH (io, &service->lanes, next) {
        engine_close_lane(&service->engine, io->lane);
        closed = closed && io->lane->state == LANE_CLOSED;
    }
    if (closed && engine_txn_idle(&service->engine)) {
        leave(service);
    }
}

static void ask_refused_again(struct service *service)
{
    if (service->ask_again_us == 0 || clock_mono_us() < service->ask_again_us) {
        return;
    }
    service->ask_again_us = 0;
    for (const struct seat *seat = service->engine.seats.first; seat != NULL; seat = seat->next) {
        if (seat->state == SEAT_ASKED) {
            licence_client_acquire(service->licence, seat);
        }
    }
}

static void schedule_turn(struct service *service, int64_t next_us)
{
    int64_t wait_us = next_us - clock_mono_us();
    if (next_us == INT64_MAX) {
        return;
    }
    wait_us = wait_us < TURN_MIN_US ? TURN_MIN_US : wait_us;
    struct timeval wait = {.tv_sec = wait_us / SECOND_US, .tv_usec = wait_us % SECOND_US};
    event_add(service->turn_event, &wait);
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
    struct service *service = context;
    struct engine *engine = &service->engine;
    (void)fd;
    (void)what;
    service->awake = false;
    engine_set_time(engine, clock_mono_us(), clock_unix_us());
    if (service->remake && (service->phase == PHASE_PRODUCERS || service->phase == PHASE_GROUP)) {
        leave(service);
    }
    advance(service);
    if (service->catalog_read) {
        catalog_view_apply(service->catalog);
    }
    ask_refused_again(service);
    engine_allow(engine, service->phase == PHASE_GROUP && !service->stopping &&
                             licence_client_may_start(service->licence, engine->now_us));
    lease_tick(service);
    bool more = consume_turn(service);
    publish_turn(service);
    subscribe_tick(service);
    if (service->takeover != NULL) {
        takeover_tick(service->takeover);
    }
    int64_t next_us = engine_turn(engine);
    if (service->stopping) {
        drain(service);
    }
    if (service->phase == PHASE_GROUP) {
        consume_check_revoked(service);
        trim_tick(service);
    }
    if (more || service->remake) {
        service_wake(service);
    } else {
        schedule_turn(service, next_us);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    service_wake(context);
}

static void on_kafka_wake(evutil_socket_t fd, short what, void *context)
{
    on_turn(fd, what, context);
}

static void init_engine(struct service *service)
{
    const struct config *config = service->config;
    uint64_t life;
    random_bytes(&life, sizeof life);
    struct engine_options options = {
        .agent = config->agent,
        .worker = config->name,
        .group = service->group,
        .session = "",
        .life = life,
        .isolate = config->delivery == DELIVERY_EXACTLY_ONCE,
        .commit_interval_us = config->commit_interval_us,
        .urgent_us = config->commit_interval_us < 5000 ? config->commit_interval_us : 5000,
        .results_per_commit = (uint32_t)config->results_per_commit,
        .open_max = (uint32_t)config->open_max,
        .due_max = DUE_MAX,
        .seat_linger_us = config->seat_linger_us,
        .park_after_us = config->park_after_us,
        .catalog_wait_us = config->catalog_wait_us,
    };
    struct engine_port port = {
        .context = service,
        .seats = {.context = service, .acquire = port_acquire, .release = port_release}};
    publish_fill_port(&port);
    runner_fill_port(&port);
    account_fill_port(&port);
    catalog_view_fill_port(&port);
    consume_fill_port(&port);
    engine_init(&service->engine, &options, &port);
}

static int start_edges(struct service *service, struct error *error)
{
    static const struct follower_callbacks follower_callbacks = {
        .record = on_record, .caught_up = on_caught_up, .trouble = on_trouble};
    static const struct licence_client_callbacks licence_callbacks = {
        .registered = on_registered,
        .refused = on_refused,
        .session_lost = on_session_lost,
        .limits = on_limits,
        .granted = on_granted,
        .seat_refused = on_seat_refused,
        .seat_lost = on_seat_lost,
        .waited = on_waited,
        .connected = on_connected};
    const struct config *config = service->config;
    char topic[TOPIC_NAME_BYTES_MAX];
    struct licence_client_options licence = {.name = config->name,
                                             .agent = config->agent,
                                             .interpreters = (uint32_t)config->interpreters,
                                             .seats = &service->engine.seats};
    if (address_parse(config->licensor, &licence.address, error) != 0) {
        return -EINVAL;
    }
    service->packages = packages_new(config->cache_dir, (uint64_t)config->cache_bytes, error);
    service->follower =
        service->packages == NULL
            ? NULL
            : follower_new(service->base, &config->kafka, &follower_callbacks, service, error);
    service->fetch = service->follower == NULL ? NULL
                                               : package_fetch_new(service->base, &config->kafka,
                                                                   service->packages, error);
    if (service->fetch == NULL ||
        follower_add(service->follower, topic_name(config->kafka.prefix, TOPIC_CATALOG, topic), 0,
                     RD_KAFKA_OFFSET_BEGINNING, error) != 0) {
        return -EIO;
    }
    struct admin_options admin = {.address = config->admin_listen,
                                  .metrics = service->metrics,
                                  .before_scrape = account_scrape,
                                  .context = service};
    probes_fill(&admin);
    service->admin = admin_new(service->base, &admin, error);
    if (service->admin == NULL) {
        return -EIO;
    }
    service->txn_thread = txn_thread_new(service->base);
    service->licence = licence_client_new(service->base, &licence, &licence_callbacks, service);
    return 0;
}

struct service *service_new(struct event_base *base, const struct config *config,
                            struct error *error)
{
    struct service *service = memory_new(1, sizeof *service);
    service->base = base;
    service->config = config;
    LIST_INIT(&service->lanes);
    snprintf(service->group, sizeof service->group, "%s%s", config->kafka.prefix, config->agent);
    service->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(service->wake_fd >= 0);
    service->turn_event = evtimer_new(base, on_turn, service);
    service->tick_event = event_new(base, -1, EV_PERSIST, on_tick, service);
    service->wake_event =
        event_new(base, service->wake_fd, EV_READ | EV_PERSIST, on_kafka_wake, service);
    event_add(service->tick_event, &(struct timeval){.tv_usec = TICK_MS * 1000});
    event_add(service->wake_event, NULL);
    service->metrics = metrics_new("worker", worker_metrics, worker_metrics_count);
    metrics_build_label(service->metrics, "librdkafka", rd_kafka_version_str());
    account_begin(service);
    service->catalog = catalog_view_new(service);
    init_engine(service);
    service->polled_us = clock_mono_us();
    if (start_edges(service, error) != 0) {
        service_free(service);
        return NULL;
    }
    return service;
}

void service_stop(struct service *service)
{
    service->stopping = true;
    service->drain_until_us = clock_mono_us() + service->config->drain_us;
    log_info("stopping: what runs may finish",
             LOG_INT("running", (int64_t)service->engine.running_count));
    service_wake(service);
}

void service_free(struct service *service)
{
    if (service == NULL) {
        return;
    }
    pool_free(service->pool);
    service->pool = NULL;
    engine_txn_gone(&service->engine);
    publish_stop(service);
    takeover_free(service->takeover);
    consume_stop(service);
    engine_release(&service->engine);
    licence_client_free(service->licence);
    service->licence = NULL;
    package_fetch_free(service->fetch);
    catalog_view_free(service->catalog);
    follower_free(service->follower);
    packages_free(service->packages);
    txn_thread_free(service->txn_thread);
    admin_free(service->admin);
    event_free(service->turn_event);
    event_free(service->tick_event);
    event_free(service->wake_event);
    close(service->wake_fd);
    metrics_free(service->metrics);
    free(service->session);
    free(service);
}
