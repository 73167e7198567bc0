"""What the licensor promises when something dies, is cut off, or lies about the time (SEATS section 5)."""

from __future__ import annotations

import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest

from tests.harness.process import BIN, wait_for
from tests.harness.redis import SERVERS, Redis
from tests.integration.licensors import HELD, SHIM, Clock, L, advance, connect, licensor

LICENCES = ("full-8.json",)


def test_a_killed_licensor_loses_and_doubles_nothing(tmp_path: pathlib.Path, redis: Redis) -> None:
    one = licensor(tmp_path, redis.url, licences=LICENCES).start()
    two = licensor(tmp_path, redis.url, name="second", licences=LICENCES).start()
    client = connect(one)
    client.register()
    seats = [client.acquire(pools=["full"]).granted for _ in range(2)]
    one.kill()
    again = connect(two)
    again.requests = client.requests
    held = [L.HeldSeat(token=s.token, pool=s.pool, number=s.number, kind=2, request=s.request) for s in seats]
    registered = again.register(session=client.session, held=held).registered
    assert registered.session == client.session and not registered.lost_tokens
    assert again.pool("full").in_use == 2
    assert again.acquire(pools=["full"]).HasField("refused")
    assert again.acquire(request=seats[0].request, pools=["full"]).granted.token == seats[0].token
    for seat in seats:
        assert again.release(seat).released.queued
    pool = again.pool("full")
    assert (pool.in_use, pool.queued) == (0, 2)
    assert two.stop() == 0


def test_a_resumed_session_keeps_what_it_claims_and_frees_the_rest(tmp_path: pathlib.Path, redis: Redis) -> None:
    service = licensor(tmp_path, redis.url, licences=LICENCES).start()
    client = connect(service)
    client.register()
    kept, left = (client.acquire().granted for _ in range(2))
    full = [client.acquire(pools=["full"]).granted for _ in range(2)]
    stays, goes = client.next_request(), client.next_request()
    for request in (stays, goes):
        assert client.acquire(request=request, pools=["full"], wait=True).HasField("waiting")
    client.close()
    again = connect(service)
    claims = [L.HeldSeat(token=s.token, pool=s.pool, number=s.number, kind=2, request=s.request) for s in (kept, *full)]
    unknown = L.HeldSeat(token=10**6, pool="full", number=99, kind=2, request="not:mine")
    registered = again.register(session=client.session, held=[*claims, unknown], waiting=[stays]).registered
    assert list(registered.lost_tokens) == [10**6]
    assert again.pool("requests").in_use == 1 and left.token != kept.token
    assert again.pool("full").waiting == 1
    assert again.acquire(request=stays, pools=["full"], wait=True).waiting.ahead == 0
    again.release(full[0])
    assert again.granted().request == stays
    assert service.stop() == 0


def test_a_killed_redis_loses_nothing_that_was_answered(tmp_path: pathlib.Path, redis: Redis) -> None:
    service = licensor(tmp_path, redis.url, licences=LICENCES).start()
    client = connect(service)
    client.register()
    seats = [client.acquire(pools=["full"]).granted for _ in range(2)]
    redis.kill()
    wait_for("the licensor says so", lambda: service.probe("/readyz").status_code == 503)
    refused = client.acquire(pools=["full"]).refused
    assert refused.reason == L.REFUSAL_REASON_STORE_DOWN and "redis" in refused.text
    assert client.heartbeat().heartbeat.store_down
    redis.start()
    wait_for("the licensor is ready", lambda: service.probe("/readyz").ok)
    assert not client.heartbeat().heartbeat.store_down
    assert client.pool("full").in_use == 2
    assert client.acquire(pools=["full"]).refused.reason == L.REFUSAL_REASON_POOL_LIMIT
    for seat in seats:
        assert client.release(seat).HasField("released")
    assert client.pool("full").in_use == 0
    assert service.stop() == 0


def test_redis_may_come_after_the_licensor(tmp_path: pathlib.Path) -> None:
    redis = Redis(tmp_path / "redis")
    service = licensor(tmp_path, redis.url, licences=LICENCES).start()
    answer = wait_for("a reason", lambda: "can't reach" in (text := service.probe("/readyz").text) and text)
    assert str(redis.port) in answer
    assert service.probe("/livez").ok
    redis.start()
    client = connect(service)
    assert client.register().HasField("registered")
    assert service.stop() == 0
    redis.stop()


@pytest.mark.parametrize(("setting", "value", "wanted"), [
    ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ("appendonly", "no", "yes"),
])
def test_an_unsafe_redis_is_refused_with_the_fix(tmp_path: pathlib.Path, redis: Redis, setting: str, value: str,
                                                 wanted: str) -> None:
    redis.client.config_set(setting, value)
    service = licensor(tmp_path, redis.url, licences=LICENCES).start()
    answer = wait_for("a reason", lambda: "not safe" in (text := service.probe("/readyz").text) and text)
    assert f"{setting} is {value}; set it to {wanted}" in answer and "--allow-unsafe-redis" in answer
    redis.client.config_set(setting, wanted)
    assert connect(service).register().HasField("registered")
    assert service.stop() == 0
    redis.client.config_set(setting, value)
    allowed = licensor(tmp_path, redis.url, "--allow-unsafe-redis", name="allowed", licences=LICENCES).start()
    assert connect(allowed).register("w2").HasField("registered")
    assert allowed.stop() == 0


def test_a_wrong_redis_password_is_told_without_showing_it(tmp_path: pathlib.Path, redis: Redis) -> None:
    address = f"redis://somebody:secret-word@127.0.0.1:{redis.port}"
    service = licensor(tmp_path, address, licences=LICENCES).start()
    wait_for("a reason", lambda: "refused" in service.probe("/readyz").text)
    assert "secret-word" not in service.tail(100)
    assert service.stop() == 0


@pytest.mark.parametrize("words", [("--listen", "nowhere"), ("--redis", "http://x"), ("--licence-dir", "/does/not/exist"),
                                   ("--lease", "0s"), ("--tenant", "a}b")])
def test_wrong_options_end_with_one_sentence(words: tuple[str, str]) -> None:
    done = subprocess.run([BIN / "engenho-licensor", *words], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode in (1, 2)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1 and lines[0].startswith("engenho-licensor: "), done.stderr


def test_a_dead_workers_seats_are_freed_one_lease_later(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, licences=LICENCES, clock=clock).start()
    dead, alive = connect(service), connect(service)
    dead.register("w1")
    alive.register("w2")
    seats = [dead.acquire(pools=["full"]).granted for _ in range(2)]
    request = alive.next_request()
    assert alive.acquire(request=request, pools=["full"], wait=True).HasField("waiting")
    dead.close()
    advance(clock, redis, service, 29, alive)
    assert alive.pool("full").in_use == 2, "not before its lease is over"
    advance(clock, redis, service, 1, alive)
    granted = alive.granted()
    assert granted.request == request and not granted.reused, "freed, not queued: its holder may still run"
    assert granted.token > max(seat.token for seat in seats)
    assert service.metric("engenho_license_orphans_reclaimed_total", license="full") == 2
    late = connect(service)
    registered = late.register("w1", session=dead.session, held=[
        L.HeldSeat(token=s.token, pool=s.pool, number=s.number, kind=2, request=s.request) for s in seats]).registered
    assert registered.session != dead.session and len(registered.lost_tokens) == 2
    assert late.release(seats[0]).refused.reason == L.REFUSAL_REASON_STALE
    service.kill()
    redis.stop()


def test_a_session_lives_as_long_as_it_beats(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, licences=LICENCES, clock=clock).start()
    client = connect(service)
    client.register()
    seat = client.acquire(HELD, "P1").granted
    advance(clock, redis, service, 40, client)
    assert client.pool("productions").in_use == 1, "a held seat runs for as long as its holder"
    assert not client.release(seat).released.queued, "its life was over"
    service.kill()
    redis.stop()


class SlowAnswers:
    """Between a licensor and its Redis: what Redis answers waits while `held` is set."""

    def __init__(self, port: int):
        self.held, self.waiting = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = port
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        while data := source.recv(65536):
            if answers and self.held.is_set():
                self.waiting.set()
                wait_for("answers go on", lambda: not self.held.is_set(), 60)
            target.sendall(data)
        target.close()


def test_an_answer_of_redis_that_comes_late_is_no_step_of_its_clock(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    slow = SlowAnswers(redis.port)
    service = licensor(tmp_path, slow.url, licences=LICENCES, clock=clock).start()
    client = connect(service)
    client.register()
    advance(clock, redis, service, 2, client)
    seat = client.acquire().granted
    client.release(seat)
    slow.held.set()
    clock.move(1)
    service.probe("/livez")  # its loop wakes, and asks Redis for the time
    assert slow.waiting.wait(30), "Redis has said the time, and the licensor does not know it yet"
    clock.move(2.5)
    service.probe("/livez")  # another tick is due
    service.probe("/livez")
    slow.held.clear()
    wait_for("a tick", lambda: redis.client.hget("{engenho}:clock", "last") == str(clock.ms))
    advance(clock, redis, service, 2, client)
    assert "clock of redis stepped" not in service.tail(100)
    (queued,) = [row for row in client.ask(list_seats=L.ListSeats()).seats.seats if row.state == "queued"]
    assert queued.life_left_us == 30_000_000 - 5_500_000
    service.kill()
    redis.stop()


def test_a_queued_seat_says_since_when_it_is_idle(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, licences=LICENCES, clock=clock).start()
    client = connect(service)
    client.register()
    seat = client.acquire().granted
    advance(clock, redis, service, 5, client)
    client.release(seat)
    advance(clock, redis, service, 7, client)
    client.acquire(pools=["full"])
    queued, busy = sorted(client.ask(list_seats=L.ListSeats()).seats.seats, key=lambda seat: seat.pool, reverse=True)
    assert (queued.state, queued.number, queued.idle_us, queued.life_left_us) == ("queued", seat.number, 7_000_000, 18_000_000)
    assert queued.since_us == clock.unix_us - 12_000_000, "since it was consumed"
    assert (busy.state, busy.idle_us) == ("busy", 0)
    again = client.acquire().granted
    assert (again.number, again.reused) == (seat.number, True)
    service.kill()
    redis.stop()


def test_an_hours_step_of_rediss_clock_loses_no_seat(tmp_path: pathlib.Path) -> None:
    clock, ours = Clock(tmp_path / "redis-clock"), Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, licences=LICENCES, clock=ours).start()
    client = connect(service)
    client.register()

    def second() -> None:
        clock.move(1)
        ours.move(1)
        service.probe("/livez")
        wait_for("a tick", lambda: redis.client.hget("{engenho}:clock", "last") == str(clock.ms))

    second()
    second()
    for step in (3600, -3600):
        busy = client.acquire(pools=["full"]).granted
        freed = client.acquire().granted
        client.release(freed)
        clock.step(step)
        second()
        assert client.pool("full").in_use == 1
        assert client.pool("requests").queued == 1, "its life went with the clock"
        assert not client.heartbeat().HasField("refused"), "the session lives"
        lease = client.ask(list_seats=L.ListSeats()).seats.processors[0].lease_left_us
        assert 0 < lease <= 30_000_000
        again = client.acquire().granted
        assert (again.reused, again.number) == (True, freed.number)
        assert 0 < again.life_left_us <= 30_000_000
        client.release(again)
        client.release(busy)
        for _ in range(31):
            second()
            client.heartbeat()
        assert client.pool("requests").queued == 0, "and its life ended in time"
    assert "clock of redis stepped" in service.tail(100)
    service.kill()
    redis.stop()


def test_redis_away_for_ten_minutes_touches_nobody(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, licences=LICENCES, clock=clock).start()
    client = connect(service)
    client.register()
    seats = [client.acquire(pools=["full"]).granted for _ in range(2)]
    redis.kill()
    for _ in range(10):
        clock.move(60)
        assert client.acquire(pools=["full"]).refused.reason == L.REFUSAL_REASON_STORE_DOWN
        assert client.heartbeat().heartbeat.store_down
    redis.start()

    def back() -> bool:
        clock.move(0.3)  # the licensor's pause between attempts goes by
        return service.probe("/readyz").ok

    wait_for("the licensor is ready", back)
    assert client.acquire(pools=["full"]).refused.reason == L.REFUSAL_REASON_POOL_LIMIT, "both seats are still there"
    assert client.acquire().HasField("granted"), "and what is free is granted right after"
    advance(clock, redis, service, 25)
    assert client.pool("full").in_use == 2, "a full lease before the reaper runs"
    assert client.heartbeat().HasField("heartbeat")
    for seat in seats:
        assert client.release(seat).HasField("released")
    service.kill()
    redis.stop()


def test_an_absence_longer_than_a_short_lease_ends_no_session(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, "--lease", "3s", licences=LICENCES, clock=clock).start()
    client = connect(service)
    client.register()
    seat = client.acquire(pools=["full"]).granted
    advance(clock, redis, service, 1, client)
    before = clock.ms
    redis.kill()
    wait_for("it is seen", lambda: client.heartbeat().heartbeat.store_down)
    clock.move(4)
    redis.start()
    most = before + 4900  # in all longer than the lease, and less than five seconds

    def ready() -> bool:
        if clock.ms + 300 <= most:
            clock.move(0.3)  # the licensor's pause between attempts goes by
        return service.probe("/readyz").ok

    wait_for("the licensor is ready", ready)
    wait_for("a tick", lambda: int(redis.client.hget("{engenho}:clock", "last")) > before)
    assert client.heartbeat().HasField("heartbeat"), "the session lives"
    assert client.release(seat).HasField("released")
    service.kill()
    redis.stop()


def test_lost_writes_are_noticed_and_seats_claimed_again(tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = licensor(tmp_path, redis.url, licences=LICENCES, clock=clock).start()
    client, other = connect(service), connect(service)
    client.register("w1")
    other.register("w2")
    behind = redis.client.dump("{engenho}:full:used") or None
    before = int(redis.client.get("{engenho}:op"))
    seat = client.acquire(pools=["full"]).granted
    # A replica that was behind is promoted: what came after `before` never happened there.
    store = redis.client
    store.delete("{engenho}:full:used", "{engenho}:full:seq", f"{{engenho}}:full:life:{seat.number}")
    assert behind is None
    store.hdel(f"{{engenho}}:w:{client.session}", f"r:{seat.request}")
    store.set("{engenho}:op", before)
    store.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def recovering() -> bool:
        clock.move(0.3)
        return service.probe("/readyz").ok and client.heartbeat(highest_op=seat.token).heartbeat.reclaim

    wait_for("the loss is noticed", recovering)
    assert other.acquire(pools=["full"]).refused.reason == L.REFUSAL_REASON_RECOVERING
    held = [L.HeldSeat(token=seat.token, pool=seat.pool, number=seat.number, kind=2, request=seat.request)]
    assert not client.register("w1", session=client.session, held=held).registered.lost_tokens
    other.register("w2", session=other.session)
    assert client.pool("full").in_use == 1
    for _ in range(31):
        advance(clock, redis, service, 1, client)
        other.heartbeat()
    assert other.acquire(pools=["full"]).HasField("granted")
    assert other.acquire(pools=["full"]).refused.reason == L.REFUSAL_REASON_POOL_LIMIT, "no over-issue"
    assert client.release(seat).HasField("released")
    service.kill()
    redis.stop()


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("seed", [1, 2, 4])
def test_redis_and_the_model_agree_operation_by_operation(tmp_path: pathlib.Path, seed: int, server: str) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", "--enable-debug-command", "yes", "--appendonly", "no",
                  environment=clock.environment, server=SERVERS[server]).start()
    redis.client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    operations = int(os.environ.get("ENGENHO_SIM_STEPS", "12000")) // 3
    done = subprocess.run([SHIM.parent / "sim_licensor_redis", redis.url, str(clock.file), str(seed), str(operations)],
                          env={**os.environ, **clock.environment}, capture_output=True, text=True, timeout=120 + operations / 50, check=False)
    redis.stop()
    assert done.returncode == 0, done.stdout
    print(done.stdout)
    assert "0 differences" in done.stdout
    ahead = re.search(r"worked out by the licensor (\d+), by redis (\d+)", done.stdout)
    assert ahead and (seed % 2 == 1 or int(ahead[1]) > operations // 20), "that shows little of what is worked out ahead"
