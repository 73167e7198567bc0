"""All of Engenho on one machine, each process under the test's hand, so that a test can kill any of them at any moment.

    with System(tmp_path).start() as system:
        system.deploy("plant", {"main.py": SOURCE})
        system.apply(YAML)

(`engenho up` is the same for people; it restarts what dies by itself and is tested in test_up.py.)
"""

from __future__ import annotations

import io
import json
import pathlib
import tarfile
from types import TracebackType
from typing import Any

import requests

from tests.harness.kafka import Kafka
from tests.harness.process import BIN, TOP, Process, free_port, wait_for
from tests.harness.redis import Redis


class Service(Process):
    """One of our programs: it writes a ready file with its addresses once it listens."""

    def __init__(self, name: str, directory: pathlib.Path, program: str, arguments: list[str],
                 environment: dict[str, str] | None = None):
        self.ready_file = directory / f"{name}.ready"
        super().__init__(
            name,
            [str(BIN / program), *arguments, "--ready-file", str(self.ready_file)],
            directory / f"{name}.log",
            environment,
        )

    def start(self) -> "Service":
        self.ready_file.unlink(missing_ok=True)
        super().start()
        return self

    @property
    def ready(self) -> dict[str, Any]:
        """What the ready file says; waits for it."""

        def read() -> dict[str, Any]:
            assert self.alive(), f"{self.name} ended with {self.popen and self.popen.poll()}: {self.tail()}"
            return json.loads(self.ready_file.read_text())

        return wait_for(f"{self.name} is ready", read)

    def probe(self, path: str) -> requests.Response:
        """GET /livez, /readyz, /startupz or /metrics of the admin server."""
        return requests.get(f"http://{self.ready['admin']}{path}", timeout=10)

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Return when /readyz says so; else fail with its reason and the last lines of the log."""

        def ready() -> bool:
            answer = self.probe("/readyz")
            assert answer.ok, f"{answer.text}; its log: {self.tail()}"
            return True

        wait_for(f"{self.name} /readyz", ready, seconds)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of a metric that have these labels."""
        total = 0.0
        for line in self.probe("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.split("{")[0] == name and all(f'{key}="{want}"' in series for key, want in labels.items()):
                total += float(value)
        return total


class System:
    """Kafka, Redis, a licensor, a producer and workers."""

    TOKEN = "test-token-0123456789abcdef"

    def __init__(self, directory: pathlib.Path | str, *, workers: int = 1, interpreters: int = 4,
                 kafka: Kafka | None = None, prefix: str = "engenho.", licence: str = "enterprise-4.json",
                 worker_options: tuple[str, ...] = (), licensor_options: tuple[str, ...] = (),
                 environment: dict[str, str] | None = None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prefix = prefix
        self.own_kafka = kafka is None
        self.kafka = kafka or Kafka(self.directory / "kafka")
        self.redis = Redis(self.directory / "redis")
        self.licensor_port = free_port()
        self.api_port = free_port()
        self.token_file = self.directory / "token"
        self.token_file.write_text(self.TOKEN)
        self.token_file.chmod(0o600)
        licences = self.directory / "licences"
        licences.mkdir(exist_ok=True)
        (licences / licence).write_bytes((TOP / "tests/keys" / licence).read_bytes())
        self.environment = environment
        kafka_words = ["--kafka", self.kafka.servers, "--prefix", prefix, "--admin-listen", "127.0.0.1:0"]
        licensor_address = f"127.0.0.1:{self.licensor_port}"
        self.licensor = self._service("licensor", "engenho-licensor", [
            "--listen", licensor_address, "--redis", self.redis.url, "--licence-dir", str(licences),
            "--admin-listen", "127.0.0.1:0", *licensor_options,
        ])
        self.producer = self._service("producer", "engenho-producer", [
            *kafka_words, "--api-listen", f"127.0.0.1:{self.api_port}", "--token-file", str(self.token_file),
            "--licensor", licensor_address, "--replica", "producer-0",
        ])
        self.workers = [
            self._service(f"worker-{number}", "engenho-worker", [
                *kafka_words, "--agent", "default", "--name", f"worker-{number}", "--licensor", licensor_address,
                "--interpreters", str(interpreters), "--cache-dir", str(self.directory / f"cache-{number}"),
                *worker_options,
            ])
            for number in range(workers)
        ]

    def _service(self, name: str, program: str, arguments: list[str]) -> Service:
        return Service(name, self.directory, program, arguments, self.environment)

    @property
    def worker(self) -> Service:
        return self.workers[0]

    @property
    def services(self) -> list[Service]:
        return [self.licensor, self.producer, *self.workers]

    def start(self) -> "System":
        """Start everything and return when the API answers and every worker is ready."""
        try:
            if self.own_kafka:
                self.kafka.start()
            self.redis.start()
            for service in self.services:
                service.start()
            self.wait()
        except BaseException:
            self.kill_all()
            raise
        return self

    def wait(self, seconds: float = 60) -> None:
        """Return when every service is ready."""
        for service in self.services:
            service.wait_until_ready(seconds)

    def stop(self) -> None:
        """Stop our programs cleanly, then Kafka and Redis. Whatever does not end with 0 (a sanitizer's finding, too) fails."""
        try:
            for service in reversed(self.services):
                code = service.stop()
                assert code in (0, None), f"{service.name} ended with {code}: {service.tail(40)}"
        finally:
            self.kill_all()

    def kill_all(self) -> None:
        for service in self.services:
            service.kill()
        self.redis.kill()
        if self.own_kafka:
            self.kafka.kill()

    def __enter__(self) -> "System":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None:
            self.stop()
        else:
            self.kill_all()

    # What people do over the API.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """A call of the API with the token; the answer as it is."""
        headers = {"Authorization": f"Bearer {self.TOKEN}", **arguments.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **arguments)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.ok, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def apply(self, yaml: str) -> Any:
        """Definitions as YAML documents; fails with the API's sentence when they are refused."""
        answer = self.call("POST", "/v1/apply", data=yaml.encode(), headers={"Content-Type": "application/yaml"})
        assert answer.ok, f"apply: {answer.status_code} {answer.text}"
        return answer.json()

    def deploy(self, name: str, files: dict[str, str], main: str | None = None) -> Any:
        """A package of one or more sources."""
        params = {"main": main} if main else {}
        if len(files) == 1:
            file, text = next(iter(files.items()))
            body = text.encode()
        else:
            file, out = f"{name}.tar.gz", io.BytesIO()
            with tarfile.open(fileobj=out, mode="w:gz") as archive:
                for path, text in files.items():
                    info = tarfile.TarInfo(path)
                    info.size = len(text.encode())
                    archive.addfile(info, io.BytesIO(text.encode()))
            body = out.getvalue()
        answer = self.call("POST", f"/v1/packages/{name}", params={"file": file, **params}, data=body,
                           headers={"Content-Type": "application/octet-stream"})
        assert answer.ok, f"deploy {name}: {answer.status_code} {answer.text}"
        return answer.json()

    def engenho(self, *words: str) -> list[str]:
        """The words of a call of the command line against this system."""
        return [str(BIN / "engenho"), *words]

    @property
    def client_environment(self) -> dict[str, str]:
        """What the command line needs in its environment to find this system."""
        return {"ENGENHO_SERVER": self.url, "ENGENHO_TOKEN_FILE": str(self.token_file)}
