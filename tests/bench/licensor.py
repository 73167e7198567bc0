"""Seat operations a CPU-second of Redis and of the licensor, over the wire, beside what people write themselves.

usage: python -m tests.bench.licensor [--seconds S] [--clients N] [--depth N] [--memory]

An operation is an acquire or a release. `--memory`: what 1,000 sessions with 10,000 seats cost when nothing happens.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import redis as redis_client

from tests.bench.report import row, section
from tests.harness.process import BIN
from tests.harness.redis import Redis
from tests.harness.system import Service
from tests.integration.licensors import connect, licensor
from tests.keys.sign import licence, sign

LOAD = BIN.parent / "bench/bench_licensor"
SEATS = 100_000
ROUNDS = 5
PACED_ROUNDS = 15
P99_US_MAX = 2000  # what an answer is meant to stay under, 99 times of 100


def stolen_s() -> float:
    """CPU time that the host of this machine gave to others, since it started; 0 where that is not told."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@dataclass
class Figures:
    """One measured run."""

    operations: int
    seconds: float
    redis_s: float
    licensor_s: float
    batch: float  # operations in a call of Redis
    p50_us: int
    p99_us: int
    calm: float  # share of operations while the machine ran at its own speed (bench/calm.h)
    calm_p50_us: int
    calm_p99_us: int
    stolen: float  # share of this machine's CPUs that its host gave to others

    @property
    def per_redis_s(self) -> float:
        return self.operations / self.redis_s

    @property
    def per_licensor_s(self) -> float:
        return self.operations / self.licensor_s


class Bench:
    """A Redis with its append-only file, and one licensor with room for many processors."""

    def __init__(self, directory: pathlib.Path, keys: int):
        self.redis = Redis(directory / "redis").start()
        folder = directory / "licences"
        folder.mkdir()
        pools = {"productions": SEATS, "requests": SEATS}
        (folder / "bench.json").write_text(json.dumps(sign(licence("full", keys, productions=SEATS, pools=pools))))
        self.service: Service = licensor(directory, self.redis.url).start()
        connect(self.service).close()

    @property
    def port(self) -> int:
        return int(self.service.ready["listen"].rpartition(":")[2])

    def calls(self) -> int:
        return int(self.redis.client.info("commandstats").get("cmdstat_fcall", {}).get("calls", 0))

    def load(self, clients: int, depth: int, seconds: float, rate: float, kind: str) -> Figures:
        words = [str(LOAD), str(self.port), str(clients), str(depth), str(seconds), str(rate), kind]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdin and load.stdout
            assert load.stdout.readline() == "registered\n", "the load did not start"
            redis_pid, licensor_pid = self.redis.process.pid, self.service.pid
            before = (cpu_s(redis_pid), cpu_s(licensor_pid), self.calls(), time.monotonic(), stolen_s())
            load.stdin.write("\n")
            load.stdin.flush()
            got = json.loads(load.stdout.readline())
            after = (cpu_s(redis_pid), cpu_s(licensor_pid), self.calls(), time.monotonic(), stolen_s())
        assert got["refused"] == 0, f"{got['refused']} operations were refused"
        seconds = after[3] - before[3]
        return Figures(got["operations"], seconds, after[0] - before[0], after[1] - before[1],
                       got["operations"] / max(after[2] - before[2], 1), got["p50_us"], got["p99_us"],
                       got["calm"], got["calm_p50_us"], got["calm_p99_us"],
                       (after[4] - before[4]) / seconds / psutil.cpu_count())

    def stop(self) -> None:
        self.service.kill()
        self.redis.stop()


def count(bench: Bench, seconds: float, batch: int) -> float:
    """Plain INCR and DECR a CPU-second of Redis, in pipelines of `batch`; made beforehand, so that Python is not measured."""
    connection = bench.redis.client.connection_pool.get_connection()
    pairs = max(batch // 2, 1)
    one = b"*2\r\n$4\r\nINCR\r\n$7\r\n{b}:one\r\n*2\r\n$4\r\nDECR\r\n$7\r\n{b}:one\r\n" * pairs
    expected = sum(len(b":1\r\n") + len(b":0\r\n") for _ in range(pairs))
    socket = connection._sock
    before, done, until = cpu_s(bench.redis.process.pid), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        socket.sendall(one)
        missing = expected
        while missing > 0:
            missing -= len(socket.recv(missing))
        done += 2 * pairs
    figure = done / (cpu_s(bench.redis.process.pid) - before)
    connection.disconnect()
    return figure


def lone(bench: Bench, seconds: float, rate: float = 2000) -> tuple[float, float, float]:
    """INCR from one client, one at a time and so many a second: p50 and p99 in ms, and us of Redis CPU each. What a process costs
    that sleeps before each request: the floor under every latency on this machine."""
    connection = bench.redis.client.connection_pool.get_connection()
    latencies, spent, since = [], cpu_s(bench.redis.process.pid), time.monotonic()
    while (now := time.monotonic()) - since < seconds:
        due = since + len(latencies) / rate
        if due > now:
            time.sleep(due - now)  # sleep_ok: the pace of the load
        sent = time.monotonic()
        connection._sock.sendall(b"*2\r\n$4\r\nINCR\r\n$8\r\n{b}:lone\r\n")
        connection._sock.recv(64)
        latencies.append((time.monotonic() - sent) * 1000)
    each = (cpu_s(bench.redis.process.pid) - spent) * 1e6 / len(latencies)
    connection.disconnect()
    latencies.sort()
    return latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100], each


ACQUIRE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
  return 1
end
return 0
"""
RELEASE = "return redis.call('ZREM', KEYS[1], ARGV[1])"


def _semaphore(port: int, number: int, until: float, total: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    client = redis_client.Redis(port=port)
    acquire, release = client.register_script(ACQUIRE), client.register_script(RELEASE)
    done = 0
    while time.monotonic() < until:
        now = time.time()
        holder = f"{number}:{done}"
        assert acquire(keys=["semaphore"], args=[now, SEATS, now + 30, holder])
        release(keys=["semaphore"], args=[holder])
        done += 2
    with total.get_lock():
        total.value += done


def semaphore(bench: Bench, seconds: float, clients: int = 8) -> tuple[float, float]:
    """What people write: redis-py and a script over a sorted set of holders. Operations a second, and a CPU-second of Redis."""
    total = multiprocessing.Value("q", 0)
    before, since = cpu_s(bench.redis.process.pid), time.monotonic()
    workers = [multiprocessing.Process(target=_semaphore, args=(bench.redis.port, n, since + seconds, total))
               for n in range(clients)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    spent = cpu_s(bench.redis.process.pid) - before
    return total.value / (time.monotonic() - since), total.value / spent


def counted(bench: Bench, clients: int, depth: int, seconds: float, kind: str) -> None:
    """Rows of one kind of seat, beside plain counters in the same moments: this machine's speed changes from one to the next."""
    bench.load(clients, depth, 1, 0, kind)  # seats are consumed and freed: from then on they are re-used
    rounds = []
    for _ in range(ROUNDS):
        figures = bench.load(clients, depth, seconds / ROUNDS, 0, kind)
        rounds.append((figures, count(bench, seconds / ROUNDS, round(figures.batch))))
    figures, plain = sorted(rounds, key=lambda it: it[0].per_redis_s / it[1])[ROUNDS // 2]
    row(f"acquire or release, {kind}", f"{figures.operations / figures.seconds:,.0f}", f"{figures.per_redis_s:,.0f}",
        f"{figures.per_licensor_s:,.0f}", f"{figures.batch:.0f}")
    row("plain INCR or DECR, as many in a pipeline", "", f"{plain:,.0f}")
    row(f"  {kind} seats to that, median of {ROUNDS} rounds", "", f"{figures.per_redis_s / plain:.2f}")


def paced(bench: Bench, clients: int, depth: int, seconds: float, rate: float) -> None:
    """Rows of what an answer takes at so many operations a second: all of them, and those that were asked and answered while the
    machine ran at its own speed (calm.h)."""
    rounds = [bench.load(clients, depth, seconds / ROUNDS, rate, "held") for _ in range(PACED_ROUNDS)]
    calm = sorted(rounds, key=lambda figures: figures.calm_p99_us)
    every = sorted(rounds, key=lambda figures: figures.p99_us)
    for name, figures in (("median round", calm[PACED_ROUNDS // 2]), ("noisiest", calm[-1])):
        row(f"{rate:,.0f} a second, own speed, {name}", f"{figures.calm_p50_us / 1000:.2f} ms",
            f"{figures.calm_p99_us / 1000:.2f} ms", f"{figures.calm:.0%}", f"{figures.stolen:.1%}")
    for name, figures in (("quickest round", every[0]), ("median round", every[PACED_ROUNDS // 2]), ("noisiest", every[-1])):
        row(f"{rate:,.0f} a second, all times, {name}", f"{figures.p50_us / 1000:.2f} ms", f"{figures.p99_us / 1000:.2f} ms",
            f"100% ({figures.calm:.0%} calm)", f"{figures.stolen:.1%}")
    under = [sum(p99 < P99_US_MAX for p99 in p99s) for p99s in ([it.calm_p99_us for it in rounds], [it.p99_us for it in rounds])]
    row(f"  rounds with p99 under {P99_US_MAX / 1000:.0f} ms, of {PACED_ROUNDS}", f"{under[0]} at own speed", f"{under[1]} at all times")


def speed(bench: Bench, clients: int, depth: int, seconds: float) -> None:
    section(f"seats, {clients} clients with {depth} requests each on their way, one licensor, Redis with append-only file")
    row("", "a second", "a Redis CPU-s", "a licensor CPU-s", "in one call")
    for kind in ("held", "request"):
        counted(bench, clients, depth, seconds, kind)
    wall, per_cpu = semaphore(bench, seconds)
    row("redis-py, a script over a sorted set", f"{wall:,.0f}", f"{per_cpu:,.0f}")
    row("", "p50", "p99", "of operations", "stolen by the host")
    paced(bench, clients, depth, seconds, 10_000)
    p50, p99, each = lone(bench, seconds)
    row("INCR, one at a time, 2,000 a second", f"{p50:.2f} ms", f"{p99:.2f} ms", "", f"{each:.0f} us of Redis each")


def memory(bench: Bench, sessions: int = 1000, seats: int = 10_000, seconds: float = 20) -> None:
    """What many sessions with seats cost, and how much Redis has to do while nothing happens."""
    info = bench.redis.client
    empty = (info.info("memory")["used_memory"], psutil.Process(bench.service.pid).memory_info().rss)
    words = [str(LOAD), str(bench.port), str(sessions), str(seats // sessions), str(seconds + 15), "0", "held", "idle"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin and load.stdout
        assert load.stdout.readline() == "registered\n", "the load did not start"
        registered = info.info("memory")["used_memory"]
        load.stdin.write("\n")
        load.stdin.flush()
        assert load.stdout.readline() == "held\n", "not every seat was granted"
        held = (info.info("memory")["used_memory"], psutil.Process(bench.service.pid).memory_info().rss)
        before = (info.info("stats")["total_commands_processed"], bench.calls(), cpu_s(bench.redis.process.pid),
                  cpu_s(bench.service.pid))
        time.sleep(seconds)
        after = (info.info("stats")["total_commands_processed"], bench.calls(), cpu_s(bench.redis.process.pid),
                 cpu_s(bench.service.pid))
        load.kill()
    section(f"{sessions:,} sessions that hold {seats:,} seats, and nothing happens ({seconds:.0f} s measured)")
    row("Redis, a session", f"{(registered - empty[0]) / sessions:,.0f} bytes")
    row("Redis, a seat that is held", f"{(held[0] - registered) / seats:,.0f} bytes")
    row("Redis, in all", f"{held[0] / 2**20:.1f} MiB")
    row("licensor, resident, before and with them", f"{empty[1] / 2**20:.1f} MiB", f"{held[1] / 2**20:.1f} MiB")
    row("calls of functions a second", f"{(after[1] - before[1]) / seconds:.0f}")
    row("commands a second, also within functions", f"{(after[0] - before[0]) / seconds:.0f}")
    row("of a CPU, Redis and licensor", f"{(after[2] - before[2]) / seconds:.1%}", f"{(after[3] - before[3]) / seconds:.1%}")


def _measure(figures: Callable[[Bench], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="engenho-bench-") as directory:
        bench = Bench(pathlib.Path(directory), 2000)
        try:
            figures(bench)
        finally:
            bench.stop()


def bench(clients: int = 64, depth: int = 16, seconds: float = 10) -> None:
    """All figures of the licensor."""
    _measure(lambda it: speed(it, clients, depth, seconds))
    _measure(memory)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.licensor", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    if options.memory:
        _measure(memory)
    else:
        _measure(lambda it: speed(it, options.clients, options.depth, options.seconds))


if __name__ == "__main__":
    main()
