"""A worker that comes back to a large backlog of many keys works all of it off: each event once, each key in order."""

from __future__ import annotations

import collections
import pathlib

from tests.bench import throughput
from tests.harness import System
from tests.harness.process import wait_for
from tests.harness.proto import event_pb2, result_pb2
from tests.harness.topics import end_offsets, read_to_end

EVENTS = 100_000  # many times what the map of finished records holds, were they finished far apart


def test_a_backlog_of_a_thousand_keys_is_worked_off_in_order_of_each_key(tmp_path: pathlib.Path) -> None:
    with System(tmp_path, interpreters=2).start() as system:
        system.deploy("bench", {"bench.py": throughput.SCRIPT})
        system.apply(throughput.PLANT)
        system.worker.stop()
        throughput.fill_events(system, EVENTS)
        system.worker.start()
        results = system.prefix + "results"
        wait_for("as many results as events", lambda: sum(
            end_offsets(system.kafka.servers, results).values()) >= EVENTS, 120, every=0.2)
        wait_for("all of them committed", lambda: len(read_to_end(system.kafka.servers, results)) >= EVENTS, 60, every=1)
        got: dict[str, list[int]] = collections.defaultdict(list)
        for message in read_to_end(system.kafka.servers, results):
            result = result_pb2.Result.FromString(message.value())
            assert result.outcome == result_pb2.OUTCOME_SUCCEEDED
            got[result.ordering_key].append(result.origin.offset)
        wanted: dict[str, list[int]] = collections.defaultdict(list)
        for message in read_to_end(system.kafka.servers, system.prefix + "events"):
            event = event_pb2.Event.FromString(message.value())
            wanted[f"{event.connection}/{event.object}"].append(message.offset())
        assert got == wanted
