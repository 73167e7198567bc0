"""The 30-second rule over the wire, on real Redis and Valkey, to the millisecond: the traces T1 to T6."""

from __future__ import annotations

import pathlib

import pytest

from tests.harness.redis import SERVERS, Redis
from tests.integration.licensors import Clock, connect, licensor

# Seats as [taken, freed] in seconds; then L-number and whether it is re-used for each; then what is consumed at the last grant.
TRACES = {
    "T1 the manual's example": ([(0, 2), (10, 12), (31, 36), (32, 37)], [(1, 0), (1, 1), (2, 0), (3, 0)], 2),
    "T2 overlap": ([(0, 2), (10, 14), (11, 16), (12, 17)], [(1, 0), (1, 1), (2, 0), (3, 0)], 3),
    "T3 long second": ([(0, 2), (10, 33), (34, 39), (35, 40)], [(1, 0), (1, 1), (2, 0), (3, 0)], 2),
    "T4 in time": ([(0, 2), (10, 12), (20, 25), (21, 26)], [(1, 0), (1, 1), (1, 1), (2, 0)], 2),
    "T5 the edge": ([(0, 2), (30.000, 35)], [(1, 0), (2, 0)], 1),
    "T6 the edge": ([(0, 2), (29.999, 35)], [(1, 0), (1, 1)], 1),
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", TRACES)
def test_trace(name: str, server: str, tmp_path: pathlib.Path) -> None:
    seats, expected, used = TRACES[name]
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment, server=SERVERS[server]).start()
    service = licensor(tmp_path, redis.url, licences=("enterprise-4.json",), clock=clock).start()
    client = connect(service)
    client.register()
    steps = sorted([(taken, 1, number) for number, (taken, _) in enumerate(seats)]
                   + [(freed, 0, number) for number, (_, freed) in enumerate(seats)])
    granted = {}
    now = 0.0
    for at, takes, number in steps:
        clock.move(round(at - now, 3))
        now = at
        if takes:
            granted[number] = client.acquire().granted
            if number == len(seats) - 1:
                pool = client.pool("requests")
                assert pool.in_use + pool.queued == used
        else:
            client.release(granted[number])
    assert [(granted[n].number, int(granted[n].reused)) for n in range(len(seats))] == expected
    service.kill()
    redis.stop()
