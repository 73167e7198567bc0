"""What a schedule's overlap policy does with triggers that come while an execution of it runs."""

from __future__ import annotations

import collections
import datetime
import json
import pathlib
from collections.abc import Iterator

import pytest

from tests.harness import Kafka
from tests.harness.process import wait_for
from tests.harness.proto import result_pb2
from tests.integration.plant import Plant

SOURCE = '''
import os
import time
from engenho import method

@method('Gate')
def gate(path):
    """Runs until the file is there."""
    while not os.path.exists(path):
        time.sleep(0.01)
    return path
'''

POLICIES = {"queue": "production", "skip": "production", "queueOne": "production", "parallel": "none"}


@pytest.fixture(scope="module")
def plant(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    directory: pathlib.Path = tmp_path_factory.mktemp("overlap")
    running = Plant(kafka, directory, SOURCE, ("Gate",), licence="full-8.json", interpreters=8)
    try:
        yield running
        running.system.stop()
    finally:
        running.system.kill_all()


@pytest.fixture(scope="module")
def outcomes(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[result_pb2.Result]]:
    """Results by policy, in the order of their topic: each had three triggers while the first execution was not over."""
    gate = tmp_path_factory.mktemp("gate") / "open"
    start = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    dates = [(start + datetime.timedelta(milliseconds=300 * number)).isoformat(timespec="milliseconds") for number in range(3)]
    for policy, ordering in POLICIES.items():
        produce(plant, policy, gate, f"dates: {json.dumps(dates)}", ordering)
    worker = plant.system.worker
    # One of each runs, three of `parallel`; two of `queue` wait and one of `queueOne`.
    wait_for("all that may run runs", lambda: worker.metric("engenho_executions_in_flight") == 6
             and worker.metric("engenho_executions_waiting") == 3
             and len(plant.results("skip")) == 2 and len(plant.results("queueOne")) == 1, every=0.1)
    gate.touch()
    return {policy: plant.wait_results(policy, 3) for policy in POLICIES}


def produce(plant: Plant, policy: str, gate: pathlib.Path, times: str, ordering: str = "production") -> None:
    plant.produce(policy, "gate", f"ordering: {ordering}\nparameters: {{path: {json.dumps(str(gate))}}}", trigger=(
        f"{{schedule: {{{times}, overlap: {policy}, misfire: {{policy: all, max: 9, within: 5m}}}}}}"))


def kinds(results: list[result_pb2.Result]) -> collections.Counter[str]:
    return collections.Counter(result_pb2.Outcome.Name(result.outcome).removeprefix("OUTCOME_").lower() for result in results)


def test_queue_runs_them_one_after_the_other(outcomes: dict[str, list[result_pb2.Result]]) -> None:
    results = outcomes["queue"]
    assert kinds(results) == {"succeeded": 3}
    assert [result.nominal_us for result in results] == sorted(result.nominal_us for result in results)
    assert all(before.end_us <= after.start_us for before, after in zip(results, results[1:]))


def test_skip_leaves_out_what_comes_meanwhile(outcomes: dict[str, list[result_pb2.Result]]) -> None:
    results = sorted(outcomes["skip"], key=lambda result: result.nominal_us)
    assert kinds(results[:1]) == {"succeeded": 1} and kinds(results[1:]) == {"skipped": 2}
    assert {result.error for result in results[1:]} == {"the execution before it was not over"}


def test_queue_one_lets_one_wait(outcomes: dict[str, list[result_pb2.Result]]) -> None:
    results = sorted(outcomes["queueOne"], key=lambda result: result.nominal_us)
    assert kinds(results[:2]) == {"succeeded": 2} and kinds(results[2:]) == {"skipped": 1}


def test_replace_stops_what_runs_for_the_newest(plant: Plant, tmp_path: pathlib.Path) -> None:
    gate = tmp_path / "open"
    produce(plant, "replace", gate, "every: 1s")

    def one_of(outcome: int) -> result_pb2.Result | None:
        return next((result for result in plant.results("replace") if result.outcome == outcome), None)

    cancelled = wait_for("a newer one stopped one that ran", lambda: one_of(result_pb2.OUTCOME_CANCELLED), every=0.2)
    assert one_of(result_pb2.OUTCOME_SUCCEEDED) is None
    gate.touch()
    succeeded = wait_for("the newest runs to its end", lambda: one_of(result_pb2.OUTCOME_SUCCEEDED), every=0.2)
    assert cancelled.end_us <= succeeded.start_us and cancelled.nominal_us < succeeded.nominal_us


def test_parallel_runs_them_side_by_side(outcomes: dict[str, list[result_pb2.Result]]) -> None:
    results = outcomes["parallel"]
    assert kinds(results) == {"succeeded": 3}
    assert max(result.start_us for result in results) < min(result.end_us for result in results)
