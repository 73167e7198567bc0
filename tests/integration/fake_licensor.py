"""A licensor that answers what a test wants and says when it was asked: for what the producer does at an exact moment."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from tests.harness.process import free_port
from tests.harness.proto import licensor_pb2, usage_pb2

L = licensor_pb2


class FakeLicensor:
    """Usage records that wait until they are acknowledged, and whatever `refuse` names refused with its sentence.

    `before` is called with each request before anything becomes of it, and may raise to leave it unanswered.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.waiting: list[Any] = []
        self.asked: list[Any] = []
        self.refuse: dict[str, Any] = {}
        self.before: Callable[[Any], None] = lambda message: None
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.server.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, *records: Any) -> None:
        with self.lock:
            self.waiting.extend(records)

    def count(self, kind: str) -> int:
        """How often something was asked."""
        return sum(message.WhichOneof("body") == kind for message in self.asked)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, RuntimeError), connection:
            while True:
                message = L.ToLicensor.FromString(_read(connection, struct.unpack(">I", _read(connection, 4))[0]))
                self.asked.append(message)
                self.before(message)
                data = self._answer(message).SerializeToString()
                connection.sendall(struct.pack(">I", len(data)) + data)

    def _answer(self, message: Any) -> Any:
        kind = message.WhichOneof("body")
        if kind in self.refuse:
            return L.FromLicensor(id=message.id, refused=self.refuse[kind])
        if kind == "fetch_usage":
            with self.lock:
                return L.FromLicensor(id=message.id, usage=usage_pb2.UsageRecords(records=self.waiting[: message.fetch_usage.max]))
        if kind == "acknowledge_usage":
            with self.lock:
                ids = [record.id for record in self.waiting]
                if message.acknowledge_usage.through in ids:
                    del self.waiting[: ids.index(message.acknowledge_usage.through) + 1]
        return L.FromLicensor(id=message.id)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def usage_record(minute: int, pool: str = "productions", **members: Any) -> Any:
    """The record of a minute; the first minute of 2026 is number 0."""
    from_us = (1_767_225_600 + 60 * minute) * 1_000_000
    return usage_pb2.UsageRecord(id=f"{from_us // 60_000_000}:{pool}", pool=pool, from_us=from_us, until_us=from_us + 60_000_000,
                                 **{"granted": 1, "peak": 1, "limit": 4, **members})
