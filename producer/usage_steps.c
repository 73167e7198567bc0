#include "producer/usage_steps.h"

#include <stdio.h>
#include <string.h>

static void set_position(struct usage_steps *steps, const char *id)
{
    if (strlen(id) <= USAGE_ID_BYTES_MAX) {
        snprintf(steps->position, sizeof steps->position, "%s", id);
        steps->is_settled = false;
    }
}

void usage_steps_position(struct usage_steps *steps, const char *id)
{
    if (!steps->is_ours) {
        set_position(steps, id);
    }
}

void usage_steps_taken(struct usage_steps *steps)
{
    steps->is_ours = true;
    steps->is_settled = steps->position[0] == '\0';
}

void usage_steps_lost(struct usage_steps *steps)
{
    steps->is_ours = false;
    steps->is_stale = steps->state != USAGE_REST;
    steps->position[0] = '\0';
}

enum usage_action usage_steps_tick(struct usage_steps *steps)
{
    if (!steps->is_ours || steps->state != USAGE_REST) {
        return USAGE_NOTHING;
    }
    steps->state = steps->is_settled ? USAGE_FETCHING : USAGE_SETTLING;
    return steps->is_settled ? USAGE_FETCH : USAGE_ACKNOWLEDGE;
}

/* What was on its way has come: back to rest. Returns whether it still counts. */
static bool rest(struct usage_steps *steps)
{
    bool counts = steps->is_ours && !steps->is_stale;
    steps->state = USAGE_REST;
    steps->is_stale = false;
    return counts;
}

enum usage_action usage_steps_acknowledged(struct usage_steps *steps, bool is_done)
{
    if (!rest(steps) || !is_done) {
        return USAGE_NOTHING;
    }
    steps->is_settled = true;
    steps->state = USAGE_FETCHING;
    return USAGE_FETCH;
}

enum usage_action usage_steps_fetched(struct usage_steps *steps, const char *last)
{
    if (!rest(steps) || last == NULL || last[0] == '\0' || strlen(last) > USAGE_ID_BYTES_MAX) {
        return USAGE_NOTHING;
    }
    steps->state = USAGE_COMMITTING;
    return USAGE_COMMIT;
}

enum usage_action usage_steps_committed(struct usage_steps *steps, bool is_done, const char *last)
{
    if (!rest(steps) || !is_done) {
        return USAGE_NOTHING;
    }
    set_position(steps, last);
    steps->state = USAGE_SETTLING;
    return USAGE_ACKNOWLEDGE;
}
