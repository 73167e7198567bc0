"""Fixtures of the integration and chaos tests. A missing program or server is a failure, never a skip."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.harness import Kafka, Redis


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for the whole run: tests that kill it start their own. Use a prefix of your own for topics."""
    broker = Kafka(tmp_path_factory.mktemp("kafka")).start()
    yield broker
    broker.stop()


@pytest.fixture
def redis(tmp_path: pathlib.Path) -> Iterator[Redis]:
    """A private redis-server for one test."""
    server = Redis(tmp_path / "redis").start()
    yield server
    server.stop()
