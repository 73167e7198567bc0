/*
 * What becomes of an execution that ended: the failure classes of PITFALLS (Delivery) and the
 * production's policy. Worker, core.
 */
#ifndef ENGENHO_WORKER_RETRY_H
#define ENGENHO_WORKER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/result.pb-c.h"

enum retry_verdict {
    RETRY_RESULT,     /* over: a result alone */
    RETRY_AGAIN,      /* one attempt more, a wait from now */
    RETRY_DEAD_LETTER /* over: a dead letter, and a result that says so */
};

struct retry_policy {
    uint32_t retries; /* after the first attempt */
    int64_t wait_us;
};

/* `attempt` is the one that ended, from 1. */
enum retry_verdict retry_judge(const struct retry_policy *policy, Engenho__Outcome outcome,
                               uint32_t attempt, bool not_retryable);
/* Whether an outcome counts as a failure of the production, for its breaker. */
bool retry_is_failure(Engenho__Outcome outcome);

#endif
