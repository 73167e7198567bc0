/*
 * What the licensor does by itself: each second it asks the store for its clock, tells it when that
 * clock stepped, has the dead reaped and lines served, and brings gauges up to date; each minute it
 * reads the licences again.
 *
 * The clock: the store's wall clock is compared with our monotonic one. What it may be lies between
 * what the last reading and the time since then allow; anything else is a step, by which the store
 * shifts every deadline.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "licensor/service_private.h"

#define LICENCES_EVERY_US (60 * SECOND_US)
#define STEP_MS_MIN 1000
#define LATER_US_MIN (60 * SECOND_US)

static void on_licence_refused(void *context, const char *path, const char *reason)
{
    struct service *service = context;
    log_warn("licence refused", LOG_TEXT("file", path), LOG_TEXT("reason", reason));
    snprintf(service->licence_warning, sizeof(service->licence_warning), "%s: %s", path, reason);
}

static void show_limits(struct service *service)
{
    const struct limits *limits = &service->limits;
    for (enum edition edition = EDITION_DEMO; edition <= EDITION_FULL; edition++) {
        metric_set(metrics_series(service->metrics, "engenho_license_mode",
                                  METRIC_VALUES(edition_word(edition))),
                   edition == limits->edition ? 1 : 0);
    }
    metric_set(metrics_series(service->metrics, "engenho_license_keys", METRIC_VALUES(NULL)),
               limits->processors);
    for (size_t i = 0; i < limits->pools_count; i++) {
        uint32_t reserved = 0;
        for (size_t j = 0; j < limits->pools[i].reserved_count; j++) {
            reserved += limits->pools[i].reserved[j].seats;
        }
        metric_set(metrics_series(service->metrics, "engenho_license_reserved",
                                  METRIC_VALUES(limits->pools[i].pool)),
                   reserved);
    }
    if (limits->files > 0) {
        metric_set(metrics_series(service->metrics, "engenho_license_expiration_timestamp_seconds",
                                  METRIC_VALUES(NULL)),
                   (double)limits->valid_until_us / (double)SECOND_US);
    }
}

struct licence_time ticker_licence_time(const struct service *service)
{
    return (struct licence_time){.now_us = clock_unix_us(), .latest_us = service->latest_ms * 1000};
}

int ticker_load_licences(struct service *service, struct error *error)
{
    service->licence_checked_mono_us = clock_mono_us();
    struct limits limits;
    service->licence_warning[0] = '\0';
    const struct licences_source source = {.directory = service->config->licence_dir,
                                           .customer = service->config->customer,
                                           .time = ticker_licence_time(service),
                                           .demo = service->demo,
                                           .refused = on_licence_refused,
                                           .context = service};
    int rc = licences_load(&source, &limits, error);
    if (rc != 0) {
        return rc;
    }
    if (limits.in_grace) {
        snprintf(service->licence_warning, sizeof(service->licence_warning),
                 "the licence is over and works in grace for %u days at most", limits.grace_days);
        log_warn("licence in grace", LOG_TEXT("customer", limits.customer));
    }
    if (service->licence_generation > 0 && memcmp(&limits, &service->limits, sizeof(limits)) == 0) {
        return 0;
    }
    service->limits = limits;
    service->licence_generation++;
    log_info("licences read", LOG_TEXT("edition", edition_word(limits.edition)),
             LOG_INT("keys", limits.keys), LOG_INT("files", limits.files),
             LOG_TEXT("customer", limits.customer));
    show_limits(service);
    ticker_send_limits(service);
    return 0;
}

static void on_limits(void *context, const struct store_answer *answer)
{
    struct service *service = context;
    for (size_t i = 0; answer->error == 0 && i < answer->handed_count; i++) {
        requests_granted(service, &answer->handed[i]);
    }
}

void ticker_send_limits(struct service *service)
{
    struct store_request request = {.verb = STORE_LIMITS};
    request.limits.keys = service->limits.processors;
    request.limits.productions = service->limits.productions;
    request.limits.pools = service->limits.pools;
    request.limits.pools_count = service->limits.pools_count;
    if (redis_is_up(service->redis)) {
        store_submit(service->store, &request, on_limits, service);
    }
}

/* Counters begin at zero, or the first refusal would be no increase that an alert could see. */
static void show_counters(struct service *service, const char *pool)
{
    static const char *const outcomes[] = {"granted",   "reused",  "waived",
                                           "escalated", "refused", "notified"};
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        (void)metrics_series(service->metrics, "engenho_license_requests_total",
                             METRIC_VALUES(pool, outcomes[i]));
    }
    (void)metrics_series(service->metrics, "engenho_license_orphans_reclaimed_total",
                         METRIC_VALUES(pool));
}

static void show_pools(struct service *service, const struct store_answer *answer)
{
    service->seats_listed = 0;
    for (size_t i = 0; i < answer->pools_count; i++) {
        const struct store_pool_row *row = &answer->pools[i];
        service->seats_listed += row->in_use + row->queued + row->waiting;
        show_counters(service, row->pool);
        const struct {
            const char *name;
            double value;
        } gauges[] = {
            {"engenho_license_limit", row->limit},
            {"engenho_license_in_use", row->in_use},
            {"engenho_license_queued", row->queued},
            {"engenho_license_available", row->limit > row->in_use ? row->limit - row->in_use : 0},
            {"engenho_license_waiting", row->waiting},
            {"engenho_license_peak_in_use", row->peak},
        };
        for (size_t g = 0; g < ARRAY_SIZE(gauges); g++) {
            metric_set(metrics_series(service->metrics, gauges[g].name, METRIC_VALUES(row->pool)),
                       gauges[g].value);
        }
    }
    for (size_t i = 0; i < answer->orphans_count; i++) {
        metric_add(metrics_series(service->metrics, "engenho_license_orphans_reclaimed_total",
                                  METRIC_VALUES(answer->orphans[i].pool)),
                   answer->orphans[i].seats);
        log_info("seats of dead sessions freed", LOG_TEXT("pool", answer->orphans[i].pool),
                 LOG_INT("seats", answer->orphans[i].seats));
    }
    metric_set(metrics_series(service->metrics, "engenho_license_keys_in_use", METRIC_VALUES(NULL)),
               answer->alive);
    metric_set(metrics_series(service->metrics, "engenho_license_recovering", METRIC_VALUES(NULL)),
               answer->recovering);
}

/* A Master in demo gives every processor the limits of demo; what runs goes on. */
static void follow_master(struct service *service, bool demo)
{
    struct error error;
    if (service->demo == demo) {
        return;
    }
    service->demo = demo;
    log_warn(demo ? "the Master is in demo: processors have the limits of demo"
                  : "the Master is licensed");
    if (ticker_load_licences(service, &error) != 0) {
        log_error("licences not read; what was allowed before stays",
                  LOG_TEXT("reason", error.text));
    }
}

static void on_tick(void *context, const struct store_answer *answer)
{
    struct service *service = context;
    if (answer->error != 0 || answer->word != STORE_TICKED) {
        return;
    }
    if (answer->recovering != service->recovering) {
        service->recovering = answer->recovering;
        log_warn(
            answer->recovering
                ? "the store lost writes: no new grants for one lease, workers claim what they hold"
                : "recovery is over");
    }
    service->clock.steps = answer->steps;
    service->keys_used = answer->alive;
    bool is_first = service->latest_ms == 0;
    service->latest_ms = answer->latest_ms;
    if (is_first && clock_unix_us() < answer->latest_ms * 1000 - LATER_US_MIN) {
        service->licence_checked_mono_us = 0; /* read before it was known how late it once was */
    }
    follow_master(service, answer->demo);
    for (size_t i = 0; i < answer->handed_count; i++) {
        requests_granted(service, &answer->handed[i]);
    }
    show_pools(service, answer);
}

/*
 * How far the store's clock is from anything that the time which went by allows; 0: nothing to say.
 */
static int64_t step_of(const struct service *service, int64_t now_ms, int64_t received_mono_us)
{
    if (!service->clock.known) {
        return 0;
    }
    int64_t least_ms = service->clock.redis_ms +
                       (service->clock.asked_mono_us - service->clock.received_mono_us) / 1000;
    int64_t most_ms =
        service->clock.redis_ms + (received_mono_us - service->clock.sent_mono_us) / 1000;
    if (now_ms < least_ms - STEP_MS_MIN) {
        return now_ms - least_ms;
    }
    if (now_ms > most_ms + STEP_MS_MIN) {
        return now_ms - most_ms;
    }
    return 0;
}

static void on_time(void *context, int64_t now_ms)
{
    struct service *service = context;
    service->clock.asking = false;
    if (now_ms < 0) {
        service->clock.known = false;
        return;
    }
    int64_t received_mono_us = clock_mono_us();
    struct store_request request = {.verb = STORE_TICK,
                                    .steps = service->clock.steps,
                                    .lease_ms = service->config->lease_us / 1000,
                                    .reuse_ms = service->config->reuse_life_us / 1000,
                                    .memo_ms = service->config->memory_us / 1000};
    request.step_ms = step_of(service, now_ms, received_mono_us);
    request.holders = holders_rows(service->holders, &request.holders_count);
    if (request.step_ms != 0) {
        log_warn("the clock of redis stepped; deadlines go with it",
                 LOG_INT("ms", request.step_ms));
    }
    service->clock.known = true;
    service->clock.redis_ms = now_ms;
    service->clock.sent_mono_us = service->clock.asked_mono_us;
    service->clock.received_mono_us = received_mono_us;
    store_submit(service->store, &request, on_tick, service);
    holders_clear(service->holders);
}

void ticker_run(struct service *service)
{
    if (service->licence_checked_mono_us == 0 ||
        clock_mono_us() - service->licence_checked_mono_us >= LICENCES_EVERY_US) {
        struct error error;
        if (ticker_load_licences(service, &error) != 0) {
            log_error("licences not read; what was allowed before stays",
                      LOG_TEXT("reason", error.text));
        }
    }
    if (service->clock.asking) {
        return; /* a second question would make the first look as if it were asked later */
    }
    if (redis_is_up(service->redis)) {
        service->clock.asking = true;
        service->clock.asked_mono_us = clock_mono_us();
        redis_time(service->redis, on_time, service);
    } else {
        service->clock.known = false;
    }
}
