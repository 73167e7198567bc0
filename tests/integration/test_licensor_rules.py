"""Rules that a licence asks for, over the wire on real Redis: reservations, shared seats, a cap that is lowered, a Master in demo."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tests.harness.process import wait_for
from tests.harness.redis import Redis
from tests.integration.licensors import HELD, Clock, L, advance, connect, licensor
from tests.keys.sign import licence, sign


def start(directory: pathlib.Path, pools: dict[str, Any]) -> tuple[Any, Redis]:
    """A licensor on a Redis of its own, with these pools."""
    redis = Redis(directory / "redis").start()
    service = licensor(directory, redis.url)
    write(directory, pools)
    return service.start(), redis


def write(directory: pathlib.Path, pools: dict[str, Any]) -> None:
    (directory / "licences/rules.json").write_text(json.dumps(sign(licence("full", 4, pools=pools))))


def test_a_reserved_seat_is_for_its_agent(tmp_path: pathlib.Path) -> None:
    service, redis = start(tmp_path, {"productions": {"seats": 2, "reserve": {"night": 1}}})
    day, night = connect(service), connect(service)
    day.register("day")
    night.register("night", "night")
    assert day.acquire(HELD, "a").HasField("granted")
    refused = day.acquire(HELD, "b").refused
    assert refused.reason == L.REFUSAL_REASON_POOL_LIMIT
    assert "pool productions, 1 of 2 in use" in refused.text and "licences@example.org" in refused.text
    assert "Excedeu o número de licenças: grupo productions, 1 de 2 em uso" in refused.text_pt
    assert night.acquire(HELD, "a").HasField("granted")
    service.kill()
    redis.stop()


def test_productions_share_a_seat_where_the_holder_is_the_pool(tmp_path: pathlib.Path) -> None:
    service, redis = start(tmp_path, {"productions": {"seats": 1, "holder": "pool"}})
    one, other = connect(service), connect(service)
    one.register("one")
    other.register("other")
    first, second = one.acquire(HELD, "a").granted, one.acquire(HELD, "b").granted
    assert (first.waived, second.waived, second.token) == (False, True, first.token)
    assert other.acquire(HELD, "a").refused.reason == L.REFUSAL_REASON_POOL_LIMIT
    one.release(first)
    assert other.acquire(HELD, "a").refused.reason == L.REFUSAL_REASON_POOL_LIMIT, "the second one still runs on it"
    one.release(second)
    assert other.acquire(HELD, "a").granted.reused
    service.kill()
    redis.stop()


def test_a_master_in_demo_gives_demo_limits_and_kills_nothing(tmp_path: pathlib.Path) -> None:
    service, redis = start(tmp_path, {"requests": 5})
    client = connect(service)
    assert client.register().registered.edition == "full"
    running = [client.acquire(HELD, f"p{n}").granted for n in range(11)]
    for demo, edition in ((True, "demo"), (False, "full")):
        client.ask(set_master=L.SetMaster(demo=demo))
        wait_for("the heartbeat says so", lambda: client.heartbeat().heartbeat.edition == edition)
        answer = client.acquire(HELD, f"more {demo}")
        if demo:
            assert answer.refused.reason == L.REFUSAL_REASON_EDITION_LIMIT and "11 of 10 productions" in answer.refused.text
            assert client.pool("productions").in_use == len(running)
        else:
            assert answer.HasField("granted")
    service.kill()
    redis.stop()


def test_a_pool_that_no_licence_has_is_named(tmp_path: pathlib.Path, redis: Redis) -> None:
    service = licensor(tmp_path, redis.url, licences=("full-8.json",)).start()
    client = connect(service)
    client.register()
    refused = client.acquire(HELD, "p", pools=["nowhere"]).refused
    assert refused.reason == L.REFUSAL_REASON_UNKNOWN_POOL
    assert refused.text == "the licence has no pool nowhere; contact: licences@example.org"
    assert refused.text_pt == "A licença não tem o grupo nowhere; contato: licences@example.org"
    for pools in (["full", "full"], [f"p{number}" for number in range(9)]):
        assert client.acquire(HELD, "p", pools=pools).refused.reason == L.REFUSAL_REASON_BAD_REQUEST
    service.kill()


def test_a_limit_lowered_below_what_is_in_use_takes_nothing_away(tmp_path: pathlib.Path) -> None:
    """Two licences make four seats; one of them is taken out of the directory while all four are held."""
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, licences=("full-8.json",), clock=clock).start()
    client = connect(service)
    client.register()
    more = json.dumps(sign(licence("full", 1, pools={"full": 2}))).encode()
    assert client.ask(install_licence=L.InstallLicence(file=more)).licence.keys == 9
    held = [client.acquire(HELD, f"p{number}", pools=["full"]).granted for number in range(4)]
    assert all(seat.token for seat in held)
    for file in (tmp_path / "licences").glob("licence-*.json"):
        file.unlink()
    advance(clock, redis, service, 62, client)
    assert client.ask(show_licence=L.ShowLicence()).licence.keys == 8
    assert client.acquire(HELD, "one more", pools=["full"]).refused.text.startswith("licence limit reached: pool full, 4 of 2 in use")
    assert sum(seat.state == "busy" for seat in client.ask(list_seats=L.ListSeats(pool="full")).seats.seats) == 4
    for seat in held[:2]:
        assert client.release(seat).HasField("released")
    assert client.acquire(HELD, "one more", pools=["full"]).HasField("refused"), "two of two are in use"
    client.release(held[2])
    assert client.acquire(HELD, "one more", pools=["full"]).HasField("granted")
    service.kill()
    redis.stop()
