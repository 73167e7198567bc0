"""SIGTERM at every step of a worker's start, on a cluster that is as new as the worker."""

from __future__ import annotations

import os
import pathlib
import time

import pytest

from tests.harness import Kafka, System
from tests.harness.process import wait_for


@pytest.fixture
def system(kafka: Kafka, tmp_path: pathlib.Path):
    """A system whose topics are not there yet."""
    running = System(tmp_path, kafka=kafka, prefix=f"s{os.getpid()}{time.monotonic_ns() % 10**9}.")
    try:
        yield running
    finally:
        running.kill_all()


@pytest.mark.parametrize("step", ["connected to the licensor", "registered", "catalog read", "partitions assigned", "lane taken"])
def test_a_worker_that_is_stopped_while_it_starts_ends_at_once_and_with_0(system: System, step: str) -> None:
    system.redis.start()
    for service in system.services:
        service.start()
    worker = system.worker
    wait_for(step, lambda: step in worker.log.read_text(), 60, every=0.001)
    began = time.monotonic()
    assert worker.stop() == 0, worker.tail()
    assert time.monotonic() - began < 10
    assert '"stopped"' in worker.log.read_text()
    assert "topic not available" not in worker.log.read_text(), "it joined the group before its topics were there"
    taken = worker.log.read_text().count('"lane taken"')
    worker.start()
    wait_for("it has its lanes", lambda: worker.log.read_text().count('"lane taken"') >= taken + 16, 60)
    system.stop()
