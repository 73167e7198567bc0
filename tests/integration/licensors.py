"""What the licensor's tests start and ask: licensors, a client of their protocol, and clocks that stand still."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from tests.harness.process import BIN, TOP, free_port, wait_for
from tests.harness.proto import definition_pb2, licensor_pb2
from tests.harness.redis import Redis
from tests.harness.system import Service

L = licensor_pb2
HELD = definition_pb2.SEAT_KIND_HELD
REQUEST = definition_pb2.SEAT_KIND_REQUEST
NOTIFIED = definition_pb2.SEAT_KIND_NOTIFIED
SHIM = BIN.parent / "tests/clock_shim.so"
KEYS = TOP / "tests/keys"


class Clock:
    """The wall and the monotonic clock of the processes that get `environment`: they move only when told."""

    def __init__(self, file: pathlib.Path, unix_s: float = 1_767_225_600, mono_s: float = 1000):
        self.file = file
        self.unix_us = int(unix_s * 1e6)
        self.mono_us = int(mono_s * 1e6)
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        asan = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": str(SHIM), "TEST_CLOCK_FILE": str(self.file),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}

    def _write(self) -> None:
        with open(self.file, "r+b" if self.file.exists() else "w+b") as file:
            file.write(struct.pack("<qq", self.unix_us, self.mono_us))

    @property
    def ms(self) -> int:
        return self.unix_us // 1000

    def move(self, seconds: float) -> None:
        """Both clocks go forward."""
        self.unix_us += round(seconds * 1e6)
        self.mono_us += round(seconds * 1e6)
        self._write()

    def step(self, seconds: float) -> None:
        """The wall clock steps; no time goes by."""
        self.unix_us += round(seconds * 1e6)
        self._write()


class Client:
    """One connection to a licensor."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.ids = 0
        self.requests = 0
        self.session = ""
        self.pushed: list[Any] = []

    def close(self) -> None:
        self.socket.close()

    def send(self, **body: Any) -> int:
        self.ids += 1
        data = L.ToLicensor(id=self.ids, **body).SerializeToString()
        self.socket.sendall(struct.pack(">I", len(data)) + data)
        return self.ids

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError("the licensor closed the connection")
            data += part
        return data

    def receive(self) -> Any:
        return L.FromLicensor.FromString(self._read(struct.unpack(">I", self._read(4))[0]))

    def answer(self, number: int) -> Any:
        while True:
            message = self.receive()
            if message.id == number:
                return message
            self.pushed.append(message)

    def ask(self, **body: Any) -> Any:
        return self.answer(self.send(**body))

    def granted(self) -> Any:
        """The next Granted that is pushed."""
        while True:
            for message in self.pushed:
                if message.HasField("granted"):
                    self.pushed.remove(message)
                    return message.granted
            self.pushed.append(self.receive())

    def register(self, name: str = "w1", agent: str = "default", **more: Any) -> Any:
        message = self.ask(register=L.Register(name=name, agent=agent, host="here", pid=42, **more))
        if message.HasField("registered"):
            self.session = message.registered.session
        return message

    def next_request(self) -> str:
        self.requests += 1
        return f"{self.session}:{self.requests}"

    def acquire(self, kind: int = REQUEST, production: str = "", *, request: str = "", **more: Any) -> Any:
        return self.ask(acquire=L.Acquire(session=self.session, request=request or self.next_request(), kind=kind,
                                          production=production, **more))

    def release(self, granted: Any) -> Any:
        return self.ask(release=L.Release(session=self.session, request=granted.request, token=granted.token))

    def heartbeat(self, **more: Any) -> Any:
        return self.ask(heartbeat=L.Heartbeat(session=self.session, **more))

    def pool(self, name: str) -> Any:
        for pool in self.ask(list_seats=L.ListSeats(pool=name)).seats.pools:
            return pool
        raise KeyError(name)


def licensor(directory: pathlib.Path, redis_url: str, *words: str, name: str = "licensor", licences: tuple[str, ...] = (),
             port: int = 0, clock: Clock | None = None) -> Service:
    """A licensor, not started; `licences` are names of tests/keys."""
    folder = directory / "licences"
    folder.mkdir(exist_ok=True, parents=True)
    for licence in licences:
        (folder / licence).write_bytes((KEYS / licence).read_bytes())
    return Service(name, directory, "engenho-licensor", [
        "--listen", f"127.0.0.1:{port or free_port()}", "--redis", redis_url, "--licence-dir", str(folder),
        "--admin-listen", "127.0.0.1:0", "--redis-backoff-max", "200ms",
        # Requests are collected for a time, and a clock that stands still has none.
        *(("--redis-batch", "0s") if clock else ()), *words], clock.environment if clock else None)


def connect(service: Service) -> Client:
    """A client of a licensor that has reached its Redis."""
    service.wait_until_ready(30)
    return Client(int(service.ready["listen"].rpartition(":")[2]))


def stopped(service: Service, meanwhile: Callable[[], Any]) -> Any:
    """What comes of `meanwhile` while the licensor stands still."""
    pid = service.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        return meanwhile()
    finally:
        os.kill(pid, signal.SIGCONT)


def advance(clock: Clock, redis: Redis, service: Service, seconds: float, client: Client | None = None) -> None:
    """Let time go by in steps of a second, each seen by the licensor's tick; `client` sends its heartbeats."""
    store = redis.client
    for _ in range(int(seconds)):
        clock.move(1)
        service.probe("/livez")  # its loop wakes, and sees that a second went by
        wait_for("a tick", lambda: store.hget("{engenho}:clock", "last") == str(clock.ms))
        if client is not None:
            client.heartbeat()
