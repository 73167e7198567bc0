"""A one-node Kafka (KRaft) from the jars that `make deps` brought.

By hand: `.deps/venv/bin/python -m tests.harness.kafka [DIRECTORY]` starts one, prints its address, and stops at Ctrl-C.
"""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import tempfile

from confluent_kafka.admin import AdminClient

from tests.harness.process import DEPS, Process, free_port, wait_for

_CLASSPATH = str(DEPS / "kafka/libs/*")
_HEAP = ["-Xmx192m", "-Xms96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={directory}/data
num.partitions=8
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.threads=1
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
"""


class Kafka:
    """A broker; its data stays in `directory`, so that it can be killed and started again."""

    def __init__(self, directory: pathlib.Path | str):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.controller = free_port()
        self.properties = self.directory / "server.properties"
        self.process = Process(
            "kafka",
            # What Java unpacks for itself stays beside the data: a broker that is killed leaves it there.
            ["/usr/bin/java", *_HEAP, f"-Djava.io.tmpdir={self.directory}", "-cp", _CLASSPATH, "kafka.Kafka", str(self.properties)],
            self.directory / "kafka.log",
        )

    @property
    def servers(self) -> str:
        """HOST:PORT for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> "Kafka":
        """Format the data directory the first time, start, and return when clients are answered."""
        if not self.properties.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self.properties.write_text(
                _PROPERTIES.format(port=self.port, controller=self.controller, directory=self.directory)
            )
            self.tool("kafka.tools.StorageTool", "format", "-t", "ZW5nZW5oby10ZXN0cy0wMQ", "-c", str(self.properties))
        self.process.start()
        return self.wait()

    def wait(self) -> "Kafka":
        """Return when the broker answers clients."""
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0, "socket.timeout.ms": 2000})

        def answers() -> bool:
            assert self.process.alive(), f"Kafka died: {self.process.tail()}"
            try:
                return bool(admin.list_topics(timeout=2).brokers)
            except Exception as error:  # noqa: BLE001  confluent_kafka has one exception class, not an OSError
                raise RuntimeError(str(error)) from error

        wait_for("Kafka answers", answers, 60)
        return self

    def tool(self, java_class: str, *arguments: str) -> str:
        """Run one of Kafka's own command-line tools and return what it prints."""
        done = subprocess.run(
            ["/usr/bin/java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", _CLASSPATH, java_class, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{java_class} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def describe_group(self, group: str) -> str:
        """Kafka's own group tool: one row per partition."""
        return self.tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            "--bootstrap-server",
            self.servers,
            "--describe",
            "--group",
            group,
        )

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        """Kill it: tests throw its data away."""
        self.process.kill()


def main() -> None:
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="engenho-kafka-")
    kafka = Kafka(directory).start()
    print(kafka.servers, "pid", kafka.process.pid, flush=True)
    try:
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        kafka.stop()


if __name__ == "__main__":
    main()
