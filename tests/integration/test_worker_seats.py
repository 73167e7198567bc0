"""The worker's side of seats: what waits for one, what takes which, what happens when no licensor answers."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator

import pytest

from tests.harness import Kafka
from tests.harness.process import wait_for
from tests.integration.licensors import HELD, REQUEST, Client
from tests.integration.plant import ECHO_AND_GATE, Plant
from tests.keys.sign import licence, sign


@pytest.fixture(scope="module")
def plant(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Pool `full` has two seats; 64 records of a partition are in memory at most."""
    directory: pathlib.Path = tmp_path_factory.mktemp("seats")
    running = Plant(kafka, directory, ECHO_AND_GATE, ("Echo", "Gate"), interpreters=4, licence="full-8.json",
                    worker_options=("--max-in-flight", "64", "--park-after", "300ms"))
    try:
        yield running
        running.system.stop()
    finally:
        running.system.kill_all()


def test_without_a_seat_a_production_waits_in_later_and_others_of_its_partition_go_on(plant: Plant) -> None:
    other = Client(plant.system.licensor_port)
    other.register("other")
    taken = [other.acquire(HELD, f"production {number}", pools=["full"]).granted for number in range(2)]
    plant.produce("seatless", "echo", "ordering: key\nseat: {pools: [full]}", "seat*")
    plant.produce("others", "echo", "ordering: key", "seat*")
    plant.send("seat", *range(500))
    results = plant.wait_results("others", 500)
    assert [result.result for result in results] == [f"{number:.1f}" for number in range(500)]
    assert plant.results("seatless") == []
    assert plant.system.worker.metric("engenho_executions_parked") == 500
    other.release(taken[0])
    results = plant.wait_results("seatless", 500)
    assert [result.result for result in results] == [f"{number:.1f}" for number in range(500)]
    assert {result.seat_pool for result in results} == {"full"}
    assert plant.system.worker.metric("engenho_executions_parked") == 0
    other.close()
    wait_for("its seat goes back", lambda: plant.pool("full").in_use == 1, every=0.05)


def test_a_notified_production_takes_no_seat_and_is_counted(plant: Plant) -> None:
    other = Client(plant.system.licensor_port)
    other.register("other")
    for number in range(2):
        assert other.acquire(HELD, f"production {number}", pools=["full"]).HasField("granted")
    plant.produce("notified", "echo", "ordering: key\nseat: {kind: notified, pools: [full]}")
    for number in range(3):
        plant.send("notified", number)
        results = plant.wait_results("notified", number + 1)
        assert results[-1].seat == 0 and not results[-1].seat_waived
        wait_for("the use is over", lambda: plant.system.worker.metric("engenho_worker_seats_held") == 0, every=0.02)
    pool = plant.pool("full")
    assert (pool.notified, pool.in_use) == (3, 2)
    other.close()


def test_each_run_on_demand_takes_a_seat_for_as_long_as_it_lasts(plant: Plant, tmp_path: pathlib.Path) -> None:
    gate = tmp_path / "open"
    before = plant.pool("requests")
    other = Client(plant.system.licensor_port)
    other.register("other")
    for _ in range(before.limit - 2):
        assert other.acquire(REQUEST).HasField("granted")
    for _ in range(3):
        answer = plant.system.call("POST", "/v1/runs", json={"application": "gate", "parameters": {"path": str(gate)}})
        assert answer.status_code == 202, answer.text
    wait_for("two run, one waits", lambda: (plant.pool("requests").in_use, plant.pool("requests").waiting) == (before.limit, 1),
             every=0.05)
    wait_for("two are in flight", lambda: plant.system.worker.metric("engenho_executions_in_flight") == 2, every=0.05)
    # The one that waits does so in `later` by now: what else is asked for in its partition goes on.
    plant.produce("scheduled", "gate", f"parameters: {{path: {json.dumps(os.devnull)}}}", trigger="{schedule: {every: 1s}}")
    plant.wait_results("scheduled", 1)
    gate.touch()
    results = plant.wait_results("", 3)
    assert {result.application for result in results} == {"gate"} and not any(result.seat_waived for result in results)
    pool = wait_for("all are given back", lambda: (lambda pool: pool if pool.in_use == before.limit - 2 else None)(
        plant.pool("requests")), every=0.05)
    assert pool.granted + pool.reused - before.granted - before.reused == before.limit + 1
    assert pool.waived == before.waived
    other.close()


def test_a_pool_that_no_licence_has_is_logged_once_and_what_waits_goes_on_with_it(plant: Plant) -> None:
    """The last test: from here on the licence has one more pool."""
    system = plant.system
    plant.produce("poolless", "echo", "ordering: key\nseat: {pools: [nowhere]}")
    plant.send("poolless", 7)
    wait_for("it was asked for again and again",
             lambda: system.licensor.metric("engenho_license_requests_total", license="", outcome="refused") > 2)
    lines = [json.loads(line) for line in system.worker.log.read_text().splitlines() if "has no pool nowhere" in line]
    assert [line["message"] for line in lines] == ["no seat; it is asked for again until there is one"]
    assert "nowhere" in system.get(f"/v1/seats/{lines[0]['request']}/explain")["text"]
    answer = system.call("POST", "/v1/licence", data=json.dumps(sign(licence("full", 1, pools={"nowhere": 1}))))
    assert answer.ok, answer.text
    assert plant.wait_results("poolless", 1)[0].seat_pool == "nowhere"
