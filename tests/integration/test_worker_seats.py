"""The worker's side of seats: what waits for one, what takes which, what happens when no licensor answers."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.harness import Kafka
from tests.harness.process import wait_for
from tests.integration.licensors import HELD, Client
from tests.integration.plant import Plant

SOURCE = '''
import time
from engenho import method

@method('Echo')
def echo(event):
    return event.value

@method('Slow')
def slow(seconds=1.0):
    time.sleep(seconds)
    return seconds
'''


@pytest.fixture(scope="module")
def plant(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Pool `full` has two seats; 64 records of a partition are in memory at most."""
    directory: pathlib.Path = tmp_path_factory.mktemp("seats")
    running = Plant(kafka, directory, SOURCE, ("Echo", "Slow"), licence="full-8.json",
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
    other.release(taken[0])
    results = plant.wait_results("seatless", 500)
    assert [result.result for result in results] == [f"{number:.1f}" for number in range(500)]
    assert {result.seat_pool for result in results} == {"full"}
    other.close()
    wait_for("its seat goes back", lambda: plant.pool("full").in_use == 1, every=0.05)
