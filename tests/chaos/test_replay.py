"""The main promise on real plant data: every event of a replay has exactly one committed outcome for each production that
wants it, in order, whatever is killed meanwhile."""

from __future__ import annotations

import collections
import json
import os
import pathlib
import random
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.harness import System
from tests.harness.plant_data import RISES, ROWS, machine_temperature
from tests.harness.process import wait_for
from tests.harness.proto import result_pb2
from tests.harness.topics import end_offsets, read_to_end

RATE = 200  # events a second: the 22,695 rows take 113 s

SCRIPT = r'''
import time
from engenho import method

@method('Rise')
def rise(event, limit=100):
    return event.value

@method('Every')
def every(event, started='/dev/null'):
    with open(started, 'a') as file:
        file.write(f'{event.timestamp.timestamp()} {event.value}\n')
    time.sleep(0.005)
    return [event.timestamp.timestamp(), event.value]
'''

PLANT = """
kind: Connection
name: plant
spec: {{type: push}}
---
kind: Application
name: rise
spec: {{package: replay, method: Rise}}
---
kind: Application
name: every
spec: {{package: replay, method: Every, parameters: {{started: {started}}}}}
---
kind: Production
name: rises
spec:
  application: rise
  agent: default
  started: true
  trigger: {{data: {{connection: plant, object: MachineTemperature, when: "value > 100 and previous <= 100"}}}}
  ordering: key
---
kind: Production
name: every
spec:
  application: every
  agent: default
  started: true
  trigger: {{data: {{connection: plant, object: MachineTemperature}}}}
  ordering: key
"""


class Replay:
    """A system with the two productions, and a replay of the file that runs beside the test."""

    def __init__(self, system: System, directory: pathlib.Path):
        self.system = system
        self.path, self.values = machine_temperature(directory)
        self.started = directory / "started"
        self.started.touch()
        system.deploy("replay", {"replay.py": SCRIPT})
        system.apply(PLANT.format(started=self.started))
        self.out = open(directory / "replay.log", "wb")  # noqa: SIM115  closed with the process
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            system.engenho("replay", str(self.path), "--connection", "plant", "--object", "MachineTemperature",
                           "--time", "timestamp", "--value", "value", "--rate", str(RATE)),
            env={**os.environ, **system.client_environment},
            stdout=self.out, stderr=self.out,
        )

    def running(self) -> bool:
        return self.process.poll() is None

    def results(self) -> dict[str, list[result_pb2.Result]]:
        """All committed results by production, in the topic's order."""
        by_production: dict[str, list[result_pb2.Result]] = collections.defaultdict(list)
        for message in read_to_end(self.system.kafka.servers, self.system.prefix + "results"):
            result = result_pb2.Result.FromString(message.value())
            by_production[result.production].append(result)
        return by_production

    def finish(self) -> None:
        """Wait for the replay's end and for the last result."""
        assert self.process.wait(600) == 0, f"replay failed: {(pathlib.Path(self.out.name)).read_text()[-2000:]}"
        topic = self.system.prefix + "results"

        def complete() -> bool:
            # Transaction markers count too, so this says when to count, not the count.
            return sum(end_offsets(self.system.kafka.servers, topic).values()) >= ROWS + RISES and sum(
                map(len, self.results().values())) >= ROWS + RISES

        wait_for("all results are there", complete, 180, every=2)

    def check(self) -> None:
        """239 and 22,695 results, each execution once, in file order, nothing dead, nothing left."""
        results = self.results()
        ids = collections.Counter(result.execution_id for rows in results.values() for result in rows)
        assert [i for i, count in ids.items() if count > 1] == []
        assert {name: len(rows) for name, rows in results.items()} == {"rises": RISES, "every": ROWS}
        failed = [result for rows in results.values() for result in rows if result.outcome != result_pb2.OUTCOME_SUCCEEDED]
        assert failed == []
        assert [json.loads(result.result)[1] for result in results["every"]] == self.values
        risen = [after for before, after in zip(self.values, self.values[1:]) if before <= 100 < after]
        assert [json.loads(result.result) for result in results["rises"]] == risen
        assert read_to_end(self.system.kafka.servers, self.system.prefix + "dead-letters") == []

    def check_committed(self) -> None:
        """Kafka's own group tool: one row per partition, committed = end; and the lag metric says the same."""
        group = self.system.prefix + "default"

        def rows() -> list[list[str]]:
            text = self.system.kafka.describe_group(group)
            found = [line.split() for line in text.splitlines() if line.startswith(group + " ")]
            assert found and all(row[3] == row[4] and row[5] == "0" for row in found), text
            return found

        found = wait_for("committed = end in every partition", rows, 60, every=1)
        partitions = collections.Counter(row[1] for row in found)
        assert partitions[self.system.prefix + "events"] == 8
        assert max(collections.Counter((row[1], row[2]) for row in found).values()) == 1
        wait_for("the lag metric says 0", lambda: self.system.producer.probe("/metrics").text.count(
            "\nengenho_kafka_consumer_group_lag{") >= 8 and self.system.producer.metric(
                "engenho_kafka_consumer_group_lag", group=group) == 0, 60, every=1)


@pytest.fixture
def replay(tmp_path: pathlib.Path):
    with System(tmp_path, worker_options=("--session-timeout", "6s")).start() as system:
        running = Replay(system, tmp_path)
        yield running
        if running.running():
            running.process.kill()
        running.out.close()


def test_a_replay_gives_each_event_one_result_in_order(replay: Replay) -> None:
    replay.finish()
    took = time.monotonic() - replay.begun
    assert took > ROWS / RATE * 0.98, f"--rate {RATE} was not kept: {took:.1f} s"
    replay.check()
    replay.check_committed()


class Kills:
    """Kills at random moments of the replay, from a printed seed; each asserts that it was inside the replay."""

    def __init__(self, replay: Replay, seed: int):
        self.replay = replay
        self.system = replay.system
        self.done: list[str] = []
        self.committed = 0  # results when the worker was last killed
        stream = random.Random(seed)
        whole = ROWS / RATE
        actions: list[Callable[[], None]] = (
            [self.worker] * 3 + [self.producer] * 2 + [self.licensor] * 2 + [self.redis] + [self.broker])
        stream.shuffle(actions)
        # One in each ninth of the replay's first three quarters, at a random moment of it: what takes longer than
        # its share still ends while there is work.
        share = (whole * 0.75 - 5) / len(actions)
        self.plan = [(5 + number * share + stream.random() * share * 0.6, action)
                     for number, action in enumerate(actions)]

    def run(self) -> None:
        for when, action in self.plan:
            pause = threading.Event()
            pause.wait(max(0.0, self.replay.begun + when - time.monotonic()))
            assert self.replay.running(), f"the replay was over before {action.__name__} at {when:.1f} s"
            action()
            self.done.append(f"{action.__name__} at {time.monotonic() - self.replay.begun:.1f} s")
            print(self.done[-1])

    def worker(self) -> None:
        def under_way() -> bool:
            return self.system.worker.metric("engenho_executions_in_flight") > 0

        # Killed three times at one and the same offset, it would rightly take the record there for the cause.
        wait_for("it has committed something since the last kill",
                 lambda: len(self.replay.results()["every"]) > self.committed, 120, every=0.2)
        wait_for("the worker is at work", under_way, 60, every=0.005)
        self.system.worker.kill()
        # What the script has begun and no committed result speaks of is work that the kill caught.
        begun = len(set(self.replay.started.read_text().splitlines()))
        over = self.committed = len(self.replay.results()["every"])
        assert begun > over, f"the kill met no uncommitted work: {begun} begun, {over} committed"
        self.system.worker.start()

    def producer(self) -> None:
        self.system.producer.kill()
        self.system.producer.start()

    def licensor(self) -> None:
        self.system.licensor.kill()
        self.system.licensor.start()

    def redis(self) -> None:
        self.system.redis.kill()
        self.system.redis.start()

    def broker(self) -> None:
        self.system.kafka.kill()
        self.system.kafka.start()


def test_a_replay_under_kills_loses_and_doubles_nothing(replay: Replay) -> None:
    """What it prints, its seed too, is shown when it fails, or always with -rP."""
    seed = int(os.environ.get("ENGENHO_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"ENGENHO_SEED={seed}")
    kills = Kills(replay, seed)
    kills.run()
    replay.finish()
    assert len(kills.done) == 9
    replay.check()
    replay.check_committed()
