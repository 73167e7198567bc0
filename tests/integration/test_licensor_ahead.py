"""What a licensor works out ahead, and Redis only compares and writes: docs/decisions/seats-worked-out-ahead.md."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest

from tests.integration.ahead import Setup


@pytest.fixture(params=["0", "1"], ids=["fields", "packed"])
def setup(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Setup]:
    setup = Setup(tmp_path, "--redis-pack-min", request.param)
    yield setup
    setup.stop()


def test_ordinary_requests_are_worked_out_by_the_licensor(setup: Setup) -> None:
    setup.warm()
    licensor_before, redis_before = setup.by("licensor"), setup.by("redis")
    grants = [setup.client.acquire().granted for _ in range(10)]
    assert len({granted.number for granted in grants}) == 10
    assert [setup.client.release(granted).released.queued for granted in grants] == [True] * 10
    assert (setup.by("licensor"), setup.by("redis")) == (licensor_before + 20, redis_before)
    pool = setup.client.pool("requests")
    assert (pool.in_use, pool.queued) == (0, 10)


def test_a_tick_that_moves_nothing_changes_nothing(setup: Setup) -> None:
    setup.warm()
    setup.move(1)
    setup.tick()
    before = setup.by("licensor"), setup.by("redis_again")
    setup.client.acquire()
    assert (setup.by("licensor"), setup.by("redis_again")) == (before[0] + 1, before[1])


def test_a_request_again_is_answered_by_redis_as_before(setup: Setup) -> None:
    setup.warm()
    granted = setup.client.acquire().granted
    assert setup.client.acquire(request=granted.request).granted.token == granted.token
    assert setup.client.release(granted).released.queued
    assert setup.client.release(granted).released.queued


def _another_licensor(setup: Setup) -> None:
    _, other = setup.licensor("two")
    other.acquire()


def _deadlines_move(setup: Setup) -> None:
    """Another licensor's tick saw a step of the clock, say."""
    setup.store.hincrby("{engenho}:clock", "steps", 1)


def _memos_turn(setup: Setup) -> None:
    setup.store.hset("{engenho}:clock", "memo", setup.theirs.ms + 1)


def _the_seat_is_dead(setup: Setup) -> None:
    """Its 30 seconds end on Redis's clock, and have 40 ms to go on the licensor's."""
    setup.theirs.move(0.06)


def _redis_went_on(setup: Setup) -> None:
    setup.theirs.move(0.12)


def _redis_went_back(setup: Setup) -> None:
    setup.theirs.step(-0.001)


def _the_life_is_gone(setup: Setup) -> None:
    for key in setup.store.keys("{engenho}:requests:life:*"):
        setup.store.delete(key)


def _minutes_are_counted(setup: Setup) -> None:
    """Another one closed the minute, say: the counters are others."""
    setup.store.delete("{engenho}:requests:stat")


def _the_dead_are_purged(setup: Setup) -> None:
    """Nothing but the number of consumed seats says so."""
    setup.store.delete("{engenho}:requests:q", "{engenho}:requests:packed")
    setup.store.set("{engenho}:requests:used", 0)


CHANGES: dict[str, tuple[Callable[[Setup], None], bool]] = {  # and whether the queued seat may still be re-used
    "another licensor took it": (_another_licensor, False),
    "deadlines moved": (_deadlines_move, True),
    "a generation of memos began": (_memos_turn, True),
    "the seat is dead by now": (_the_seat_is_dead, False),
    "redis is 120 ms further": (_redis_went_on, False),
    "redis is behind": (_redis_went_back, True),
    "the life is gone": (_the_life_is_gone, False),
    "the counters are others": (_minutes_are_counted, True),
    "the queue was purged": (_the_dead_are_purged, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_redis_works_out_what_has_changed(setup: Setup, change: str) -> None:
    """One seat is queued, with 40 ms to live; then something changes that the licensor does not know."""
    setup.client.release(setup.client.acquire().granted)
    setup.move(29.96)
    setup.tick()
    setup.warm()
    before, (make, is_reusable) = setup.by("redis_again"), CHANGES[change]
    make(setup)
    granted = setup.client.acquire().granted
    assert setup.by("redis_again") == before + 1, "the licensor noticed before, so this shows nothing"
    assert granted.reused == is_reusable
    assert setup.store.hexists(f"{{engenho}}:w:{setup.client.session}", granted.request)
    assert setup.client.release(granted).released.queued == (granted.life_left_us > 0)
    setup.warm()


def test_licensors_that_take_turns_leave_it_to_redis(setup: Setup) -> None:
    second, other = setup.licensor("two")
    for _ in range(100):
        setup.client.release(setup.client.acquire().granted)
        other.release(other.acquire().granted)
    for service in (setup.service, second):
        assert setup.by("redis_again", service) < 30, "to be wrong is dear: half of the requests were"
    pool = setup.client.pool("requests")
    assert (pool.in_use, pool.queued) == (0, 1)
