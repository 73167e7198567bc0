"""A worker that was told at-least-once: results without transactions, every event at least once, offsets committed to the end."""

from __future__ import annotations

import collections
import pathlib

from tests.bench import throughput
from tests.harness import System
from tests.harness.process import wait_for
from tests.harness.proto import result_pb2
from tests.harness.topics import read_to_end

EVENTS = 2_000


def test_at_least_once_gives_every_event_a_result_and_commits_to_the_end(tmp_path: pathlib.Path) -> None:
    with System(tmp_path, worker_options=("--delivery", "at-least-once")).start() as system:
        system.deploy("bench", {"bench.py": throughput.SCRIPT})
        system.apply(throughput.PLANT)
        throughput.fill_events(system, EVENTS)

        def executions() -> collections.Counter[str]:
            return collections.Counter(
                result_pb2.Result.FromString(message.value()).execution_id
                for message in read_to_end(system.kafka.servers, system.prefix + "results"))

        wait_for("a result for every event", lambda: len(executions()) == EVENTS, 60, every=0.5)
        # Nothing was killed, so at least once is once.
        assert set(executions().values()) == {1}

        def committed() -> bool:
            rows = [line.split() for line in system.kafka.describe_group(system.prefix + "default").splitlines()
                    if line.startswith(system.prefix + "default ") and line.split()[1] == system.prefix + "events"]
            assert len(rows) == 8 and all(row[3] == row[4] for row in rows), rows
            return True

        wait_for("committed = end", committed, 30, every=1)
