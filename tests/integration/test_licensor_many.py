"""Many seats at once: as many as one session may hold are freed, claimed and queued in single transitions."""

from __future__ import annotations

import json
import pathlib

from tests.harness.redis import Redis
from tests.integration.licensors import REQUEST, Clock, L, advance, connect, licensor
from tests.keys.sign import licence, sign

SEATS = 9000  # more than Lua passes to a command at once


def test_thousands_of_seats_of_a_dead_session_are_freed_at_once_and_their_line_is_served(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, clock=clock)
    (tmp_path / "licences/many.json").write_text(json.dumps(sign(licence("full", 4, pools={"requests": SEATS}))))
    service.start()
    holder, waiter = connect(service), connect(service)
    holder.register("holder")
    waiter.register("waiter")

    def ask(client, count: int, wait: bool) -> list[L.FromLicensor]:  # type: ignore[no-untyped-def]
        numbers = []
        answers = []
        for n in range(count):
            numbers.append(client.send(acquire=L.Acquire(session=client.session, request=client.next_request(), kind=REQUEST,
                                                         wait=wait)))
            if len(numbers) == 200 or n + 1 == count:
                answers += [client.answer(number) for number in numbers]
                numbers = []
        return answers

    granted = ask(holder, SEATS, False)
    assert all(answer.HasField("granted") for answer in granted)
    assert all(answer.HasField("waiting") for answer in ask(waiter, SEATS, True))
    advance(clock, redis, service, 31, waiter)  # the holder sends no heartbeat
    pool = waiter.pool("requests")
    assert (pool.in_use, pool.queued, pool.waiting) == (SEATS, 0, 0)
    tokens = {waiter.granted().token for _ in range(SEATS)}
    assert len(tokens) == SEATS
    service.kill()
    redis.stop()
