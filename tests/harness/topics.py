"""Read and write Kafka as a test does: its own read_committed consumer, and records made with the schemas of proto/."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tests.harness.process import wait_for


def _ends(consumer: Consumer, topic: str) -> dict[int, int]:
    """Offset after the last record (or marker) of each partition; a broker that has just started is waited for."""

    def ask() -> dict[int, int]:
        try:
            parts = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            return {n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=30)[1] for n in parts}
        except KafkaException as error:
            raise RuntimeError(str(error)) from error

    return wait_for(f"the ends of {topic}", ask, 60, every=0.2)


def read_to_end(servers: str, topic: str, seconds: float = 60) -> list[Message]:
    """Every committed record of a topic, partition by partition in order, up to the end that it has now.

    Somebody may write on, so an end is where it was at the beginning; an open transaction hides what is behind it.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "tests",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 1000,
        }
    )
    try:
        ends = _ends(consumer, topic)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
        records: dict[int, list[Message]] = {number: [] for number in ends}
        waiting = set(ends)
        while waiting:
            message = consumer.poll(seconds)
            assert message is not None, f"{topic}: no end of partitions {waiting} within {seconds} s"
            if message.error() is None:
                if message.offset() < ends[message.partition()]:
                    records[message.partition()].append(message)
                if message.offset() + 1 >= ends[message.partition()]:
                    waiting.discard(message.partition())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                waiting.discard(message.partition())
            else:
                raise AssertionError(str(message.error()))
        return [message for number in sorted(records) for message in records[number]]
    finally:
        consumer.close()


def end_offsets(servers: str, topic: str) -> dict[int, int]:
    """Offset after the last record (or marker) of each partition."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "tests"})
    try:
        return _ends(consumer, topic)
    finally:
        consumer.close()


def producer(servers: str) -> Producer:
    """A producer as others may feed Engenho: acks of all, and Java's partitioner."""
    return Producer({"bootstrap.servers": servers, "acks": "all", "partitioner": "murmur2_random", "linger.ms": 5})
