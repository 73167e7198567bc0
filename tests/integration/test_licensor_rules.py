"""Rules that a licence asks for, over the wire on real Redis: reservations, shared seats, a cap that is lowered, a Master in demo."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tests.harness.process import wait_for
from tests.harness.redis import Redis
from tests.integration.licensors import HELD, L, connect, licensor
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
