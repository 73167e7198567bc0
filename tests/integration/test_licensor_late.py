"""What a licensor that was stopped reads late, after its worker went on with another one."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.process import wait_for
from tests.harness.redis import Redis
from tests.harness.system import Service
from tests.integration.licensors import HELD, REQUEST, Client, L, connect, licensor, stopped

LICENCES = ("full-8.json",)
BEGAN_US = 1_700_000_000_000_000
Two = tuple[Service, Service]


@pytest.fixture
def two(tmp_path: pathlib.Path, redis: Redis) -> Iterator[Two]:
    """Two licensors of one Redis."""
    one = licensor(tmp_path, redis.url, licences=LICENCES).start()
    other = licensor(tmp_path, redis.url, name="other", licences=LICENCES).start()
    yield one, other
    assert one.stop() == 0 and other.stop() == 0


def order(sequence: int, began_us: int = BEGAN_US) -> dict[str, int]:
    return {"began_us": began_us, "sequence": sequence}


def test_a_registration_read_late_frees_nothing_of_a_session_that_goes_on(two: Two) -> None:
    one, other = two
    client = connect(one)
    client.register(**order(1))
    late, again = connect(one), connect(other)

    def meanwhile() -> tuple[int, Any]:
        number = late.send(register=L.Register(name="w1", agent="default", host="here", pid=42, session=client.session, **order(2)))
        again.requests = 10
        assert again.register(session=client.session, **order(3)).registered.session == client.session
        return number, again.acquire(pools=["full"]).granted

    number, seat = stopped(one, meanwhile)
    refused = late.answer(number).refused
    assert refused.reason == L.REFUSAL_REASON_STALE and "newer registration" in refused.text
    assert again.pool("full").in_use == 1, "the seat that it took meanwhile"
    assert again.heartbeat().HasField("heartbeat")
    assert again.release(seat).HasField("released")


def test_what_a_client_that_has_gone_asked_for_is_not_done(two: Two) -> None:
    one, other = two
    client = connect(one)
    client.register(**order(1))
    seat = client.acquire(pools=["full"]).granted
    dead = connect(one)

    def meanwhile() -> None:
        dead.send(register=L.Register(name="w2", agent="default", host="here", pid=43, **order(1)))
        dead.close()
        client.send(acquire=L.Acquire(session=client.session, request=client.next_request(), kind=HELD, production="P1"))
        client.send(release=L.Release(session=client.session, request=seat.request, token=seat.token))
        client.close()

    stopped(one, meanwhile)
    look = connect(other)
    wait_for("what it gave back is free", lambda: look.pool("full").in_use == 0)
    wait_for("the connections are closed", lambda: one.metric("engenho_licensor_connections") == 0)
    assert look.pool("productions").in_use == 0, "nobody would ever give it back"
    assert [row.name for row in look.ask(list_seats=L.ListSeats()).seats.processors] == ["w1"]


def test_a_heartbeat_read_late_does_not_free_the_name(two: Two) -> None:
    one, other = two
    client = connect(one)
    client.register(**order(1))
    again, second = connect(other), connect(other)

    def meanwhile() -> None:
        client.send(heartbeat=L.Heartbeat(session=client.session))
        assert again.register(session=client.session, **order(2)).HasField("registered")

    stopped(one, meanwhile)
    assert client.answer(client.ids).refused.reason == L.REFUSAL_REASON_STALE
    client.close()
    wait_for("its end is seen", lambda: one.metric("engenho_licensor_connections") == 0)
    refused = second.register(**order(1, BEGAN_US + 1)).refused
    assert refused.reason == L.REFUSAL_REASON_NAME_IN_USE, "it is connected to the other licensor"


def test_a_worker_that_starts_again_takes_its_name_over_and_the_one_before_does_not(two: Two) -> None:
    one, other = two
    before = connect(one)
    before.register(**order(5))
    before.close()
    after = connect(other)
    wait_for("the name is free", lambda: after.register(**order(1, BEGAN_US + 1)).HasField("registered"))
    seat = after.acquire(pools=["full"]).granted
    port = after.socket.getpeername()[1]
    after.close()
    late = connect(one)
    refused = wait_for("the name is free", lambda: (r := late.register(session=before.session, **order(6)).refused).reason
                       != L.REFUSAL_REASON_NAME_IN_USE and r)
    assert refused.reason == L.REFUSAL_REASON_STALE
    again = Client(port)
    again.requests = 10
    held = [L.HeldSeat(token=seat.token, pool=seat.pool, number=seat.number, kind=2, request=seat.request)]
    assert not again.register(session=after.session, held=held, **order(2, BEGAN_US + 1)).registered.lost_tokens


def test_who_gave_up_waiting_is_not_given_the_seat_later(two: Two) -> None:
    """Its request was read by a licensor that was stopped, when a seat was free again."""
    one, other = two
    client = connect(one)
    client.register(**order(1))
    seats = []
    while (answer := client.acquire(pools=["full"])).HasField("granted"):
        seats.append(answer.granted)
    request, again = client.next_request(), connect(other)

    def meanwhile() -> int:
        number = client.send(acquire=L.Acquire(session=client.session, request=request, kind=REQUEST, pools=["full"], wait=True))
        held = [L.HeldSeat(request=seat.request, token=seat.token, pool=seat.pool, number=seat.number, kind=REQUEST) for seat in seats]
        again.register(session=client.session, held=held, **order(2))
        assert again.acquire(request=request, pools=["full"], wait=True).HasField("waiting")
        assert again.ask(release=L.Release(session=again.session, request=request)).HasField("released")
        assert again.release(seats[0]).HasField("released")
        return number

    late = client.answer(stopped(one, meanwhile))
    assert late.refused.reason == L.REFUSAL_REASON_STALE, late
    assert again.pool("full").in_use == len(seats) - 1


def test_who_gives_up_waiting_and_says_so_again_is_answered_as_the_first_time(two: Two) -> None:
    """The first answer was on its way when the licensor died."""
    client, moved = (connect(service) for service in two)
    client.register(**order(1))
    seats = []
    while (answer := client.acquire(pools=["full"])).HasField("granted"):
        seats.append(answer.granted)
    request = client.next_request()
    assert client.acquire(request=request, pools=["full"], wait=True).HasField("waiting")
    first = client.ask(release=L.Release(session=client.session, request=request)).released
    held = [L.HeldSeat(request=seat.request, token=seat.token, pool=seat.pool, number=seat.number, kind=REQUEST) for seat in seats]
    moved.register(session=client.session, held=held, **order(2))
    again = moved.ask(release=L.Release(session=client.session, request=request))
    assert again.HasField("released"), again
    assert (again.released.queued, again.released.life_left_us) == (first.queued, first.life_left_us) == (False, 0)
    assert moved.acquire(request=request, pools=["full"], wait=True).refused.reason == L.REFUSAL_REASON_STALE
    never = moved.ask(release=L.Release(session=client.session, request=moved.next_request() + "0"))
    assert never.refused.reason == L.REFUSAL_REASON_STALE
