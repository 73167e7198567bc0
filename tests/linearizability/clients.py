"""A client of two licensors that writes down what it asks and when, what it is answered and when.

It asks at random for seats and gives them back. When a connection or a licensor dies under a request it comes back on the
other licensor with what it holds, and asks the same again, as a worker does.
"""

from __future__ import annotations

import dataclasses
import random
import select
import threading
import time
from typing import Any

from tests.integration.licensors import HELD, REQUEST, Client, L

PRODUCTIONS = [f"P{n}" for n in range(6)]
CHAINS = [["requests"]] * 4 + [["requests", "full"]] * 2 + [["full"]]
WORDS = {L.REFUSAL_REASON_POOL_LIMIT: "pool_limit", L.REFUSAL_REASON_EDITION_LIMIT: "edition_limit"}


class Gate:
    """The clocks move only while no request is on its way, so that each request sees one time."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.inside = 0
        self.closed = False

    def __enter__(self) -> None:
        with self.condition:
            self.condition.wait_for(lambda: not self.closed)
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.condition:
            self.inside -= 1
            self.condition.notify_all()

    def alone(self, action: Any) -> None:
        with self.condition:
            self.condition.wait_for(lambda: not self.closed)
            self.closed = True
            try:
                if self.condition.wait_for(lambda: self.inside == 0, 0.1):  # else a licensor is stopped: the others go on
                    action()
            finally:
                self.closed = False
                self.condition.notify_all()


class Stopped(Exception):
    """The run is over, for somebody failed."""


@dataclasses.dataclass
class Run:
    """What the clients of one history share."""

    ports: list[int]
    other: float  # how often a client goes to the second of them
    operations: int  # to do, by all
    gate: Gate = dataclasses.field(default_factory=Gate)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    moves: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    answer_s: float = 20  # a licensor that does not answer for so long is left, as workers leave it
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    is_slow: bool = False  # a licensor is stopped: most of the history is to come after that
    returns_min: int = 0  # the run goes on until sessions came back so often
    returns: int = 0
    is_killed_enough: bool = False  # and until each kind of kill happened

    def done(self) -> bool:
        is_long = len(self.history) >= self.operations
        return is_long and self.returns >= self.returns_min and self.is_killed_enough or self.stop.is_set()


@dataclasses.dataclass
class Lost:
    """A request whose answer was lost, once or more often. It takes effect once, and its repetition tells how it ended."""

    first: int  # when it was sent
    operation: dict[str, Any]
    since: int = 0  # when it was sent first since its session came back; 0: not sent since then
    resumed: int = 0  # when its session came back last

    def answered(self, operation: dict[str, Any], refused: bool) -> None:
        operation.update(again=True, last=operation["from"])
        keeps = refused or operation["op"] != "acquire" or not self.resumed
        operation["from"] = self.first if keeps else self.resumed  # what it got before that was not claimed


class Asker:
    """One processor."""

    def __init__(self, number: int, run: Run, seed: int):
        self.number = number
        self.run = run
        self.random = random.Random(seed)
        self.client: Client | None = None
        self.session = ""
        self.requests = 0
        self.resumed = -1  # how often the session came back
        self.holds: dict[str, dict[str, Any]] = {}  # by request: what a HeldSeat says
        self.waits: str | None = None
        self.lost: dict[tuple[str, str | None], Lost] = {}  # by operation and request
        self.registrations = 0
        self.left: list[Client] = []  # connections that are left open: their licensor does not see that nobody is there

    # Connections

    def connect(self) -> Client:
        """A connection on which the session goes on."""
        while self.client is None:
            if self.run.stop.is_set():
                raise Stopped
            try:
                self.client = Client(self.run.ports[self.random.random() < self.run.other])
                self.client.socket.settimeout(self.run.answer_s)
            except OSError:
                self.run.stop.wait(0.005)
                continue
            self._come_back()
        return self.client

    def _come_back(self) -> None:
        held = [L.HeldSeat(request=request, **seat) for request, seat in self.holds.items()]
        waiting = [self.waits] if self.waits else []
        operation = self._operation("resume", claims=[{"request": h.request, "token": h.token} for h in held], waiting=waiting)
        self.registrations += 1
        answer = self._ask(operation, register=L.Register(
            name=f"w{self.number}", agent="default", host="here", pid=42, session=self.session, held=held, waiting=waiting,
            began_us=1, sequence=self.registrations))
        if answer is None:
            return
        assert answer.HasField("registered"), answer
        self.run.returns += self.session != ""
        self.session = self.session or answer.registered.session
        assert self.session == answer.registered.session, "the session was lost"
        operation["out"].update(word="resumed", lost=list(answer.registered.lost_tokens))
        self._undone(operation)

    def drop(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None

    def leave(self) -> None:
        """The licensor does not answer: go elsewhere, and half of the time say nothing."""
        if self.client is not None and self.random.random() < 0.5:
            self.left.append(self.client)
            self.client = None
        self.drop()

    def close(self) -> None:
        self.drop()
        for client in self.left:
            client.close()

    # Requests

    def _operation(self, kind: str, **more: Any) -> dict[str, Any]:
        return {"client": self.number, "op": kind, "session": self.session, "from": 0, "to": 0, "out": {"word": "unknown"}, **more}

    def _ask(self, operation: dict[str, Any], **body: Any) -> Any:
        """Send it and give the answer; None: the answer was lost, or Redis is away."""
        client = self.client
        assert client is not None
        answer = None
        with self.run.gate:
            operation["from"] = time.monotonic_ns()
            try:
                number = client.send(**body)
                if self.session and self.random.random() < 0.003:
                    raise ConnectionAbortedError("dropped on purpose")
                answer = client.answer(number)
            except TimeoutError:
                self.leave()
            except OSError:
                self.drop()
            operation["to"] = time.monotonic_ns()
        if answer is not None and answer.refused.reason == L.REFUSAL_REASON_STORE_DOWN:
            answer = None
            if operation["op"] == "resume":
                self.drop()
            self.run.stop.wait(0.005)
        key = (operation["op"], operation.get("request"))
        if answer is None:
            if operation["op"] != "pool":
                lost = self.lost.setdefault(key, Lost(operation["from"], operation))
                lost.since = lost.since or operation["from"]
            return None
        operation["out"]["highest_op"] = answer.highest_op
        if key in self.lost:
            self.lost.pop(key).answered(operation, answer.HasField("refused"))
        if self.session:
            self.run.history.append(operation)
        return answer

    def _undone(self, resumed: dict[str, Any]) -> None:
        """Seats whose grant did not arrive were not claimed: if they were granted, that was undone."""
        for (kind, _), lost in self.lost.items():
            if kind == "acquire" and lost.since:
                self.run.history.append({**lost.operation, "from": lost.since, "to": resumed["to"] + 1,
                                         "out": {"word": "unknown"}, "resumed": self.resumed})
            lost.since, lost.resumed = 0, resumed["from"]
        self.resumed += 1

    def _until_answered(self, kind: str, body: dict[str, Any], **more: Any) -> tuple[dict[str, Any], Any]:
        while True:
            self.connect()
            operation = self._operation(kind, **more)
            answer = self._ask(operation, **body)
            if answer is not None:
                return operation, answer
            if self.run.stop.is_set():
                raise Stopped

    def _keep(self, out: dict[str, Any], granted: Any, kind: int, production: str) -> None:
        out.update(word="granted", token=granted.token, pool=granted.pool, number=granted.number, reused=granted.reused,
                   escalated=granted.escalated, waived=granted.waived, life=granted.life_left_us // 1000)
        self.holds[granted.request] = {"token": granted.token, "pool": granted.pool, "number": granted.number,
                                       "production": production, "kind": kind}

    def acquire(self) -> None:
        self.requests += 1
        request = f"{self.session}:{self.requests}"
        held = self.random.random() < 0.35
        production = self.random.choice(PRODUCTIONS) if held else ""
        pools = ["productions"] if held else self.random.choice(CHAINS)
        self._acquire(request, HELD if held else REQUEST, production, pools, self.random.random() < 0.1)

    def _acquire(self, request: str, kind: int, production: str, pools: list[str], wait: bool) -> None:
        body = {"acquire": L.Acquire(session=self.session, request=request, kind=kind, production=production, pools=pools,
                                     wait=wait)}
        more = {"request": request, "held": kind == HELD, "production": production, "pools": pools, "wait": wait}
        operation, answer = self._until_answered("acquire", body, **more)
        out = operation["out"]
        if answer.HasField("refused"):
            out.update(word="refused", reason=WORDS.get(answer.refused.reason, answer.refused.text))
        elif answer.HasField("granted"):
            self._keep(out, answer.granted, kind, production)
        else:
            out.update(word="waiting", ahead=answer.waiting.ahead)
            self.waits = request
            self._wait(operation, lambda: self._acquire(request, kind, production, pools, wait))

    def _pushed(self, request: str) -> Any:
        assert self.client is not None
        for message in self.client.pushed:
            if message.granted.request == request:
                self.client.pushed.clear()
                return message.granted
        return None

    def _wait(self, asked: dict[str, Any], ask_again: Any) -> None:
        """Stand in line until the seat is pushed, or the connection goes, or patience ends."""
        request = asked["request"]
        granted = self._pushed(request)
        try:
            until = time.monotonic() + 0.05
            while granted is None and time.monotonic() < until and self.client is not None:
                if select.select([self.client.socket], [], [], 0.01)[0]:
                    self.client.pushed.append(self.client.receive())
                granted = self._pushed(request)
        except OSError:
            self.drop()
            ask_again()
            return
        if granted is None:
            self._leave_line(request, ask_again)
            return
        self.waits = None
        handed = self._operation("handed", request=request)
        handed["from"], handed["to"] = asked["from"], time.monotonic_ns()
        self._keep(handed["out"], granted, HELD if asked["held"] else REQUEST, asked["production"])
        self.run.history.append(handed)

    def _leave_line(self, request: str, ask_again: Any) -> None:
        body = {"release": L.Release(session=self.session, request=request)}
        operation, answer = self._until_answered("release", body, request=request, token=0)
        self._released(operation["out"], answer)
        if operation["out"]["word"] == "released":
            self.waits = None
        else:
            ask_again()  # it was handed its seat meanwhile: what has it got

    @staticmethod
    def _released(out: dict[str, Any], answer: Any) -> None:
        if answer.HasField("released"):
            out.update(word="released", queued=answer.released.queued, life=answer.released.life_left_us // 1000)
        else:
            assert answer.refused.reason == L.REFUSAL_REASON_STALE, answer
            out.update(word="stale")

    def release(self, request: str) -> None:
        token = self.holds[request]["token"]
        body = {"release": L.Release(session=self.session, request=request, token=token)}
        operation, answer = self._until_answered("release", body, request=request, token=token)
        self._released(operation["out"], answer)
        assert operation["out"]["word"] == "released", f"{request} was freed while its session went on with it"
        del self.holds[request]

    def look(self, pool: str) -> None:
        operation, answer = self._until_answered("pool", {"list_seats": L.ListSeats(pool=pool)}, pools=[pool])
        row = next(p for p in answer.seats.pools if p.pool == pool)
        operation["out"].update(word="pool", in_use=row.in_use, in_queue=row.queued, in_line=row.waiting)

    def work(self) -> None:
        """Until the history is long enough; then everything goes back."""
        while not self.run.done():
            if self.run.is_slow:
                self.run.stop.wait(0.05)
            if self.random.random() < 0.02:
                self.look(self.random.choice(["requests", "full", "productions"]))
            elif len(self.holds) >= 4 or self.holds and self.random.random() < 0.4:
                self.release(self.random.choice(list(self.holds)))
            else:
                self.acquire()
            self.waits = None
        for request in list(self.holds):
            self.release(request)
