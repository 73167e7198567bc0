"""What is run again, and what is not: scripts that a stop does not wait for, retries that a newer event made useless."""

from __future__ import annotations

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

@method('Odd')
def odd(event):
    if event.value % 2:
        raise ValueError(f'{event.value} is odd')
    return event.value
'''


@pytest.fixture(scope="module")
def plant(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    running = Plant(kafka, tmp_path_factory.mktemp("again"), SOURCE, ("Gate", "Odd"), workers=2,
                    worker_options=("--drain-timeout", "300ms"))
    try:
        yield running
        running.system.stop()
    finally:
        running.system.kill_all()


def test_a_retry_is_skipped_when_a_newer_event_of_its_key_has_run(plant: Plant) -> None:
    plant.produce("odd", "odd", "ordering: key\nretries: {count: 1, wait: 2s, abortOnNewEvent: true}")
    plant.send("odd1", 1, 2)
    plant.send("odd2", 3)
    results = plant.wait_results("odd", 3)
    (even,) = [result for result in results if result.outcome == result_pb2.OUTCOME_SUCCEEDED]
    (skipped,) = [result for result in results if result.outcome == result_pb2.OUTCOME_SKIPPED]
    (failed,) = [result for result in results if result.outcome == result_pb2.OUTCOME_FAILED]
    assert skipped.ordering_key == even.ordering_key == "plant/odd1" and skipped.attempt == 2
    assert skipped.error == "a newer event of its ordering key arrived before this retry"
    assert failed.ordering_key == "plant/odd2" and failed.attempt == 2 and failed.dead_letter


def test_a_script_that_outlives_the_drain_is_run_again_by_another_worker(plant: Plant, tmp_path: pathlib.Path) -> None:
    gate = tmp_path / "open"
    plant.produce("gate", "gate", f"ordering: key\nparameters: {{path: {json.dumps(str(gate))}}}")
    plant.send("gate", 1)

    def busy() -> list[str]:
        return [worker.name for worker in plant.system.workers
                if worker.alive() and worker.metric("engenho_executions_in_flight") == 1]

    (name,) = wait_for("it runs", busy, every=0.05)
    left, heir = sorted(plant.system.workers, key=lambda worker: worker.name != name)
    assert left.stop() == 0
    wait_for("the other one runs it", lambda: busy() == [heir.name], every=0.05)
    gate.touch()
    (result,) = plant.wait_results("gate", 1)
    assert result.outcome == result_pb2.OUTCOME_SUCCEEDED and result.worker == heir.name and result.attempt == 1
    assert '"scripts did not end in time; they run again elsewhere"' in left.log.read_text()
    left.start()
    wait_for("it is back", lambda: left.probe("/readyz").ok)
