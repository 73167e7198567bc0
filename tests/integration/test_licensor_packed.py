"""Sessions and queues that the licensor keeps as one text in Redis: docs/decisions/seats-worked-out-ahead.md, "Packed"."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.redis import SERVERS
from tests.integration.ahead import Setup
from tests.integration.licensors import REQUEST, L, connect, stopped

SEATS = 50  # of the pool that Setup's licence has


@pytest.fixture(params=sorted(SERVERS))
def setup(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Setup]:
    setup = Setup(tmp_path, "--redis-pack-min", "1", server=SERVERS[request.param])
    yield setup
    setup.stop()


def fields(setup: Setup) -> set[str]:
    """The fields of the session that are not about itself, and whether it is packed."""
    names = set(setup.store.hkeys(f"{{engenho}}:w:{setup.client.session}"))
    return {name for name in names if not name.startswith("is ")} | (names & {"is packed"})


def packed(setup: Setup, count: int) -> list[Any]:
    """So many seats of a session that Redis has as one text."""
    setup.warm()
    held = [setup.client.acquire().granted for _ in range(count)]
    assert fields(setup) == {"is packed"}
    return held


def explain(setup: Setup, granted: Any) -> str:
    return str(setup.client.ask(explain=L.Explain(request=granted.request)).explanation.text)


def log_of(setup: Setup) -> str:
    (key,) = setup.store.keys(f"{{engenho}}:memo:*:{setup.client.session}:0")
    return str(key)


def test_seats_queue_and_answers_are_one_text_each(setup: Setup) -> None:
    held = packed(setup, 5)
    for granted in held[:2]:
        assert setup.client.release(granted).released.queued
    assert fields(setup) == {"is packed"}
    assert setup.store.exists("{engenho}:requests:packed", "{engenho}:requests:q") == 1
    assert setup.store.strlen("{engenho}:requests:packed") == 2 * 18
    assert 0 < setup.store.pttl(log_of(setup)) <= 3 * 60_000
    pool = setup.client.pool("requests")
    assert (pool.in_use, pool.queued) == (3, 2)
    rows = setup.client.ask(list_seats=L.ListSeats(pool="requests")).seats.seats
    assert sorted(row.number for row in rows) == sorted(granted.number for granted in held)


def test_an_answer_is_found_in_the_log(setup: Setup) -> None:
    granted = packed(setup, 1)[0]
    first = setup.client.release(granted).released
    assert not setup.store.exists("{engenho}:memo:0", "{engenho}:memo:1"), "it stands in the log alone"
    assert setup.client.release(granted).released == first
    assert setup.client.acquire(request=granted.request).granted.token == granted.token
    assert f"L{granted.number}" in explain(setup, granted)
    assert "released" in explain(setup, granted) or "given back" in explain(setup, granted)
    assert setup.client.pool("requests").in_use == 0


def test_a_long_log_is_read_in_parts(setup: Setup) -> None:
    setup.warm()
    all_granted = []
    for _ in range(500):
        all_granted.append(setup.client.acquire().granted)
        assert setup.client.release(all_granted[-1]).released.queued
    assert setup.store.strlen(log_of(setup)) > 2 * 16384
    for granted in all_granted[:3] + all_granted[200:203] + all_granted[-3:]:
        assert setup.client.release(granted).released.queued, granted.request
        assert setup.client.acquire(request=granted.request).granted.token == granted.token


def test_a_log_has_an_end(setup: Setup) -> None:
    """4,096 requests share one, whether their numbers were used or not."""
    setup.warm()
    numbers = [4094, 4095, 4096, 4097, 9000]
    held = [setup.client.acquire(request=f"{setup.client.session}:{number}").granted for number in numbers]
    for granted in held:
        assert setup.client.release(granted).released.queued
    logs = setup.store.keys(f"{{engenho}}:memo:*:{setup.client.session}:*")
    assert sorted(str(key).rpartition(":")[2] for key in logs) == ["0", "1", "2"]
    assert all(setup.store.pttl(key) > 0 for key in logs)
    for granted in held:
        assert setup.client.release(granted).released.queued
        assert setup.client.acquire(request=granted.request).granted.token == granted.token


def test_a_token_that_never_was_is_stale(setup: Setup) -> None:
    granted = packed(setup, 1)[0]
    assert setup.client.release(granted).released.queued
    granted.token += 1
    assert setup.client.release(granted).refused.reason == L.REFUSAL_REASON_STALE
    granted.request = f"{setup.client.session}:999"
    assert setup.client.release(granted).refused.reason == L.REFUSAL_REASON_STALE


def test_what_was_remembered_is_forgotten_in_time(setup: Setup) -> None:
    granted = packed(setup, 1)[0]
    setup.client.release(granted)
    for _ in range(61):
        setup.move(1)
        setup.tick()
        setup.client.heartbeat()
    assert setup.client.release(granted).refused.reason == L.REFUSAL_REASON_STALE
    assert setup.client.acquire(request=granted.request).granted.token != granted.token


def test_a_forgotten_refusal_does_not_hide_the_answer_that_came_after_it(setup: Setup) -> None:
    setup.warm()
    held = [setup.client.acquire().granted for _ in range(SEATS)]
    request = setup.client.next_request()
    assert setup.client.acquire(request=request).refused.reason == L.REFUSAL_REASON_POOL_LIMIT
    for _ in range(61):
        setup.move(1)
        setup.tick()
        setup.client.heartbeat()
    setup.client.release(held[0])
    setup.warm()
    granted = setup.client.acquire(request=request).granted
    assert setup.client.release(granted).HasField("released")
    assert setup.client.release(granted).HasField("released")


def test_a_worker_that_moves_to_another_licensor_keeps_its_seats(setup: Setup) -> None:
    held = packed(setup, 4)
    service, _ = setup.licensor("two")
    setup.service.kill()
    moved = connect(service)
    claims = [L.HeldSeat(request=seat.request, token=seat.token, pool=seat.pool, number=seat.number, kind=REQUEST) for seat in held[:3]]
    assert moved.register("one", session=setup.client.session, held=claims).registered.session == setup.client.session
    assert moved.pool("requests").in_use == 3, "what it did not claim is free"
    assert [moved.release(seat).released.queued for seat in held[:3]] == [True] * 3
    assert moved.pool("requests").in_use == 0


def test_a_session_that_ends_frees_what_is_packed(setup: Setup) -> None:
    packed(setup, 4)
    service, other = setup.licensor("two")
    for _ in range(31):
        setup.move(1)
        setup.tick()
        other.heartbeat()
    pool = other.pool("requests")
    assert (pool.in_use, pool.queued) == (0, 0)
    assert not setup.store.exists(f"{{engenho}}:w:{setup.client.session}")


@pytest.mark.parametrize("moved_ms, queued", [(29_999, 1), (30_000, 0)])
def test_a_packed_queue_loses_its_dead_in_the_millisecond_of_their_end(setup: Setup, moved_ms: int, queued: int) -> None:
    setup.move(60)  # nothing that was freed before lives
    setup.tick()
    setup.client.register("one")
    setup.warm()  # its one seat begins to live now
    assert setup.store.strlen("{engenho}:requests:packed") == 18
    setup.move(moved_ms / 1000)
    assert setup.client.pool("requests").queued == queued
    assert setup.client.acquire().granted.reused == bool(queued)


def test_an_operator_frees_a_packed_seat(setup: Setup) -> None:
    held = packed(setup, 3)
    answer = setup.client.ask(release_by_operator=L.ReleaseByOperator(token=held[1].token, who="maria"))
    assert answer.HasField("released"), answer
    assert setup.client.pool("requests").in_use == 2
    assert setup.client.release(held[1]).refused.reason == L.REFUSAL_REASON_STALE
    assert [setup.client.release(held[n]).released.queued for n in (0, 2)] == [True, True]
    assert setup.client.pool("requests").in_use == 0


def test_lives_of_packed_seats_go_with_the_clock(setup: Setup) -> None:
    held = packed(setup, 2)
    assert setup.client.release(held[0]).released.queued
    setup.tick()
    setup.ours.move(1)  # and Redis's clock an hour and a second
    setup.theirs.move(1)
    setup.theirs.step(3600)
    setup.tick()
    assert fields(setup) == {"is packed"}, "its lives were moved where they stand"
    assert setup.client.release(held[1]).released.queued
    assert setup.client.pool("requests").queued == 2
    assert setup.client.acquire().granted.reused


def test_what_is_read_by_redis_alone_stays_packed(setup: Setup) -> None:
    held = packed(setup, 3)
    setup.client.heartbeat()
    setup.client.pool("requests")
    explain(setup, held[0])
    setup.move(1)
    setup.tick()
    assert fields(setup) == {"is packed"}


def test_a_request_out_of_the_ordinary_makes_fields_of_it(setup: Setup) -> None:
    held = packed(setup, 3)
    named = setup.client.acquire(request="mine:1").granted
    assert fields(setup) == {seat.request for seat in [*held, named]}
    assert [setup.client.release(seat).released.queued for seat in [named, *held]] == [True] * 4
    assert setup.client.release(named).released.queued, "it is remembered by its name"
    assert setup.client.pool("requests").in_use == 0


def test_many_seats_of_a_session_are_fields(setup: Setup) -> None:
    held = packed(setup, 40)
    for _ in range(SEATS - len(held)):
        held.append(setup.client.acquire(user="somebody with a long name " * 7).granted)
    assert fields(setup) == {seat.request for seat in held}, "more than 4 KiB are not written again for each seat"
    for seat in held:
        assert setup.client.release(seat).released.queued
    assert fields(setup) == {"is packed"}
    pool = setup.client.pool("requests")
    assert (pool.in_use, pool.queued) == (0, SEATS)


def test_beside_an_older_library_nothing_is_packed(setup: Setup) -> None:
    setup.store.function_load("#!lua name=engenho5\nredis.register_function('engenho5_hello', function() end)")
    setup.service.stop()
    setup.service.start()
    setup.client = connect(setup.service)
    setup.client.register("again")
    setup.warm()
    granted = setup.client.acquire().granted
    assert fields(setup) == {granted.request}
    setup.store.function_delete("engenho5")
    setup.service.stop()
    setup.service.start()
    setup.client = connect(setup.service)
    setup.client.register("later")
    packed(setup, 1)
    assert setup.client.pool("requests").in_use == 2


def test_small_batches_go_back_to_fields(tmp_path: pathlib.Path) -> None:
    setup = Setup(tmp_path, "--redis-pack-min", "4")
    try:
        setup.warm()
        for _ in range(20):  # all that is sent while the licensor stands still is one batch
            numbers = stopped(setup.service, lambda: [setup.client.send(acquire=L.Acquire(
                session=setup.client.session, request=setup.client.next_request(), kind=REQUEST)) for _ in range(8)])
            held = [setup.client.answer(number).granted for number in numbers]
            if fields(setup) == {"is packed"}:
                break
            for seat in held:
                setup.client.release(seat)
        assert fields(setup) == {"is packed"}
        for seat in held[:-1]:
            setup.client.release(seat)
        assert fields(setup) == {"is packed"}, "a few small batches are no reason yet"
        for _ in range(10):
            setup.client.release(setup.client.acquire().granted)
        assert fields(setup) == {held[-1].request}
        assert setup.store.exists("{engenho}:requests:packed", "{engenho}:requests:q") == 1
        assert setup.client.release(held[-1]).released.queued
        assert setup.client.pool("requests").in_use == 0
    finally:
        setup.stop()
