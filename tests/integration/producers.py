"""One or more producers on a broker, without workers and licensor: for tests of what producers do by themselves."""

from __future__ import annotations

import pathlib
from typing import Any

import requests
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.harness.kafka import Kafka
from tests.harness.process import free_port, wait_for
from tests.harness.proto import trigger_pb2
from tests.harness.system import Service, System


class Producers(System):
    """Replicas of the producer on one broker. `system.call` goes to the first that is alive."""

    def __init__(self, directory: pathlib.Path, kafka: Kafka, prefix: str, count: int = 1, *options: str):  # noqa: D107
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prefix = prefix
        self.kafka = kafka
        self.own_kafka = False
        self.environment = None
        self.token_file = self.directory / "token"
        self.token_file.write_text(self.TOKEN)
        self.token_file.chmod(0o600)
        self.ports = [free_port() for _ in range(count)]
        self.replicas = [
            self._service(f"producer-{number}", "engenho-producer", [
                "--kafka", kafka.servers, "--prefix", prefix, "--admin-listen", "127.0.0.1:0",
                "--api-listen", f"127.0.0.1:{port}", "--token-file", str(self.token_file),
                "--replica", f"producer-{number}", "--lag-interval", "500ms", *options,
            ])
            for number, port in enumerate(self.ports)
        ]

    @property
    def services(self) -> list[Service]:
        return self.replicas

    @property
    def url(self) -> str:
        return next(
            f"http://127.0.0.1:{port}" for replica, port in zip(self.replicas, self.ports, strict=True) if replica.alive()
        )

    def start(self) -> "Producers":
        try:
            for replica in self.replicas:
                replica.start()
            self.wait()
        except BaseException:
            self.kill_all()
            raise
        return self

    def stop(self) -> None:
        """Stop those that live; they end with 0."""
        for replica in self.replicas:
            if replica.alive():
                code = replica.stop()
                assert code == 0, f"{replica.name} ended with {code}: {replica.tail(40)}"

    def kill_all(self) -> None:
        for replica in self.replicas:
            replica.kill()

    def owners(self) -> dict[int, str]:
        """Which replica owns each shard, by the metric; fails while a shard has none or two, or a replica none."""
        found: dict[int, str] = {}
        for replica in self.replicas:
            if not replica.alive():
                continue
            for line in replica.probe("/metrics").text.splitlines():
                if line.startswith("engenho_shard_owned{") and float(line.split()[-1]) == 1:
                    shard = int(line.split('shard="')[1].split('"')[0])
                    assert shard not in found, f"shard {shard} has two owners"
                    found[shard] = replica.name
        assert len(found) == 8, f"owned: {found}"
        alive = sum(replica.alive() for replica in self.replicas)
        assert len(set(found.values())) == alive, f"not shared out yet: {found}"
        return found

    def wait_owned(self, seconds: float = 60) -> dict[int, str]:
        return wait_for("every shard has one owner", self.owners, seconds)

    def package(self) -> None:
        """A package and an application for productions that only have to exist."""
        source = {"nothing.py": "from engenho import method\n\n\n@method('Nothing')\ndef nothing():\n    pass\n"}
        # Who has just become shard 0's owner may still read the catalog, and says so to who asks meanwhile.
        wait_for("the owner of the catalog takes a package", lambda: self.deploy("nothing", source))
        self.apply("kind: Application\nname: nothing\nspec: {package: nothing, method: Nothing}\n")


def production(name: str, schedule: str) -> str:
    """The definition of a started production with this schedule."""
    return (
        f"kind: Production\nname: {name}\nspec:\n  application: nothing\n  agent: default\n  started: true\n"
        f"  ordering: production\n  trigger:\n    schedule: {schedule}\n"
    )


class TriggerReader:
    """The test's own read_committed consumer of `triggers.default`."""

    def __init__(self, system: Producers):
        topic = f"{system.prefix}triggers.default"
        self.consumer = Consumer({
            "bootstrap.servers": system.kafka.servers, "group.id": "tests", "isolation.level": "read_committed",
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20,
        })
        parts = self.consumer.list_topics(topic, timeout=30).topics[topic].partitions
        assert len(parts) == 8
        self.consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in parts])
        self.triggers: list[Any] = []

    def poll(self, seconds: float = 0.1) -> list[Any]:
        """All triggers so far, after waiting for new ones for a moment."""
        for message in self.consumer.consume(10000, seconds):
            assert message.error() is None, str(message.error())
            trigger = trigger_pb2.Trigger.FromString(message.value())
            assert message.key().decode() == trigger.production
            self.triggers.append(trigger)
        return self.triggers

    def of(self, name: str) -> list[Any]:
        return [trigger for trigger in self.poll() if trigger.production == name]

    def close(self) -> None:
        self.consumer.close()


def metrics_of(replica: Service) -> str:
    return requests.get(f"http://{replica.ready['admin']}/metrics", timeout=10).text
