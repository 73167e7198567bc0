/* When a seat is asked for, kept, and given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/seats.h"

static unsigned acquired, released;

static void on_acquire(void *context, const struct seat *seat)
{
    (void)context;
    (void)seat;
    acquired++;
}

static void on_release(void *context, const struct seat *seat)
{
    (void)context;
    (void)seat;
    released++;
}

static void start(struct seats *seats)
{
    static const struct seats_port port = {.acquire = on_acquire, .release = on_release};
    acquired = released = 0;
    seats_init(seats, &port, 50000);
}

static void grant(struct seats *seats, struct seat *seat)
{
    Engenho__Granted granted = ENGENHO__GRANTED__INIT;
    granted.pool = (char *)"productions";
    granted.token = 7;
    granted.number = 3;
    assert_ptr_equal(seats_granted(seats, &granted, seat->request), seat);
}

static void overlapping_executions_ask_once_and_are_waived(void **state)
{
    struct seats seats;
    struct seat seat = {.state = SEAT_NONE};
    (void)state;
    start(&seats);
    assert_false(seats_want(&seats, &seat));
    assert_false(seats_want(&seats, &seat));
    assert_int_equal(acquired, 1);
    grant(&seats, &seat);
    assert_true(seats_want(&seats, &seat));
    assert_false(seats_use(&seat));
    assert_true(seats_use(&seat));
    seats_end_use(&seats, &seat, true, 0);
    assert_int_equal(seat.state, SEAT_HELD);
    seats_end_use(&seats, &seat, true, 0);
    assert_int_equal(seat.state, SEAT_LINGERING);
    seats_release_all(&seats);
}

static void a_seat_lingers_and_is_then_given_back(void **state)
{
    struct seats seats;
    struct seat seat = {.state = SEAT_NONE};
    (void)state;
    start(&seats);
    seats_want(&seats, &seat);
    grant(&seats, &seat);
    seats_use(&seat);
    seats_end_use(&seats, &seat, true, 1000);
    assert_int_equal(seats_tick(&seats, 50999), 51000);
    assert_int_equal(released, 0);
    assert_int_equal(seats_tick(&seats, 51000), INT64_MAX);
    assert_int_equal(released, 1);
    assert_int_equal(seat.state, SEAT_NONE);
}

static void a_lingering_seat_goes_at_once_when_its_pool_has_a_line(void **state)
{
    struct seats seats;
    struct seat seat = {.state = SEAT_NONE};
    (void)state;
    start(&seats);
    seats_want(&seats, &seat);
    grant(&seats, &seat);
    seats_use(&seat);
    seats_end_use(&seats, &seat, true, 0);
    seats_free_lingering(&seats, "full");
    assert_int_equal(released, 0);
    seats_free_lingering(&seats, "productions");
    assert_int_equal(released, 1);
}

static void work_that_returns_while_it_lingers_keeps_the_seat(void **state)
{
    struct seats seats;
    struct seat seat = {.state = SEAT_NONE};
    (void)state;
    start(&seats);
    seats_want(&seats, &seat);
    grant(&seats, &seat);
    seats_use(&seat);
    seats_end_use(&seats, &seat, true, 0);
    assert_true(seats_want(&seats, &seat));
    assert_int_equal(seats_tick(&seats, INT64_MAX - 1), INT64_MAX);
    assert_int_equal(seat.state, SEAT_HELD);
    assert_int_equal(acquired, 1);
    seats_release_all(&seats);
}

static void a_grant_that_nobody_waits_for_is_given_back(void **state)
{
    struct seats seats;
    struct seat seat = {.state = SEAT_NONE};
    Engenho__Granted granted = ENGENHO__GRANTED__INIT;
    (void)state;
    start(&seats);
    seats_want(&seats, &seat);
    uint64_t request = seat.request;
    seats_unwant(&seats, &seat);
    assert_int_equal(released, 1);
    assert_null(seats_granted(&seats, &granted, request));
    assert_int_equal(released, 2);
}

static void lost_seats_are_asked_for_anew_under_another_number(void **state)
{
    struct seats seats;
    struct seat seat = {.state = SEAT_NONE};
    (void)state;
    start(&seats);
    seats_want(&seats, &seat);
    grant(&seats, &seat);
    seats_use(&seat);
    uint64_t request = seat.request;
    seats_lost(&seats, 8);
    assert_int_equal(seat.state, SEAT_HELD);
    seats_lost(&seats, 7);
    assert_int_equal(seat.state, SEAT_ASKED);
    assert_true(seat.request != request);
    assert_int_equal(acquired, 2);
    seats_release_all(&seats);
}

static void a_refused_seat_is_asked_for_again_under_another_number(void **state)
{
    struct seats seats;
    struct seat seat = {.state = SEAT_NONE};
    (void)state;
    start(&seats);
    seats_want(&seats, &seat);
    uint64_t request = seat.request;
    seats_refused(&seats, request);
    assert_int_equal(seat.state, SEAT_ASKED);
    assert_true(seat.request != request);
    assert_null(seats_find(&seats, request));
    request = seat.request;
    grant(&seats, &seat);
    seats_refused(&seats, request);
    assert_int_equal(seat.request, request);
    seats_release_all(&seats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlapping_executions_ask_once_and_are_waived),
        cmocka_unit_test(a_seat_lingers_and_is_then_given_back),
        cmocka_unit_test(a_lingering_seat_goes_at_once_when_its_pool_has_a_line),
        cmocka_unit_test(work_that_returns_while_it_lingers_keeps_the_seat),
        cmocka_unit_test(a_grant_that_nobody_waits_for_is_given_back),
        cmocka_unit_test(a_refused_seat_is_asked_for_again_under_another_number),
        cmocka_unit_test(lost_seats_are_asked_for_anew_under_another_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
