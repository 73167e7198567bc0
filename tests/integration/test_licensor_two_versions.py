"""A licensor beside one of another version, as in a rollout: each has its own library of functions in Redis, and both write the same keys."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator

import pytest

from tests.harness.process import BIN, TOP
from tests.harness.redis import SERVERS, Redis
from tests.harness.system import Service
from tests.integration.licensors import HELD, Client, L, connect, licensor
from tests.keys.sign import licence, sign

SEATS = 6
LIBRARY = re.search(r'ENGENHO_LIBRARY "(\w+)"', (TOP / "licensor/store/command.h").read_text()).group(1)  # type: ignore[union-attr]
OLDER = LIBRARY[:-1] + "0"


def older_program(directory: pathlib.Path) -> pathlib.Path:
    """The licensor as it would be with another library: the name stands in the program and in the functions that it loads."""
    program = (BIN / "engenho-licensor").read_bytes()
    assert program.count(LIBRARY.encode()) > 10, "the functions are not in the program as plain text"
    path = directory / "older-licensor"
    path.write_bytes(program.replace(LIBRARY.encode(), OLDER.encode()))
    path.chmod(0o755)
    return path


class Rollout:
    """One Redis, a licensor of an older version and one of ours."""

    def __init__(self, directory: pathlib.Path, server: str):
        self.redis = Redis(directory / "redis", server=server).start()
        folder = directory / "licences"
        folder.mkdir()
        (folder / "pools.json").write_text(json.dumps(sign(licence("full", 8, productions=SEATS, pools={"requests": SEATS}))))
        self.older = licensor(directory, self.redis.url, name="older")
        self.older.argv[0] = str(older_program(directory))
        self.newer = licensor(directory, self.redis.url, name="newer")
        self.services: list[Service] = []

    def start(self, service: Service) -> Service:
        self.services.append(service.start())
        return service

    def libraries(self) -> dict[str, str]:
        return {library["library_name"]: library["library_code"] for library in (
            dict(zip(row[::2], row[1::2], strict=True)) for row in self.redis.client.function_list(withcode=True))}

    def stop(self) -> None:
        for service in self.services:
            service.kill()
        self.redis.stop()


@pytest.fixture(params=sorted(SERVERS))
def rollout(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Rollout]:
    rollout = Rollout(tmp_path, SERVERS[request.param])
    yield rollout
    rollout.stop()


def client_of(service: Service, name: str) -> Client:
    client = connect(service)
    client.register(name)
    return client


def test_a_library_is_loaded_beside_an_older_one(rollout: Rollout) -> None:
    connect(rollout.start(rollout.older)).close()
    before = rollout.libraries()
    assert before.keys() == {OLDER}
    connect(rollout.start(rollout.newer)).close()
    assert rollout.libraries().keys() == {OLDER, LIBRARY}
    assert rollout.libraries()[OLDER] == before[OLDER]


def test_a_seat_is_one_seat_for_both_versions(rollout: Rollout) -> None:
    old, new = (client_of(rollout.start(service), service.name) for service in (rollout.older, rollout.newer))
    for _ in range(20):
        held = [client.acquire().granted for client in (old, new) * (SEATS // 2)]
        assert len({granted.number for granted in held}) == SEATS
        for client in (old, new):
            assert client.acquire().refused.reason == L.REFUSAL_REASON_POOL_LIMIT
            assert client.pool("requests").in_use == SEATS
        for client, granted in zip((old, new) * (SEATS // 2), held, strict=True):
            assert client.release(granted).HasField("released")
    assert new.pool("requests").in_use == old.pool("requests").in_use == 0
    # Each worked ahead on what it knew, and was told when the other had changed it.
    for service in (rollout.older, rollout.newer):
        assert service.metric("engenho_redis_seat_operations_total", by="redis_again") > 0, service.name


def test_what_the_older_one_granted_is_given_back_to_the_newer(rollout: Rollout) -> None:
    worker = client_of(rollout.start(rollout.older), "w1")
    granted = [worker.acquire(HELD, f"production{n}").granted for n in range(3)]
    assert all(granted), granted
    moved = connect(rollout.start(rollout.newer))
    rollout.older.kill()
    held = [L.HeldSeat(request=seat.request, token=seat.token, pool=seat.pool, number=seat.number, kind=HELD, production=f"production{n}")
            for n, seat in enumerate(granted)]
    assert moved.register("w1", session=worker.session, held=held).registered.session == worker.session
    assert moved.pool("productions").in_use == 3
    for seat in granted:
        assert moved.release(seat).released.queued
    assert moved.pool("productions").in_use == 0
    assert moved.pool("productions").queued == 3
