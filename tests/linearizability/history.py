"""Make a history: concurrent clients, two licensors, one Redis, and something that kills them."""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import sys
import threading
import time
from collections.abc import Callable

from tests.harness.process import TOP, free_port
from tests.harness.redis import Redis
from tests.harness.system import Service
from tests.integration.licensors import Clock, connect, licensor
from tests.linearizability.clients import Asker, Run, Stopped

sys.path.insert(0, str(TOP / "tests/keys"))
from sign import licence, sign  # noqa: E402

CAPS = {"full": 3, "productions": 10, "requests": 6}
PRODUCTIONS = 3  # at once, of one processor
LIFE_MS = 30_000
CLIENTS = 8
KILLS = ("licensor", "connections", "redis", "licensor")
STOPS = ("stopped",)
STOPPED_ANSWER_S = 0.6
STOPPED_RETURNS = 9  # by chance all clients may be at the licensor that is not stopped, again and again
# Under a second: longer ones are steps of a clock to the licensor. More than 100 ms: an answer of Redis may be on its way to a
# licensor while the clock moves (for a client that was cut off), and what that licensor works out next is dated so much too early.
# Redis takes up to 100 ms of that, which makes a life so much shorter, and not wrong; but lives are checked to the millisecond here.
MOVES_S = [0.101, 0.101, 0.113, 0.3, 0.7]


def sign_licence(directory: pathlib.Path, **more: object) -> None:
    """A licence of edition full in the folder that `licensor` reads."""
    folder = directory / "licences"
    folder.mkdir(parents=True)
    (folder / "licence.json").write_text(json.dumps(sign(licence("full", CLIENTS, **more))))


def kills_min(operations: int) -> int:
    """How often each kind of kill happens at least in a history of so many operations."""
    return max(1, operations // 1000)


class Chaos:
    """Kills, in turn and at random, and starts again what it killed; or stops a licensor for a while."""

    def __init__(self, run: Run, services: list[Service], redis: Redis, seed: int, kinds: tuple[str, ...]):
        self.run = run
        self.services = services
        self.redis = redis
        self.random = random.Random(seed)
        self.kinds = kinds
        self.kills = dict.fromkeys(kinds, 0)

    def _kill(self, what: str) -> None:
        self.kills[what] += 1
        if what == "licensor":
            service = self.random.choice(self.services)
            service.kill()
            service.start()
            _ = service.ready
        elif what == "stopped":
            self._stop(self.random.choice(self.services).pid)
        elif what == "redis":
            self.redis.kill()
            self.redis.start()
        else:
            kind = self.random.choice(["normal", "pubsub"])
            self.redis.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def _stop(self, pid: int) -> None:
        """Its clients go on with the other one; then it reads what they had sent, and more than once."""
        self.run.is_slow = True
        os.kill(pid, signal.SIGSTOP)
        try:
            self.run.stop.wait(3 * self.run.answer_s)
        finally:
            os.kill(pid, signal.SIGCONT)
            self.run.is_slow = False

    def work(self) -> None:
        at = 0
        while not self.run.done():
            at += self.random.randrange(80, 200)
            while len(self.run.history) < at and not self.run.done():
                self.run.stop.wait(0.002)
            if self.run.done():
                return
            turn = sum(self.kills.values())
            self._kill(self.kinds[turn % len(self.kinds)])
            self.run.is_killed_enough = min(self.kills.values()) >= kills_min(self.run.operations)


class Mover:
    """Lets time go by until it is told to end."""

    def __init__(self, run: Run, clock: Clock, seed: int):
        self.run = run
        self.clock = clock
        self.random = random.Random(seed)
        self.ended = threading.Event()

    def _move(self) -> None:
        began = time.monotonic_ns()
        self.clock.move(self.random.choice(MOVES_S))
        self.run.moves.append({"client": CLIENTS, "op": "move", "now": self.clock.ms, "from": began,
                               "to": time.monotonic_ns(), "out": {"word": "moved"}})

    def work(self) -> None:
        while not self.ended.wait(0.002):
            self.run.gate.alone(self._move)


class Team:
    """Threads of one run; the first that fails stops all, and its error is the run's."""

    def __init__(self, run: Run):
        self.run = run
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001: it is raised again by join
            self.errors.append(error)
            self.run.stop.set()

    def start(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(work,))
        self.threads.append(thread)
        thread.start()
        return thread

    def join(self) -> None:
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]


def _write(file: pathlib.Path, run: Run, first_ms: int) -> None:
    setup = {"caps": CAPS, "productions": PRODUCTIONS, "life_ms": LIFE_MS, "now_ms": first_ms}
    rows = sorted(run.history + run.moves, key=lambda row: row["from"])
    file.write_text("".join(json.dumps(row) + "\n" for row in [setup, *rows]))


def make(directory: pathlib.Path, seed: int, operations: int, kinds: tuple[str, ...] = KILLS) -> tuple[pathlib.Path, dict[str, int]]:
    """A history of so many operations: its file, and what was killed how often."""
    sign_licence(directory, productions=PRODUCTIONS, pools=CAPS)
    clock = Clock(directory / "clock")
    first_ms = clock.ms
    redis = Redis(directory / "redis", "--appendfsync", "always", environment=clock.environment).start()
    words = ("--lease", "3600s", "--request-memory", "86400s", "--redis-timeout", "60s",
             # In half of the histories what is worked out ahead is packed, in half it is fields.
             "--redis-pack-min", "1" if seed // 2 % 2 == 0 else "0")
    services = [licensor(directory, redis.url, *words, name=name, port=free_port(), clock=clock).start()
                for name in ("one", "two")]
    try:
        for service in services:
            connect(service).close()
        # With most at one licensor it works more out ahead; with as many at each, Redis does.
        run = Run([int(service.ready["listen"].rpartition(":")[2]) for service in services],
                  0.2 if seed % 2 and "stopped" not in kinds else 0.5, operations)
        if "stopped" in kinds:
            run.answer_s, run.returns_min = STOPPED_ANSWER_S, STOPPED_RETURNS
        askers = [Asker(number, run, seed * 1000 + number) for number in range(CLIENTS)]
        for asker in askers:
            asker.connect()
        mover, chaos = Mover(run, clock, seed), Chaos(run, services, redis, seed, kinds)
        team = Team(run)
        team.start(mover.work)
        clients = [team.start(asker.work) for asker in askers]
        try:
            chaos.work()  # here: what a thread starts dies with that thread (PR_SET_PDEATHSIG)
            for thread in clients:
                thread.join()
            for pool in CAPS if not team.errors else ():
                askers[0].look(pool)  # while time goes by, or a licensor that lost its Redis would not try again
        finally:
            run.stop.set()
            mover.ended.set()
        team.join()
        print("worked out by", {by: sum(int(service.metric("engenho_redis_seat_operations_total", by=by)) for service in services)
                                for by in ("licensor", "redis", "redis_again")}, "since the last kills")
        for asker in askers:
            asker.close()
        file = directory / "history.jsonl"
        _write(file, run, first_ms)
        return file, chaos.kills
    finally:
        for service in services:
            service.kill()
        redis.stop()
