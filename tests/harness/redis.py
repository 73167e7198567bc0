"""A private redis-server, safe as the licensor asks: append-only, no eviction.

Debian's Redis, unless a test asks for Valkey too (SERVERS); ENGENHO_REDIS_SERVER names another server that speaks the
protocol, for all tests that do not ask.
"""

from __future__ import annotations

import os
import pathlib

import redis as client

from tests.harness.process import DEPS, Process, free_port, wait_for

SERVER = os.environ.get("ENGENHO_REDIS_SERVER", "/usr/bin/redis-server")
# What the rules are tested on (`make deps-test` builds Valkey).
SERVERS = {"redis": "/usr/bin/redis-server", "valkey": str(DEPS / "bin/valkey-server")}

# What the licensor's user may do, and no more (docs/OPERATIONS.md).
LICENSOR_RIGHTS = ["~{engenho}*", "&{engenho}:*", "-@all", "+@read", "+@write", "-@dangerous", "+fcall", "+function|list",
                   "+function|load", "+config|get", "+info", "+time", "+publish", "+subscribe"]


class Redis:
    """A server; its data stays in `directory`, so that it can be killed and started again."""

    def __init__(self, directory: pathlib.Path | str, *settings: str, environment: dict[str, str] | None = None,
                 server: str = SERVER):
        """`settings` are more words of redis-server's command line: "--appendonly", "no"."""
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.process = Process(
            "redis",
            [
                server,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", ""),
                *("--appendonly", "yes", "--maxmemory-policy", "noeviction", *settings),
            ],
            self.directory / "redis.log",
            environment,
        )

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> client.Redis:
        """A new client of it."""
        return client.Redis(port=self.port, decode_responses=True)

    def start(self) -> "Redis":
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process.start()

        def answers() -> bool:
            assert self.process.alive(), f"redis-server died: {self.process.tail()}"
            try:
                # Another server at this port would answer too.
                return self.client.info("server")["process_id"] == self.process.pid
            except client.RedisError as error:
                raise RuntimeError(str(error)) from error

        wait_for("Redis answers", answers)
        return self

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self.process.kill()
