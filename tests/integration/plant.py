"""A system with one package and its applications, and what tests of the worker ask of it."""

from __future__ import annotations

import os
import pathlib
import time
from typing import Any

from confluent_kafka import Message

from tests.harness import Kafka, System
from tests.harness.process import wait_for
from tests.harness.proto import event_pb2, result_pb2
from tests.harness.topics import producer, read_to_end
from tests.integration.licensors import Client


ECHO_AND_GATE = '''
import os
import time
from engenho import method

@method('Echo')
def echo(event):
    return event.value

@method('Gate')
def gate(path):
    """Runs until the file is there."""
    while not os.path.exists(path):
        time.sleep(0.01)
    return path
'''


class Plant:
    """A system on the shared broker under a prefix of its own; each application is a method in lower case."""

    def __init__(self, kafka: Kafka, directory: pathlib.Path, source: str, methods: tuple[str, ...],
                 worker_options: tuple[str, ...] = (), **options: Any):
        self.prefix = f"t{os.getpid()}{time.monotonic_ns() % 10**9}."
        self.system = System(directory, kafka=kafka, prefix=self.prefix, **{"interpreters": 2, **options},
                             worker_options=("--session-timeout", "6s", *worker_options)).start()
        self.system.deploy("plant", {"plant.py": source})
        self.producer = producer(kafka.servers)
        documents = ["kind: Connection\nname: plant\nspec: {type: push}\n"]
        documents += [f"kind: Application\nname: {name.lower()}\nspec: {{package: plant, method: {name}}}\n"
                      for name in methods]
        self.system.apply("---\n".join(documents))

    def produce(self, name: str, application: str, more: str = "ordering: key", objects: str = "", trigger: str = "") -> None:
        """A started production on the objects `name`, `name`1, `name`2, ..., or on others, or of another trigger."""
        trigger = trigger or f"{{data: {{connection: plant, object: '{objects or name + '*'}'}}}}"
        self.system.apply(f"kind: Production\nname: {name}\nspec:\n  application: {application}\n  agent: default\n"
                          f"  started: true\n  trigger: {trigger}\n"
                          + "".join(f"  {line}\n" for line in more.splitlines()))

    def send(self, name: str, *values: float) -> None:
        for value in values:
            event = event_pb2.Event(connection="plant", object=name, timestamp_us=time.time_ns() // 1000)
            event.value.number = value
            self.producer.produce(self.prefix + "events", event.SerializeToString(), f"plant/{name}")
        assert self.producer.flush(30) == 0

    def results(self, production: str) -> list[result_pb2.Result]:
        found = [result_pb2.Result.FromString(message.value())
                 for message in read_to_end(self.system.kafka.servers, self.prefix + "results")]
        return [result for result in found if result.production == production]

    def wait_results(self, production: str, count: int, seconds: float = 40) -> list[result_pb2.Result]:
        return wait_for(f"{count} results of {production}",
                        lambda: (lambda found: found if len(found) >= count else None)(self.results(production)),
                        seconds, every=0.2)

    def letters(self) -> list[Message]:
        return read_to_end(self.system.kafka.servers, self.prefix + "dead-letters")

    def header(self, message: Message, name: str) -> str:
        return dict(message.headers())["engenho-" + name].decode()

    def pool(self, name: str) -> Any:
        """What the licensor says of a pool of seats."""
        client = Client(self.system.licensor_port)
        try:
            return client.pool(name)
        finally:
            client.close()
