/*
 * The machine behind `engenho up`. Pure: see the header. It is not an init system: every unit is
 * ours, and all stop together.
 */
#include "cli/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const state_names[UNIT_STATES] = {
    [UNIT_WAITING] = "waiting", [UNIT_STARTING] = "starting", [UNIT_READY] = "ready",
    [UNIT_BACKOFF] = "down",    [UNIT_STOPPING] = "stopping", [UNIT_STOPPED] = "stopped",
};

/* allowed[from] has bit `to` of each move that may happen. */
static const unsigned allowed[UNIT_STATES] = {
    [UNIT_WAITING] = 1U << UNIT_STARTING | 1U << UNIT_STOPPED,
    [UNIT_STARTING] =
        1U << UNIT_READY | 1U << UNIT_BACKOFF | 1U << UNIT_STOPPING | 1U << UNIT_STOPPED,
    [UNIT_READY] =
        1U << UNIT_STARTING | 1U << UNIT_BACKOFF | 1U << UNIT_STOPPING | 1U << UNIT_STOPPED,
    [UNIT_BACKOFF] = 1U << UNIT_STARTING | 1U << UNIT_STOPPED,
    [UNIT_STOPPING] = 1U << UNIT_STOPPED,
    [UNIT_STOPPED] = 0,
};

const char *unit_state_name(enum unit_state state)
{
    return state < UNIT_STATES ? state_names[state] : "unknown";
}

static void move(struct unit *unit, enum unit_state to, int64_t now_us)
{
    assert(allowed[unit->state] & 1U << to);
    unit->state = to;
    unit->since_us = now_us;
    unit->killed = false;
}

static bool runs(const struct unit *unit)
{
    return unit->state == UNIT_STARTING || unit->state == UNIT_READY ||
           unit->state == UNIT_STOPPING;
}

static void act(struct supervisor_actions *actions, enum supervisor_action_type type, size_t unit)
{
    assert(actions->count < SUPERVISOR_ACTIONS_MAX);
    actions->list[actions->count++] = (struct supervisor_action){.type = type, .unit = unit};
}

void supervisor_init(struct supervisor *supervisor, int64_t start_until_us)
{
    memset(supervisor, 0, sizeof(*supervisor));
    supervisor->start_until_us = start_until_us;
}

int supervisor_add(struct supervisor *supervisor, uint64_t needs, int stop_stage,
                   int64_t stop_us_max, int64_t now_us)
{
    if (supervisor->count >= SUPERVISOR_UNITS_MAX) {
        return -ENOSPC;
    }
    assert(needs >> supervisor->count == 0);
    supervisor->units[supervisor->count] = (struct unit){
        .needs = needs, .stop_stage = stop_stage, .stop_us_max = stop_us_max, .since_us = now_us};
    return (int)supervisor->count++;
}

static int64_t backoff_us(unsigned deaths)
{
    int64_t pause = SUPERVISOR_BACKOFF_US_MIN;
    for (unsigned i = 1; i < deaths && pause < SUPERVISOR_BACKOFF_US_MAX; i++) {
        pause *= 2;
    }
    return pause < SUPERVISOR_BACKOFF_US_MAX ? pause : SUPERVISOR_BACKOFF_US_MAX;
}

static bool has_what_it_needs(const struct supervisor *supervisor, const struct unit *unit)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        if (unit->needs >> i & 1 && supervisor->units[i].state != UNIT_READY) {
            return false;
        }
    }
    return true;
}

static void begin_stop(struct supervisor *supervisor, int64_t now_us)
{
    supervisor->phase = SUPERVISOR_STOPPING;
    for (size_t i = 0; i < supervisor->count; i++) {
        struct unit *unit = &supervisor->units[i];
        if (unit->state == UNIT_WAITING || unit->state == UNIT_BACKOFF) {
            move(unit, UNIT_STOPPED, now_us);
        }
    }
}

static void died(struct supervisor *supervisor, size_t number, int64_t now_us,
                 struct supervisor_actions *actions)
{
    struct unit *unit = &supervisor->units[number];
    if (!runs(unit)) {
        return;
    }
    if (supervisor->phase >= SUPERVISOR_STOPPING) {
        move(unit, UNIT_STOPPED, now_us);
        return;
    }
    bool healthy = unit->state == UNIT_READY && now_us - unit->since_us >= SUPERVISOR_HEALTHY_US;
    unit->deaths = healthy ? 1 : unit->deaths + 1;
    move(unit, UNIT_BACKOFF, now_us);
    unit->next_us = now_us + backoff_us(unit->deaths);
    if (supervisor->phase == SUPERVISOR_STARTING && !unit->was_ready &&
        unit->deaths >= SUPERVISOR_DEATHS_MAX) {
        act(actions, SUPERVISOR_SAY_FAILED, number);
        begin_stop(supervisor, now_us);
    }
}

static void probed(struct supervisor *supervisor, const struct supervisor_event *event,
                   int64_t now_us, struct supervisor_actions *actions)
{
    struct unit *unit = &supervisor->units[event->unit];
    if (unit->state != UNIT_STARTING && unit->state != UNIT_READY) {
        return;
    }
    if (event->ready && unit->state == UNIT_STARTING) {
        move(unit, UNIT_READY, now_us);
        unit->was_ready = true;
    } else if (!event->ready && unit->state == UNIT_READY) {
        move(unit, UNIT_STARTING, now_us);
    }
    unit->next_us =
        now_us + (event->ready ? SUPERVISOR_PROBE_READY_US : SUPERVISOR_PROBE_STARTING_US);
    if (supervisor->phase != SUPERVISOR_STARTING) {
        return;
    }
    for (size_t i = 0; i < supervisor->count; i++) {
        if (supervisor->units[i].state != UNIT_READY) {
            return;
        }
    }
    supervisor->phase = SUPERVISOR_RUNNING;
    act(actions, SUPERVISOR_SAY_READY, 0);
}

static void tick_running(struct supervisor *supervisor, int64_t now_us,
                         struct supervisor_actions *actions)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        struct unit *unit = &supervisor->units[i];
        bool due = now_us >= unit->next_us;
        switch (unit->state) {
        case UNIT_WAITING:
        case UNIT_BACKOFF:
            if (unit->state == UNIT_BACKOFF ? due : has_what_it_needs(supervisor, unit)) {
                unit->restarts += unit->state == UNIT_BACKOFF;
                move(unit, UNIT_STARTING, now_us);
                unit->next_us = now_us + SUPERVISOR_PROBE_STARTING_US;
                act(actions, SUPERVISOR_DO_START, i);
            }
            break;
        case UNIT_STARTING:
        case UNIT_READY:
            if (due) {
                /* The answer comes as PROBED and sets the next one; this is for an answer that
                 * never comes. */
                unit->next_us = now_us + SUPERVISOR_PROBE_READY_US;
                act(actions, SUPERVISOR_DO_PROBE, i);
            }
            break;
        default:
            break;
        }
    }
}

/* The first unit that keeps the start from ending is the one to blame: those after it wait for it.
 */
static void fail_late_start(struct supervisor *supervisor, int64_t now_us,
                            struct supervisor_actions *actions)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        if (supervisor->units[i].state != UNIT_READY) {
            act(actions, SUPERVISOR_SAY_FAILED, i);
            break;
        }
    }
    begin_stop(supervisor, now_us);
}

static void tick_stopping(struct supervisor *supervisor, int64_t now_us,
                          struct supervisor_actions *actions)
{
    int stage = INT32_MAX;
    for (size_t i = 0; i < supervisor->count; i++) {
        const struct unit *unit = &supervisor->units[i];
        if (unit->state != UNIT_STOPPED && unit->stop_stage < stage) {
            stage = unit->stop_stage;
        }
    }
    if (stage == INT32_MAX) {
        supervisor->phase = SUPERVISOR_STOPPED;
        return;
    }
    for (size_t i = 0; i < supervisor->count; i++) {
        struct unit *unit = &supervisor->units[i];
        if (unit->stop_stage != stage) {
            continue;
        }
        if (unit->state == UNIT_STARTING || unit->state == UNIT_READY) {
            move(unit, UNIT_STOPPING, now_us);
            unit->next_us = now_us + unit->stop_us_max;
            act(actions, SUPERVISOR_DO_TERMINATE, i);
        } else if (unit->state == UNIT_STOPPING && !unit->killed && now_us >= unit->next_us) {
            unit->killed = true;
            act(actions, SUPERVISOR_DO_KILL, i);
        }
    }
}

static void kill_all(struct supervisor *supervisor, int64_t now_us,
                     struct supervisor_actions *actions)
{
    begin_stop(supervisor, now_us);
    for (size_t i = 0; i < supervisor->count; i++) {
        struct unit *unit = &supervisor->units[i];
        if (unit->state == UNIT_STARTING || unit->state == UNIT_READY) {
            move(unit, UNIT_STOPPING, now_us);
        }
        if (unit->state == UNIT_STOPPING && !unit->killed) {
            unit->killed = true;
            act(actions, SUPERVISOR_DO_KILL, i);
        }
    }
}

void supervisor_step(struct supervisor *supervisor, struct supervisor_event event, int64_t now_us,
                     struct supervisor_actions *ret_actions)
{
    ret_actions->count = 0;
    switch (event.type) {
    case SUPERVISOR_TICK:
        break;
    case SUPERVISOR_DIED:
        died(supervisor, event.unit, now_us, ret_actions);
        break;
    case SUPERVISOR_PROBED:
        probed(supervisor, &event, now_us, ret_actions);
        break;
    case SUPERVISOR_STOP:
        if (supervisor->phase < SUPERVISOR_STOPPING) {
            begin_stop(supervisor, now_us);
        }
        break;
    case SUPERVISOR_KILL:
        if (supervisor->phase != SUPERVISOR_STOPPED) {
            kill_all(supervisor, now_us, ret_actions);
        }
        break;
    }
    if (supervisor->phase == SUPERVISOR_STARTING && now_us >= supervisor->start_until_us) {
        fail_late_start(supervisor, now_us, ret_actions);
    }
    if (supervisor->phase < SUPERVISOR_STOPPING) {
        tick_running(supervisor, now_us, ret_actions);
    } else if (supervisor->phase == SUPERVISOR_STOPPING) {
        tick_stopping(supervisor, now_us, ret_actions);
    }
}

int64_t supervisor_wait_us(const struct supervisor *supervisor, int64_t now_us)
{
    int64_t wait = INT64_C(1000000);
    for (size_t i = 0; i < supervisor->count; i++) {
        const struct unit *unit = &supervisor->units[i];
        if (unit->state == UNIT_WAITING || unit->state == UNIT_STOPPED) {
            continue;
        }
        if (supervisor->phase >= SUPERVISOR_STOPPING &&
            (unit->state != UNIT_STOPPING || unit->killed)) {
            continue;
        }
        int64_t left = unit->next_us > now_us ? unit->next_us - now_us : 0;
        wait = left < wait ? left : wait;
    }
    return wait;
}
