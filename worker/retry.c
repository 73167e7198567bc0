#include "worker/retry.h"

bool retry_is_failure(Engenho__Outcome outcome)
{
    switch (outcome) {
    case ENGENHO__OUTCOME__OUTCOME_SUCCEEDED:
    case ENGENHO__OUTCOME__OUTCOME_CANCELLED:
    case ENGENHO__OUTCOME__OUTCOME_SKIPPED:
        return false;
    default:
        return true;
    }
}

enum retry_verdict retry_judge(const struct retry_policy *policy, Engenho__Outcome outcome,
                               uint32_t attempt, bool not_retryable)
{
    if (!retry_is_failure(outcome)) {
        return RETRY_RESULT;
    }
    return !not_retryable && attempt <= policy->retries ? RETRY_AGAIN : RETRY_DEAD_LETTER;
}
