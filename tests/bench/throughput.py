"""Executions a second and a CPU-second from a backlog: a worker with its interpreters, beside Python loops on the same broker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import orjson
import psutil
from confluent_kafka.admin import AdminClient, NewTopic

from tests.bench.report import row, section
from tests.harness import System
from tests.harness.process import TOP, wait_for
from tests.harness.proto import event_pb2
from tests.harness.topics import end_offsets, producer

KEYS = 1000

SCRIPT = """
from engenho import method

@method('Double')
def double(event):
    return event.value * 2
"""

PLANT = """
kind: Connection
name: bench
spec: {type: push}
---
kind: Application
name: double
spec: {package: bench, method: Double}
---
kind: Production
name: double
spec:
  application: double
  agent: default
  started: true
  trigger: {data: {connection: bench, object: "*"}}
  ordering: key
"""


@dataclass
class Figures:
    """One measured run."""

    executions: int
    wall_s: float
    cpu_s: float

    @property
    def per_wall(self) -> float:
        return self.executions / self.wall_s

    @property
    def per_cpu(self) -> float:
        return self.executions / self.cpu_s


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of its children, living and reaped."""
    process = psutil.Process(pid)
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        times = one.cpu_times()
        total += times.user + times.system
        if one.pid == pid:
            total += times.children_user + times.children_system
    return total


def fill_events(system: System, count: int) -> None:
    """A backlog of our own records: about 120 bytes with the key."""
    out = producer(system.kafka.servers)
    now = time.time_ns() // 1000
    for number in range(count):
        name = f"Tank-{number % KEYS:04d}-LevelInMetres"
        event = event_pb2.Event(connection="bench", object=name, timestamp_us=now + number)
        event.value.number = number * 0.25
        event.previous.number = number * 0.25 - 1
        while True:
            try:
                out.produce(system.prefix + "events", event.SerializeToString(), f"bench/{name}")
                break
            except BufferError:
                out.poll(0.1)
    out.flush()


def fill_json(servers: str, topic: str, count: int) -> None:
    """The same events as JSON, as a loop written by hand would read them."""
    out = producer(servers)
    for number in range(count):
        name = f"Tank-{number % KEYS:04d}-LevelInMetres"
        value = orjson.dumps({"connection": "bench", "object": name, "value": number * 0.25,
                              "previous": number * 0.25 - 1, "timestamp": time.time()})
        while True:
            try:
                out.produce(topic, value, f"bench/{name}")
                break
            except BufferError:
                out.poll(0.1)
    out.flush()


def executions_done(system: System) -> int:
    return int(system.worker.metric("engenho_executions_total", outcome="succeeded"))


def run_worker(system: System, count: int) -> Figures:
    """Time a worker from its first execution to the last committed result of a backlog."""
    system.worker.stop()
    fill_events(system, count)
    results = system.prefix + "results"
    before = sum(end_offsets(system.kafka.servers, results).values())
    system.worker.start()
    wait_for("the first execution", lambda: executions_done(system) > 0, 60, every=0.002)
    began, cpu_began, done_at_start = time.perf_counter(), cpu_of(system.worker.pid), executions_done(system)

    def over() -> bool:
        return sum(end_offsets(system.kafka.servers, results).values()) - before >= count

    wait_for("the last result", over, 300, every=0.02)
    return Figures(count - done_at_start, time.perf_counter() - began, cpu_of(system.worker.pid) - cpu_began)


def run_loop(system: System, count: int, transactional: bool) -> Figures:
    topic = f"loop-{'eo' if transactional else 'alo'}"
    words = [sys.executable, str(TOP / "tests/bench/python_loop.py"), system.kafka.servers, "bench-json", topic,
             str(count), *(["bench-loop"] if transactional else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the Python loop failed: {done.stderr[-2000:]}")
    return Figures(**json.loads(done.stdout))


def create(system: System, *topics: str) -> None:
    admin = AdminClient({"bootstrap.servers": system.kafka.servers})
    for future in admin.create_topics([NewTopic(topic, 8, 1) for topic in topics]).values():
        future.result(30)


def bench(system: System, count: int, rounds: int) -> None:
    """Print the table; the loops and the worker take turns on one broker."""
    section(f"throughput: {count:,} events of 120 bytes from a backlog, {KEYS} keys, trivial method, ordering key")
    create(system, "bench-json", "loop-alo", "loop-eo")
    fill_json(system.kafka.servers, "bench-json", count * rounds + 10_000)
    system.deploy("bench", {"bench.py": SCRIPT})
    system.apply(PLANT)
    row("", "executions/s", "executions/CPU-s", "CPU-s")
    for number in range(rounds):
        loop = run_loop(system, count, transactional=False)
        exact = run_loop(system, count, transactional=True)
        ours = run_worker(system, count)
        row(f"round {number + 1}: Python loop, at-least-once", f"{loop.per_wall:,.0f}", f"{loop.per_cpu:,.0f}",
            f"{loop.cpu_s:.2f}")
        row(f"round {number + 1}: Python loop, exactly-once", f"{exact.per_wall:,.0f}", f"{exact.per_cpu:,.0f}",
            f"{exact.cpu_s:.2f}")
        row(f"round {number + 1}: engenho-worker, exactly-once", f"{ours.per_wall:,.0f}", f"{ours.per_cpu:,.0f}",
            f"{ours.cpu_s:.2f}")
        row("  ratio to the exactly-once loop", f"{ours.per_wall / exact.per_wall:.2f}x",
            f"{ours.per_cpu / exact.per_cpu:.2f}x", "")
