/*
 * What becomes of what runs when no licensor answers any more (SEATS section 5): it may finish, and
 * is recorded; where the licence is strict it is killed before the lease ends, and runs again. An
 * edge: the pool, the licensor's client.
 */
#include "common/duration.h"
#include "common/log.h"
#include "worker/service.h"

#define STRICT_US SECOND_US /* before the end of the lease */

static unsigned count_overruns(struct service *service)
{
    const struct engine *engine = &service->engine;
    unsigned count = 0;
    for (size_t slot = 0; slot < engine->running_capacity; slot++) {
        const struct execution *execution = engine->running[slot];
        if (execution != NULL) {
            licence_client_overrun(service->licence, execution->own_seat != NULL
                                                         ? execution->own_seat->pool
                                                         : execution->holder->seat.pool);
            count++;
        }
    }
    return count;
}

void lease_tick(struct service *service)
{
    const struct engine *engine = &service->engine;
    int64_t end_us = licence_client_lease_end(service->licence);
    if (engine->running_count == 0 || engine->now_us < end_us - STRICT_US) {
        return;
    }
    if (service->strict && service->lease_killed_us != end_us) {
        service->lease_killed_us = end_us;
        log_warn(
            "no licensor answers, and the licence is strict: what runs is killed, to run again",
            LOG_INT("running", (int64_t)engine->running_count));
        pool_abandon(service->pool);
    }
    if (engine->now_us >= end_us && service->lease_overrun_us != end_us) {
        service->lease_overrun_us = end_us;
        unsigned count = count_overruns(service);
        log_warn("no licensor has answered for a whole lease; what runs may finish",
                 LOG_INT("running", (int64_t)count));
        metric_add(metrics_series(service->metrics, "engenho_worker_overruns_total",
                                  METRIC_VALUES(service->config->agent)),
                   count);
    }
}
