"""The best loop that one writes by hand in Python for the same work, at-least-once or in transactions.

confluent-kafka `consume(1000)`, orjson, `linger.ms` 5; results produced, flush and commit each 100 ms.

usage: python_loop.py SERVERS INPUT OUTPUT COUNT [TRANSACTIONAL_ID]
Prints {"executions", "wall_s", "cpu_s"} as JSON, from the first message to the last commit.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import orjson
from confluent_kafka import Consumer, Producer


def method(event: dict) -> float:
    """The trivial method: the same as the production's."""
    return event["value"] * 2


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    servers, source, target, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    transactional_id = sys.argv[5] if len(sys.argv) > 5 else None
    consumer = Consumer({
        "bootstrap.servers": servers, "group.id": f"python-{target}", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "isolation.level": "read_committed", "fetch.queue.backoff.ms": 5,
    })
    settings = {"bootstrap.servers": servers, "linger.ms": 5, "acks": "all", "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000}
    if transactional_id:
        settings["transactional.id"] = transactional_id
    producer = Producer(settings)
    if transactional_id:
        producer.init_transactions()
    consumer.subscribe([source])
    done, began, cpu_began, committed = 0, 0.0, 0.0, 0.0

    def commit() -> None:
        if transactional_id:
            producer.send_offsets_to_transaction(consumer.position(consumer.assignment()),
                                                 consumer.consumer_group_metadata())
            producer.commit_transaction()
        else:
            producer.flush()
            consumer.commit(asynchronous=False)

    filling = False
    while done < count:
        messages = consumer.consume(1000, 0.1)
        if messages and not began:
            began, cpu_began, committed = time.perf_counter(), cpu_seconds(), time.perf_counter()
        if messages and transactional_id and not filling:
            producer.begin_transaction()
            filling = True
        for message in messages:
            if message.error() is not None:
                raise SystemExit(str(message.error()))
            start = time.time()
            event = orjson.loads(message.value())
            result = method(event)
            producer.produce(target, orjson.dumps({
                "execution": f"{message.topic()}/{message.partition()}/{message.offset()}", "outcome": "succeeded",
                "result": result, "start": start, "end": time.time()}), message.key())
            done += 1
        producer.poll(0)
        if began and (time.perf_counter() - committed >= 0.1 or done >= count):
            commit()
            filling = False
            committed = time.perf_counter()
    print(json.dumps({"executions": done, "wall_s": time.perf_counter() - began, "cpu_s": cpu_seconds() - cpu_began}))
    consumer.close()


if __name__ == "__main__":
    main()
