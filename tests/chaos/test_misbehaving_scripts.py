"""Scripts that misbehave end as DESIGN section 4 and PITFALLS say, and a neighbour hardly notices."""

from __future__ import annotations

import collections
import pathlib
import statistics
import threading
import time

import pytest

from tests.harness import System
from tests.harness.process import wait_for
from tests.harness.proto import event_pb2, result_pb2
from tests.harness.topics import producer, read_to_end

BAD = '''
import os
import time
from engenho import method

@method('Exits')
def exits(event):
    os._exit(1)

@method('Loops')
def loops(event):
    while True:
        pass

@method('Prints')
def prints(event):
    line = 'x' * 1023
    for _ in range(100 * 1024):
        print(line)

@method('Raises')
def raises(event):
    raise RuntimeError('the pump is not there')
'''

BROKEN = '''
import a_module_that_nobody_has
from engenho import method

@method('Broken')
def broken(event):
    return 1
'''

STEADY = '''
from engenho import method

@method('Steady')
def steady(event):
    return event.value
'''

ROUNDS = 2
BAD_ONES = ("exits", "loops", "prints", "raises", "broken")


def plant() -> str:
    documents = ["kind: Connection\nname: plant\nspec: {type: push}\n"]
    for name in (*BAD_ONES, "steady"):
        package = {"broken": "broken", "steady": "steady"}.get(name, "bad")
        documents.append(f"""kind: Application
name: {name}
spec: {{package: {package}, method: {name.capitalize()}}}
""")
        documents.append(f"""kind: Production
name: {name}
spec:
  application: {name}
  agent: default
  started: true
  trigger: {{data: {{connection: plant, object: {name}}}}}
  ordering: key
  retries: {{count: 1, wait: 100ms}}
  timeLimit: 1s
""")
    return "---\n".join(documents)


class Feed:
    """Writes events straight to Kafka, so that nothing but the worker is measured."""

    def __init__(self, system: System):
        self.system = system
        self.producer = producer(system.kafka.servers)

    def send(self, name: str, value: float) -> None:
        event = event_pb2.Event(connection="plant", object=name, timestamp_us=time.time_ns() // 1000)
        event.value.number = value
        self.producer.produce(self.system.prefix + "events", event.SerializeToString(), f"plant/{name}")
        self.producer.poll(0)


def results(system: System) -> dict[str, list[result_pb2.Result]]:
    found: dict[str, list[result_pb2.Result]] = collections.defaultdict(list)
    for message in read_to_end(system.kafka.servers, system.prefix + "results"):
        result = result_pb2.Result.FromString(message.value())
        found[result.production].append(result)
    return found


def steady_p99_ms(system: System, feed: Feed, count: int) -> float:
    """Send `count` events 100 a second; the 99th percentile from an event's making to its script's end."""
    before = len(results(system)["steady"])
    pause = threading.Event()
    for number in range(count):
        feed.send("steady", number)
        pause.wait(0.01)
    feed.producer.flush()
    wait_for("all steady results", lambda: len(results(system)["steady"]) >= before + count, 60, every=0.5)
    waits = [(one.end_us - one.time_event_us) / 1000 for one in results(system)["steady"][before:]]
    return statistics.quantiles(waits, n=100)[98]


@pytest.fixture
def system(tmp_path: pathlib.Path):
    with System(tmp_path).start() as running:
        running.deploy("bad", {"bad.py": BAD})
        running.deploy("broken", {"broken.py": BROKEN})
        running.deploy("steady", {"steady.py": STEADY})
        running.apply(plant())
        yield running


def misbehave(feed: Feed, stop: threading.Event) -> None:
    """Every bad script, ROUNDS times: each bad execution is repeated once, so that a round keeps the pool busy for seconds."""
    for number in range(ROUNDS):
        for name in BAD_ONES:
            feed.send(name, number)
        stop.wait(4)


@pytest.mark.alone
def test_scripts_that_misbehave_end_as_designed_and_neighbours_keep_their_pace(
        system: System, capsys: pytest.CaptureFixture[str]) -> None:
    feed = Feed(system)
    steady_p99_ms(system, feed, 100)  # warm
    # What else the machine does only ever adds to a figure: of three pairs, the best one counts.
    pairs: list[tuple[float, float]] = []
    rounds = 0
    while not pairs or (min(noisy / quiet for quiet, noisy in pairs) >= 2 and len(pairs) < 3):
        alone = steady_p99_ms(system, feed, 1000)
        stop = threading.Event()
        bad = threading.Thread(target=misbehave, args=(feed, stop))
        bad.start()
        pairs.append((alone, steady_p99_ms(system, feed, 1000)))
        stop.set()
        bad.join()
        rounds += ROUNDS
    alone, beside = min(pairs, key=lambda pair: pair[1] / pair[0])
    with capsys.disabled():
        print(f"\n  steady p99: alone {alone:.1f} ms, beside bad scripts {beside:.1f} ms, {beside / alone:.2f}x", end=" ")

    def over() -> bool:
        found = results(system)
        return all(len(found[name]) == rounds for name in ("exits", "loops", "prints", "raises"))

    wait_for("every bad execution has its outcome", over, 60, every=0.5)
    found = results(system)
    outcomes = {name: {(one.outcome, one.attempt, one.dead_letter) for one in found[name]} for name in BAD_ONES}
    assert outcomes["exits"] == {(result_pb2.OUTCOME_CRASHED, 2, True)}
    assert outcomes["loops"] == {(result_pb2.OUTCOME_TIMED_OUT, 2, True)}
    assert outcomes["raises"] == {(result_pb2.OUTCOME_FAILED, 2, True)}
    assert outcomes["prints"] == {(result_pb2.OUTCOME_SUCCEEDED, 1, False)}
    assert all(one.output_truncated and len(one.output) < 2**20 for one in found["prints"])
    assert all("the pump is not there" in one.error for one in found["raises"])
    # A package that does not import stops its production, once, and keeps its backlog: no result, no dead letter.
    assert outcomes["broken"] == set()
    stopped = wait_for("the production is stopped", lambda: (
        lambda spec: spec if not spec["spec"]["started"] else None)(system.get("/v1/production/broken")), 30)
    assert "a_module_that_nobody_has" in str(stopped)
    dead = read_to_end(system.kafka.servers, system.prefix + "dead-letters")
    assert len(dead) == 3 * rounds
    assert beside < 2 * alone, f"p99 {beside:.1f} ms beside bad scripts, {alone:.1f} ms without"
