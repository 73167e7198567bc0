"""The producer alone on a real Kafka, for tests of its API: results are made by the test, as a worker makes them."""

from __future__ import annotations

import itertools
import pathlib
import time
from typing import Any

import requests

from tests.harness.kafka import Kafka
from tests.harness.process import wait_for
from tests.harness.proto import result_pb2
from tests.harness.system import Service
from tests.harness.topics import producer as kafka_producer

TOKEN = "test-token-0123456789abcdef"
_numbers = itertools.count(1)

SOURCE = """\
from engenho import method

@method('Overheat')
def overheat(event, limit=100):
    return event.value
"""

DEFINITIONS = """\
kind: Connection
name: plant
spec: {type: push}
---
kind: Application
name: overheat
spec: {package: plant, method: Overheat, parameters: {limit: 100}}
---
kind: Production
name: overheat
spec:
  application: overheat
  started: true
  trigger: {data: {connection: plant, object: MachineTemperature, when: "value > 100 and previous <= 100"}}
  ordering: key
"""


class Api:
    """A producer with a prefix of its own, and calls of its API."""

    def __init__(self, kafka: Kafka, directory: pathlib.Path, *options: str, prefix: str | None = None, name: str = "producer-0"):
        self.kafka = kafka
        self.prefix = prefix or f"api{next(_numbers)}-{time.monotonic_ns()}."
        token = directory / "token"
        if not token.exists():
            token.write_text(TOKEN)
            token.chmod(0o600)
        self.service = Service(name, directory, "engenho-producer", [
            "--kafka", kafka.servers, "--prefix", self.prefix, "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
            "--token-file", str(token), "--replica", name, "--partitions", "4", *options,
        ])

    def start(self) -> "Api":
        self.service.start()
        self.service.wait_until_ready()
        return self

    def __enter__(self) -> "Api":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.service.kill()

    @property
    def url(self) -> str:
        return f"http://{self.service.ready['api']}"

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {TOKEN}", **arguments.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **arguments)

    def refused(self, code: int, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """A call that is refused with this code; its answer has the three members of every refusal."""
        answer = self.call(method, path, **arguments)
        assert answer.status_code == code, answer.text
        body = answer.json()
        assert body["error"] and body["where"] and body["fix"], body
        return body

    def good(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self.call(method, path, **arguments)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def apply(self, yaml: str, **params: str) -> Any:
        return self.good("POST", "/v1/apply", data=yaml.encode(), params=params)

    def deploy(self, name: str, data: bytes = SOURCE.encode(), file: str = "main.py", **params: str) -> Any:
        return self.good("POST", f"/v1/packages/{name}", data=data, params={"file": file, **params})

    def set_up(self) -> None:
        """The package, connection, application and production of the examples."""
        self.deploy("plant")
        self.apply(DEFINITIONS)

    def send_results(self, *results: result_pb2.Result) -> None:
        """Put results on Kafka, as a worker does."""
        out = kafka_producer(self.kafka.servers)
        for result in results:
            out.produce(self.prefix + "results", key=result.production, value=result.SerializeToString())
        assert out.flush(30) == 0


def new_result(number: int, production: str = "overheat", outcome: int = 1, **members: Any) -> result_pb2.Result:
    """The result of the execution of that number, which ended just now."""
    now = time.time_ns() // 1000
    return result_pb2.Result(
        execution_id=f"default/events/0/{number}/{production}", agent="default", production=production, application="overheat",
        trigger=1, outcome=outcome, time_event_us=now, start_us=now - 2000, end_us=now, result='{"value": 105.5}', attempt=1,
        package="plant", package_version=1, worker="worker-0", seat_pool="productions", seat=1, **members,
    )
