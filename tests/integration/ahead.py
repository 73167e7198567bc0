"""A licensor that works requests out ahead, beside a Redis, each with a clock of its own that stands still."""

from __future__ import annotations

import json
import pathlib

from tests.harness.process import wait_for
from tests.harness.redis import SERVER, Redis
from tests.harness.system import Service
from tests.integration.licensors import Client, Clock, connect, licensor
from tests.keys.sign import licence, sign

WARM_MAX = 40  # a licensor that was wrong pauses for 16 batches at most


class Setup:
    """A licensor with `words` among its options, and its Redis."""

    def __init__(self, directory: pathlib.Path, *words: str, server: str = SERVER):
        self.directory = directory
        self.words = words
        self.ours, self.theirs = Clock(directory / "ours"), Clock(directory / "theirs")
        self.redis = Redis(directory / "redis", environment=self.theirs.environment, server=server).start()
        self.store = self.redis.client
        folder = directory / "licences"
        folder.mkdir()
        (folder / "pools.json").write_text(json.dumps(sign(licence("full", 8, pools={"requests": 50}))))
        self.services: list[Service] = []
        self.service, self.client = self.licensor("one")

    def licensor(self, name: str) -> tuple[Service, Client]:
        service = licensor(self.directory, self.redis.url, *self.words, name=name, clock=self.ours).start()
        self.services.append(service)
        client = connect(service)
        client.register(name)
        return service, client

    def by(self, who: str, service: Service | None = None) -> int:
        return int((service or self.service).metric("engenho_redis_seat_operations_total", by=who))

    def move(self, seconds: float) -> None:
        self.ours.move(seconds)
        self.theirs.move(seconds)

    def warm(self) -> None:
        """Until requests are worked out by the licensor."""
        before = self.by("licensor")
        for _ in range(WARM_MAX):
            self.client.release(self.client.acquire().granted)
            if self.by("licensor") > before + 1:
                return
        raise AssertionError("nothing is worked out ahead")

    def tick(self) -> None:
        """The licensor has ticked at the present time: it will not do so by itself again."""
        self.service.probe("/livez")
        wait_for("a tick", lambda: self.store.hget("{engenho}:clock", "last") == str(self.theirs.ms))

    def stop(self) -> None:
        for service in self.services:
            service.kill()
        self.redis.stop()
