"""The worker against real Kafka, Redis, licensor and producer: what becomes of records, failures and kills."""

from __future__ import annotations

import collections
import json
import pathlib
import subprocess
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from tests.harness import Kafka
from tests.harness.process import BIN, wait_for
from tests.harness.proto import result_pb2, trigger_pb2
from tests.integration.plant import Plant

SOURCE = '''
import os
import signal
import time
from engenho import method, NotRetryable

@method('Echo')
def echo(event):
    return event.value

@method('Fails')
def fails(event):
    raise ValueError(f'no {event.value}')

@method('Hopeless')
def hopeless(event):
    raise NotRetryable('never again')

@method('Counts')
def counts(event, session):
    session.userCache['n'] = session.userCache.get('n', 0) + 1
    return session.userCache['n']

@method('Slow')
def slow(event):
    time.sleep(1)
    return event.value

@method('Kills')
def kills(event):
    if event.value == 13:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(10)
    return event.value
'''

APPLICATIONS = ("Echo", "Fails", "Hopeless", "Counts", "Slow", "Kills")


@pytest.fixture
def plant(kafka: Kafka, tmp_path: pathlib.Path) -> Iterator[Plant]:
    running = Plant(kafka, tmp_path, SOURCE, APPLICATIONS)
    try:
        yield running
        running.system.stop()
    finally:
        running.system.kill_all()


def test_a_failing_script_is_repeated_and_then_becomes_a_dead_letter(plant: Plant) -> None:
    plant.produce("f", "fails", "ordering: key\nretries: {count: 2, wait: 200ms}")
    plant.send("f", 7)
    (result,) = plant.wait_results("f", 1)
    assert result.outcome == result_pb2.OUTCOME_FAILED and result.dead_letter and result.attempt == 3
    assert result.error_class == "ValueError" and "no 7" in result.error
    (letter,) = plant.letters()
    assert letter.key() is not None and trigger_pb2.Trigger.FromString(letter.value()).attempt == 3
    assert plant.header(letter, "production") == "f"
    assert plant.header(letter, "error-class") == "ValueError"
    assert plant.header(letter, "attempt") == "3"
    assert "ValueError" in plant.header(letter, "traceback")
    assert plant.header(letter, "execution-id") == result.execution_id
    # The lane's position in `later` is committed with it: nothing is left to repeat.
    worker = plant.system.worker
    worker.kill()
    worker.start()
    plant.send("f", 8)
    results = plant.wait_results("f", 2)
    assert collections.Counter(one.execution_id for one in results).most_common(1)[0][1] == 1


def test_what_is_declared_hopeless_is_not_repeated(plant: Plant) -> None:
    plant.produce("h", "hopeless", "ordering: key\nretries: {count: 5, wait: 100ms}")
    plant.send("h", 1)
    (result,) = plant.wait_results("h", 1)
    assert result.attempt == 1 and result.dead_letter


def test_records_that_are_no_events_become_dead_letters_untouched(plant: Plant) -> None:
    plant.produce("e", "echo")
    topic = plant.prefix + "events"
    plant.producer.produce(topic, b"\xff\xfe not a protobuf", b"some key", headers={"mine": b"stays"})
    plant.producer.produce(topic, b"{not json", b"k", headers={"content-type": b"application/json"})
    plant.producer.flush()
    letters = wait_for("both letters", lambda: (lambda found: found if len(found) == 2 else None)(plant.letters()), every=0.2)
    first = next(letter for letter in letters if letter.key() == b"some key")
    assert first.value() == b"\xff\xfe not a protobuf"
    assert dict(first.headers())["mine"] == b"stays"
    assert plant.header(first, "error-class") == "Undecodable" and plant.header(first, "topic") == "events"
    plant.send("e", 1)
    assert plant.wait_results("e", 1)[0].outcome == result_pb2.OUTCOME_SUCCEEDED


def test_json_and_cloud_events_of_any_client_start_productions(plant: Plant) -> None:
    plant.produce("j", "echo")
    topic = plant.prefix + "events"
    ours = {"connection": "plant", "object": "j1", "value": 1.5, "timestamp": "2026-01-31T12:00:00Z"}
    cloud = {"specversion": "1.0", "id": "1", "source": "plant", "type": "t", "subject": "j2", "data": {"value": 2.5}}
    plant.producer.produce(topic, json.dumps(ours).encode(), b"plant/j1", headers={"content-type": b"application/json"})
    plant.producer.produce(topic, json.dumps(cloud).encode(), b"plant/j2",
                           headers={"content-type": b"application/cloudevents+json"})
    plant.producer.produce(topic, json.dumps({"value": 3.5}).encode(), b"plant/j3", headers={
        "content-type": b"application/json", "ce_specversion": b"1.0", "ce_id": b"2", "ce_source": b"plant",
        "ce_type": b"t", "ce_subject": b"j3"})
    plant.producer.flush()
    assert sorted(json.loads(result.result) for result in plant.wait_results("j", 3)) == [1.5, 2.5, 3.5]


def test_user_cache_counts_each_success_once_over_kills(plant: Plant) -> None:
    plant.produce("c", "counts", "ordering: key\nstate: true")
    for number in range(200):
        plant.send("c1" if number % 2 else "c2", number)
        if number in (60, 130):
            plant.system.worker.kill()
            plant.system.worker.start()
    counts: dict[str, list[int]] = collections.defaultdict(list)
    for result in plant.wait_results("c", 200, 90):
        counts[result.ordering_key].append(json.loads(result.result))
    assert counts == {"plant/c1": list(range(1, 101)), "plant/c2": list(range(1, 101))}


def test_ordering_by_production_runs_one_at_a_time_through_triggers(plant: Plant) -> None:
    plant.produce("p", "counts", "ordering: production\nstate: true")
    for number in range(30):
        plant.send(f"p{number % 5}", number)
    results = plant.wait_results("p", 30)
    assert [json.loads(result.result) for result in results] == list(range(1, 31))
    assert {result.ordering_key for result in results} == {"p"}
    assert {result.origin.topic for result in results} == {"events"}
    assert all(before.end_us <= after.start_us for before, after in zip(results, results[1:]))


def test_a_production_that_keeps_failing_is_stopped_and_its_backlog_kept(plant: Plant) -> None:
    plant.produce("b", "fails", "ordering: key\nbreaker: {failures: 3}")
    plant.send("b", *range(10))
    wait_for("the production is stopped", lambda: not plant.system.get("/v1/production/b")["spec"]["started"], every=0.2)
    assert plant.system.worker.metric("engenho_productions_held") == 1
    failed = len(plant.results("b"))
    assert 3 <= failed < 10
    plant.system.apply(
        "kind: Production\nname: b\nspec:\n  application: echo\n  agent: default\n  started: true\n"
        "  trigger: {data: {connection: plant, object: 'b*'}}\n  ordering: key\n")
    results = plant.wait_results("b", 10)
    assert len({result.execution_id for result in results}) == 10
    assert sum(result.outcome == result_pb2.OUTCOME_SUCCEEDED for result in results) == 10 - failed


def test_a_record_that_takes_the_worker_down_reaches_the_dead_letters(plant: Plant) -> None:
    plant.produce("k", "kills", "ordering: key\nretries: {count: 1, wait: 100ms}")
    plant.send("k1", 1, 2)
    plant.wait_results("k", 2)
    plant.send("k1", 13)
    plant.send("k2", *range(20, 40))
    worker = plant.system.worker

    def over() -> bool:
        if not worker.alive():
            worker.start()
        return len(plant.results("k")) >= 23

    wait_for("every record has its outcome", over, 150, every=0.5)
    results = plant.results("k")
    assert len({result.execution_id for result in results}) == len(results) == 23
    (dead,) = [result for result in results if result.dead_letter]
    assert dead.outcome == result_pb2.OUTCOME_CRASHED and dead.error_class == "WorkerCrash" and dead.attempt == 2


def test_a_stop_lets_running_scripts_finish_and_leaves_the_mark_of_a_clean_stop(plant: Plant) -> None:
    plant.produce("s", "slow")
    plant.send("s1", 1)
    plant.send("s2", 2)
    worker = plant.system.worker
    wait_for("both run", lambda: worker.metric("engenho_executions_in_flight") == 2, every=0.02)
    assert worker.stop() == 0
    assert sorted(json.loads(result.result) for result in plant.results("s")) == [1, 2]
    worker.start()
    wait_for("ready", lambda: worker.probe("/readyz").ok)
    plant.send("s3", 3)
    plant.wait_results("s", 3)
    assert '"unclean_starts":1' not in worker.log.read_text()


def test_committed_offsets_reach_the_end_of_the_topics(plant: Plant) -> None:
    plant.produce("l", "echo")
    plant.send("l", *range(50))
    plant.wait_results("l", 50)
    group = plant.prefix + "default"

    def all_read() -> bool:
        rows = [line.split() for line in plant.system.kafka.describe_group(group).splitlines()
                if line.startswith(group + " ")]
        return bool(rows) and all(row[3] == row[4] for row in rows)

    wait_for("lag 0 in every partition", all_read, 40, every=0.5)


def test_two_workers_share_the_partitions_and_one_takes_over_when_the_other_is_killed(
        kafka: Kafka, tmp_path: pathlib.Path) -> None:
    plant = Plant(kafka, tmp_path, SOURCE, APPLICATIONS, workers=2)
    system = plant.system
    try:
        def shared() -> bool:
            counts = [one.metric("engenho_kafka_assigned_partitions") for one in system.workers]
            return sum(counts) == 16 and min(counts) > 0

        wait_for("both have partitions", shared, 60, every=0.2)
        plant.produce("w", "counts", "ordering: key\nstate: true")
        for number in range(300):
            plant.send(f"w{number % 10}", number)
            if number == 150:
                system.workers[1].kill()
        results = plant.wait_results("w", 300, 90)
        counts: dict[str, list[int]] = collections.defaultdict(list)
        for result in results:
            counts[result.ordering_key].append(json.loads(result.result))
        assert all(found == list(range(1, 31)) for found in counts.values()) and len(counts) == 10
        system.workers[1].start()
        wait_for("it has partitions again", shared, 60, every=0.2)
        system.stop()
    finally:
        system.kill_all()


def test_a_dead_workers_open_transaction_is_fenced_by_its_slot(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    plant = Plant(kafka, tmp_path, SOURCE, APPLICATIONS, workers=2)
    system = plant.system
    try:
        wait_for("both have partitions", lambda: min(
            one.metric("engenho_kafka_assigned_partitions") for one in system.workers) > 0, 60, every=0.2)
        plant.produce("x", "counts", "ordering: key\nstate: true")
        for number in range(40):
            plant.send(f"x{number % 8}", number)
        plant.wait_results("x", 40)
        dead, heir = system.workers
        slot = int(next(json.loads(line)["slot"] for line in dead.log.read_text().splitlines() if '"registered"' in line))
        dead.kill()
        # As the dead worker's would stand: records in every partition of `state`, whichever it had, never committed.
        ghost = Producer({"bootstrap.servers": kafka.servers, "transactional.id": f"{plant.prefix}default.{slot}.a",
                          "transaction.timeout.ms": 120000})
        ghost.init_transactions(30)
        ghost.begin_transaction()
        for partition in range(8):
            for topic in ("state.default.events", "state.default.triggers"):
                ghost.produce(plant.prefix + topic, b"", b"cache/ghost/", partition=partition)
        assert ghost.flush(30) == 0
        began = time.monotonic()
        wait_for("the heir has every partition", lambda: heir.metric("engenho_kafka_assigned_partitions") == 16, 60, every=0.1)
        for number in range(40):
            plant.send(f"x{number % 8}", number)
        results = plant.wait_results("x", 80, 60)
        assert heir.metric("engenho_worker_slots_fenced_total") >= 1
        assert time.monotonic() - began < 40
        counts: dict[str, list[int]] = collections.defaultdict(list)
        for result in results:
            counts[result.ordering_key].append(json.loads(result.result))
        assert all(found == list(range(1, 11)) for found in counts.values()) and len(counts) == 8
        heir.stop()
    finally:
        system.kill_all()


def test_an_unlicensed_worker_is_ready_takes_no_partition_and_takes_over(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    plant = Plant(kafka, tmp_path, SOURCE, APPLICATIONS, workers=2, licence="lite-1.json")
    system = plant.system
    try:
        metrics = [one.metric("engenho_worker_registered") for one in system.workers]
        assert sorted(metrics) == [0, 1]
        idle = system.workers[metrics.index(0)]
        busy = system.workers[metrics.index(1)]
        assert idle.probe("/readyz").ok
        assert idle.metric("engenho_kafka_assigned_partitions") == 0
        assert idle.metric("engenho_worker_registrations_refused_total") >= 1
        wait_for("the first one has its lanes", lambda: busy.log.read_text().count('"lane taken"') >= 16, 60, every=0.2)
        busy.stop()
        wait_for("the other takes over", lambda: idle.log.read_text().count('"lane taken"') >= 16, 60, every=0.2)
        assert idle.metric("engenho_kafka_assigned_partitions") == 16
        system.stop()
    finally:
        system.kill_all()


def test_bad_options_get_one_sentence(tmp_path: pathlib.Path) -> None:
    for words, what in (
        ([], "kafka"),
        (["--kafka", "127.0.0.1:1", "--name", "w", "--agent", "No Agent"], "agent"),
        (["--kafka", "127.0.0.1:1", "--name", "w", "--licensor", "nowhere"], "nowhere"),
        (["--kafka", "127.0.0.1:1", "--name", "w", "--kafka-config", "no.such=1"], "no.such"),
        (["--kafka", "127.0.0.1:1", "--name", "w", "--cache-dir", "/proc/no"], "/proc/no"),
    ):
        done = subprocess.run([BIN / "engenho-worker", *words], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode != 0 and what in done.stderr and done.stderr.count("\n") == 1, done.stderr
