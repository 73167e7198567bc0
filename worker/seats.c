#include "worker/seats.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void seats_init(struct seats *seats, const struct seats_port *port, int64_t linger_us)
{
    *seats = (struct seats){.port = *port, .linger_us = linger_us};
}

static void link_seat(struct seats *seats, struct seat *seat)
{
    seat->previous = NULL;
    seat->next = seats->first;
    if (seats->first != NULL) {
        seats->first->previous = seat;
    }
    seats->first = seat;
}

static void unlink_seat(struct seats *seats, struct seat *seat)
{
    if (seat->previous != NULL) {
        seat->previous->next = seat->next;
    } else {
        seats->first = seat->next;
    }
    if (seat->next != NULL) {
        seat->next->previous = seat->previous;
    }
    seat->next = seat->previous = NULL;
}

static void set_state(struct seats *seats, struct seat *seat, enum seat_state state)
{
    bool was_held = seat->state == SEAT_HELD || seat->state == SEAT_LINGERING;
    bool is_held = state == SEAT_HELD || state == SEAT_LINGERING;
    seats->held += (unsigned)is_held - (unsigned)was_held;
    seats->asked += (unsigned)(state == SEAT_ASKED) - (unsigned)(seat->state == SEAT_ASKED);
    if (seat->state == SEAT_NONE && state != SEAT_NONE) {
        link_seat(seats, seat);
    } else if (seat->state != SEAT_NONE && state == SEAT_NONE) {
        unlink_seat(seats, seat);
    }
    seat->state = state;
}

static void give_back(struct seats *seats, struct seat *seat)
{
    seats->port.release(seats->port.context, seat);
    set_state(seats, seat, SEAT_NONE);
    seat->token = 0;
}

static void ask(struct seats *seats, struct seat *seat)
{
    seat->request = ++seats->requests;
    seat->token = 0;
    set_state(seats, seat, SEAT_ASKED);
    seats->port.acquire(seats->port.context, seat);
}

bool seats_want(struct seats *seats, struct seat *seat)
{
    if (seat->state == SEAT_NONE) {
        ask(seats, seat);
    } else if (seat->state == SEAT_LINGERING) {
        set_state(seats, seat, SEAT_HELD);
    }
    return seat->state == SEAT_HELD;
}

void seats_unwant(struct seats *seats, struct seat *seat)
{
    if (seat->state == SEAT_ASKED && seat->users == 0) {
        give_back(seats, seat);
    }
}

bool seats_use(struct seat *seat)
{
    assert(seat->state == SEAT_HELD);
    bool waived = !seat->fresh;
    seat->fresh = false;
    seat->users++;
    return waived;
}

void seats_end_use(struct seats *seats, struct seat *seat, bool linger, int64_t now_us)
{
    assert(seat->users > 0);
    if (--seat->users > 0 || seat->state != SEAT_HELD) {
        return;
    }
    if (linger && seats->linger_us > 0) {
        seat->free_at_us = now_us + seats->linger_us;
        set_state(seats, seat, SEAT_LINGERING);
    } else {
        give_back(seats, seat);
    }
}

void seats_idle(struct seats *seats, struct seat *seat, int64_t now_us)
{
    if (seat->state == SEAT_HELD && seat->users == 0) {
        seat->users = 1;
        seats_end_use(seats, seat, true, now_us);
    }
}

struct seat *seats_find(struct seats *seats, uint64_t request)
{
    struct seat *seat = seats->first;
    while (seat != NULL && seat->request != request) {
        seat = seat->next;
    }
    return seat;
}

struct seat *seats_granted(struct seats *seats, const Engenho__Granted *granted, uint64_t request)
{
    struct seat *seat = seats_find(seats, request);
    if (seat == NULL || seat->state != SEAT_ASKED) {
        if (seat == NULL) {
            struct seat late = {.request = request, .token = granted->token};
            seats->port.release(seats->port.context, &late);
        }
        return NULL;
    }
    seat->token = granted->token;
    seat->number = granted->number;
    snprintf(seat->pool, sizeof seat->pool, "%s", granted->pool);
    seat->fresh = true;
    set_state(seats, seat, SEAT_HELD);
    return seat;
}

void seats_refused(struct seats *seats, uint64_t request)
{
    struct seat *seat = seats_find(seats, request);
    if (seat != NULL && seat->state == SEAT_ASKED) {
        seat->request = ++seats->requests;
    }
}

int64_t seats_tick(struct seats *seats, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    struct seat *following;
    for (struct seat *seat = seats->first; seat != NULL; seat = following) {
        following = seat->next;
        if (seat->state != SEAT_LINGERING) {
            continue;
        }
        if (seat->free_at_us <= now_us) {
            give_back(seats, seat);
        } else if (seat->free_at_us < next_us) {
            next_us = seat->free_at_us;
        }
    }
    return next_us;
}

void seats_free_lingering(struct seats *seats, const char *pool)
{
    struct seat *following;
    for (struct seat *seat = seats->first; seat != NULL; seat = following) {
        following = seat->next;
        if (seat->state == SEAT_LINGERING && !strcmp(seat->pool, pool)) {
            give_back(seats, seat);
        }
    }
}

void seats_lost(struct seats *seats, uint64_t token)
{
    struct seat *following;
    for (struct seat *seat = seats->first; seat != NULL; seat = following) {
        following = seat->next;
        if (token != 0 && seat->token != token) {
            continue;
        }
        if (seat->state == SEAT_LINGERING) {
            set_state(seats, seat, SEAT_NONE);
        } else {
            ask(seats, seat);
        }
    }
}

void seats_release_all(struct seats *seats)
{
    while (seats->first != NULL) {
        seats->first->users = 0;
        give_back(seats, seats->first);
    }
}
