"""The lag collector beside a group that the test plays itself: lag, seconds, statuses, members, and a group of which nobody is left."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.harness.kafka import Kafka
from tests.harness.process import wait_for
from tests.harness.topics import producer
from tests.integration.producers import Producers


@pytest.fixture
def system(kafka: Kafka, tmp_path: pathlib.Path) -> Iterator[Producers]:
    with Producers(tmp_path, kafka, f"{tmp_path.name}.".replace("_", "-"), 1,
                   "--trim-interval", "200ms") as system:
        system.start()
        system.wait_owned()
        wait_for("starting offsets", lambda: topic_of(system, "events")["lag"] == 0)
        yield system


def agent_of(system: Producers) -> dict[str, Any]:
    return {entry["agent"]: entry for entry in system.get("/v1/lag")["agents"]}["default"]


def topic_of(system: Producers, name: str) -> dict[str, Any]:
    """KeyError while it is not known yet."""
    return {entry["topic"]: entry for entry in agent_of(system)["topics"]}[name]


def partition_of(system: Producers, name: str, number: int) -> dict[str, Any]:
    return topic_of(system, name)["partitions"][number]


def fill(system: Producers, count: int, partition: int = 0, topic: str = "events") -> None:
    client = producer(system.kafka.servers)
    for number in range(count):
        client.produce(f"{system.prefix}{topic}", key="plant/t", value=str(number).encode(), partition=partition)
    assert client.flush(30) == 0


class Member:
    """A member of the agent's group that commits what the test tells it to."""

    def __init__(self, system: Producers, topic: str = "events"):
        self.topic = f"{system.prefix}{topic}"
        self.consumer = Consumer({
            "bootstrap.servers": system.kafka.servers, "group.id": f"{system.prefix}default", "client.id": "worker-x",
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "partition.assignment.strategy": "cooperative-sticky",
        })
        self.consumer.subscribe([self.topic])
        wait_for("an assignment", self.assigned)

    def assigned(self) -> bool:
        message = self.consumer.poll(0.1)
        assert message is None or message.error() is None or message.error().code() == KafkaError._PARTITION_EOF
        return len(self.consumer.assignment()) == 8

    def commit(self, partition: int, offset: int) -> None:
        self.consumer.poll(0)
        self.consumer.commit(offsets=[TopicPartition(self.topic, partition, offset)], asynchronous=False)

    def close(self) -> None:
        self.consumer.close()


def test_starting_offsets_are_committed_before_any_member_comes(system: Producers) -> None:
    fill(system, 10)
    wait_for("lag of an agent that never had a member", lambda: partition_of(system, "events", 0)["lag"] == 10)
    part = partition_of(system, "events", 0)
    assert part["committed"] == 0
    assert part["member"] is None
    assert part["lagSeconds"] > 0
    triggers = topic_of(system, "triggers.default")
    assert triggers["lag"] == 0 and len(triggers["partitions"]) == 8
    assert agent_of(system)["members"] == 0


def test_lag_follows_the_commits_and_outlives_the_members(system: Producers) -> None:
    fill(system, 100)
    member = Member(system)
    wait_for("the member is seen", lambda: partition_of(system, "events", 0)["member"] == "worker-x")
    assert agent_of(system)["members"] == 1 and agent_of(system)["state"] == "stable"
    member.commit(0, 60)
    wait_for("the lag", lambda: partition_of(system, "events", 0)["lag"] == 40)
    group = f"{system.prefix}default"
    replica = system.replicas[0]
    topic = f"{system.prefix}events"
    assert replica.metric("engenho_kafka_consumer_group_lag", group=group, topic=topic, partition="0") == 40
    assert replica.metric("engenho_kafka_consumer_group_lag_sum", group=group, topic=topic) == 40
    assert replica.metric("engenho_kafka_consumer_group_max_lag_seconds", group=group, topic=topic) > 0
    assert replica.metric("engenho_kafka_consumer_group_members", group=group) == 1
    assert replica.metric("engenho_kafka_partition_high_watermark", topic=topic, partition="0") == 100
    member.close()
    wait_for("nobody is left", lambda: agent_of(system)["members"] == 0)
    assert partition_of(system, "events", 0)["lag"] == 40
    wait_for("stop: nobody commits", lambda: partition_of(system, "events", 0)["status"] == "stop")
    assert replica.metric("engenho_kafka_consumer_group_status", group=group, topic=topic, partition="0", status="stop") == 1


def test_a_member_that_does_not_move_is_a_stall_and_one_that_goes_back_a_rewind(system: Producers) -> None:
    fill(system, 100)
    member = Member(system)
    member.commit(0, 60)
    wait_for("stall", lambda: partition_of(system, "events", 0)["status"] == "stall", 60)
    member.commit(0, 20)
    wait_for("rewind", lambda: partition_of(system, "events", 0)["status"] == "rewind")
    member.commit(0, 100)
    wait_for("ok", lambda: partition_of(system, "events", 0)["status"] == "ok")
    assert partition_of(system, "events", 0)["lag"] == 0
    assert partition_of(system, "events", 0)["lagSeconds"] == 0
    member.close()


def test_an_open_transaction_is_no_lag_and_markers_are_none_once_they_are_committed(system: Producers) -> None:
    topic = f"{system.prefix}events"
    client = Producer({"bootstrap.servers": system.kafka.servers, "transactional.id": f"{system.prefix}test",
                       "partitioner": "murmur2_random"})
    client.init_transactions(30)
    client.begin_transaction()
    client.produce(topic, key="plant/t", value=b"1", partition=3)
    client.flush(30)
    collected = system.get("/v1/lag")["collectedAt"]
    wait_for("another collection", lambda: system.get("/v1/lag")["collectedAt"] > collected)
    assert partition_of(system, "events", 3)["end"] == 0
    client.commit_transaction(30)
    wait_for("the record and its marker", lambda: partition_of(system, "events", 3)["end"] == 2)
    member = Member(system)
    member.commit(3, 2)
    wait_for("no lag", lambda: topic_of(system, "events")["lag"] == 0)
    member.close()


def test_triggers_that_are_done_are_removed_and_events_are_not(system: Producers) -> None:
    fill(system, 50, 2, "triggers.default")
    fill(system, 50, 2)
    member = Member(system, "triggers.default")
    member.commit(2, 30)
    wait_for("the removal", lambda: partition_of(system, "triggers.default", 2)["low"] == 30)
    assert system.replicas[0].metric("engenho_kafka_trimmed_records_total") == 30
    assert partition_of(system, "triggers.default", 2)["lag"] == 20
    assert partition_of(system, "events", 2)["low"] == 0
    member.close()


def test_what_retention_took_before_it_was_done_is_said(system: Producers) -> None:
    fill(system, 50, 1)
    wait_for("lag", lambda: partition_of(system, "events", 1)["lag"] == 50)
    topic = f"{system.prefix}events"
    admin = AdminClient({"bootstrap.servers": system.kafka.servers})
    for future in admin.delete_records([TopicPartition(topic, 1, 20)]).values():
        future.result(30)
    wait_for("the loss", lambda: partition_of(system, "events", 1)["lost"] == 20)
    assert partition_of(system, "events", 1)["lag"] == 30
    assert system.replicas[0].metric("engenho_kafka_consumer_group_lost_records", topic=topic, partition="1") == 20


def test_an_agent_that_is_defined_gets_topics_and_offsets_and_one_that_is_removed_leaves_no_metrics(
        system: Producers) -> None:
    group = f"{system.prefix}reports"
    fill(system, 5)
    system.apply("kind: Agent\nname: reports\nspec: {description: reports}\n")

    def reports() -> dict[str, Any]:
        return next((entry for entry in system.get("/v1/lag")["agents"] if entry["agent"] == "reports"), {"lag": None})

    # At the end of `events` as it was then: what came before the agent is not its work.
    wait_for("the agent's lag", lambda: reports()["lag"] == 0)
    assert f'group="{group}"' in system.replicas[0].probe("/metrics").text
    answer = system.call("DELETE", "/v1/agent/reports")
    assert answer.ok, answer.text
    wait_for("its metrics are gone", lambda: f'group="{group}"' not in system.replicas[0].probe("/metrics").text)
