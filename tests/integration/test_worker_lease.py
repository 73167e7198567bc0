"""A worker that no licensor answers: what starts, what may finish, what a strict licence kills (SEATS section 5)."""

from __future__ import annotations

import json
import pathlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.harness import Kafka
from tests.harness.process import wait_for
from tests.harness.system import Service
from tests.integration.plant import ECHO_AND_GATE, Plant
from tests.keys.sign import licence, sign

LEASE_S = 4.0
LICENSOR = ("--lease", "4s", "--heartbeat", "200ms")


def start(kafka: Kafka, directory: pathlib.Path) -> Plant:
    return Plant(kafka, directory, ECHO_AND_GATE, ("Echo", "Gate"), interpreters=4, licensor_options=LICENSOR)


@pytest.fixture(scope="module")
def plant(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    running = start(kafka, tmp_path_factory.mktemp("lease"))
    try:
        yield running
        running.system.stop()
    finally:
        running.system.kill_all()


def gated(plant: Plant, name: str, gate: pathlib.Path) -> None:
    """A production whose execution runs until the gate is there, and runs."""
    plant.produce(name, "gate", f"ordering: key\nparameters: {{path: {json.dumps(str(gate))}}}")
    plant.send(name, 1)
    wait_for("it runs", lambda: plant.system.worker.metric("engenho_executions_in_flight") == 1, every=0.05)


def test_cut_off_from_every_licensor_it_starts_nothing_new_and_finishes_what_runs(plant: Plant, tmp_path: pathlib.Path) -> None:
    worker, licensor = plant.system.worker, plant.system.licensor
    plant.produce("echo", "echo")
    plant.send("echo", 0)
    plant.wait_results("echo", 1)
    gated(plant, "finishes", tmp_path / "open")
    licensor.kill()
    killed_us = time.time_ns() // 1000
    wait_for("it is cut off", lambda: worker.metric("engenho_worker_cut_off") == 1, every=0.05)
    plant.send("echo", 1, 2, 3)
    wait_for("what runs is over its lease", lambda: worker.metric("engenho_worker_overruns_total") == 1, every=0.05)
    assert time.time_ns() // 1000 - killed_us < (LEASE_S + 20) * 1e6
    (tmp_path / "open").touch()
    assert plant.wait_results("finishes", 1)[0].attempt == 1
    assert len(plant.results("echo")) == 1
    back_us = time.time_ns() // 1000
    licensor.start()
    results = plant.wait_results("echo", 4)
    assert all(result.start_us >= back_us for result in results[1:])
    assert len({result.session for result in results}) == 1
    assert worker.metric("engenho_worker_cut_off") == 0
    store = plant.system.redis.client
    (session,) = store.keys("{engenho}:w:*")
    assert int(store.hget(session, "is sequence")) >= 2, "it says which of its registrations is the newest"
    assert 0 < int(store.hget(session, "is began")) < killed_us


def test_a_licensor_that_does_not_answer_the_first_registration_is_left(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the system takes its connections, as those of a process that is stopped
        deaf.settimeout(60)
        worker = Service("worker", tmp_path, "engenho-worker", [
            "--kafka", "127.0.0.1:1", "--name", "w1", "--licensor", f"127.0.0.1:{deaf.getsockname()[1]}",
            "--cache-dir", str(tmp_path / "cache"), "--admin-listen", "127.0.0.1:0"]).start()
        try:
            accepted = [deaf.accept()[0] for _ in range(2)]
            assert "did not answer" in worker.tail()
        finally:
            worker.kill()
        for connection in accepted:
            connection.close()


def test_a_strict_licence_kills_what_runs_before_its_lease_ends(plant: Plant, tmp_path: pathlib.Path) -> None:
    worker, licensor = plant.system.worker, plant.system.licensor
    strict = sign(licence("enterprise", 4, strict=True))
    (plant.system.directory / "licences" / "enterprise-4.json").write_text(json.dumps(strict))
    licensor.stop()
    licensor.start()
    wait_for("it is registered again", lambda: worker.metric("engenho_worker_registered") == 1, every=0.05)
    overruns = worker.metric("engenho_worker_overruns_total")
    gated(plant, "killed", tmp_path / "open")
    licensor.kill()
    wait_for("it is killed", lambda: worker.metric("engenho_executions_in_flight") == 0, every=0.05)
    assert worker.metric("engenho_interpreter_exits_total", reason="abandon") == 1
    assert worker.metric("engenho_worker_overruns_total") == overruns
    assert plant.results("killed") == []
    (tmp_path / "open").touch()
    licensor.start()
    (result,) = plant.wait_results("killed", 1)
    assert result.attempt == 1
