"""Every query of both dashboards, and every rule, asked of a real Prometheus that scrapes the real programs under a small load.

A query without samples fails: a panel that can show nothing is a metric that was renamed, or never was.
"""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import re
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.harness import Kafka, System
from tests.harness.process import Process, free_port, wait_for
from tests.integration.test_dashboards import BOARDS, queries
from tests.integration.test_rules import RULES

SOURCE = '''
import time
from engenho import method

@method('Slow')
def slow(seconds=0.4):
    time.sleep(seconds)
'''

# The licence has two seats in the pool `full`: of three productions that want one, one waits; the fourth takes another pool's.
PRODUCTIONS = {
    "ordinary": "",
    "short-1": "seat: {pools: [full]}",
    "short-2": "seat: {pools: [full]}",
    "short-3": "seat: {pools: [full]}",
    "chained": "seat: {pools: [full, productions]}",
}


def plant() -> str:
    documents = ["kind: Connection\nname: plant\nspec: {type: push}\n",
                 "kind: Application\nname: slow\nspec: {package: slow, method: Slow}\n"]
    for name, seat in PRODUCTIONS.items():
        documents.append(f"""kind: Production
name: {name}
spec:
  application: slow
  agent: default
  started: true
  trigger: {{data: {{connection: plant, object: "{name}"}}}}
  ordering: key
  timeLimit: 30s
  {seat}
""")
    documents.append("""kind: Production
name: every-second
spec:
  application: slow
  agent: default
  started: true
  trigger: {schedule: {every: 1s}}
""")
    return "---\n".join(documents)


class Prometheus:
    """A server that scrapes `targets` each second and evaluates our rules."""

    def __init__(self, directory: pathlib.Path, targets: dict[str, str]):
        directory.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        file = directory / "prometheus.yaml"
        file.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rule) for rule in RULES],
            "scrape_configs": [{"job_name": name, "static_configs": [{"targets": [address]}]} for name, address in targets.items()],
        }))
        self.process = Process("prometheus", [
            "/usr/bin/prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=warn"], directory / "prometheus.log")

    def __enter__(self) -> "Prometheus":
        self.process.start()
        wait_for("Prometheus is ready", lambda: requests.get(f"{self.url}/-/ready", timeout=5).ok)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def samples(self, expression: str) -> list[float]:
        """The values of an instant query that are numbers."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        values = [float(row["value"][1]) for row in answer["data"]["result"]]
        return [value for value in values if not math.isnan(value)]

    def rules(self) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v1/rules", timeout=10).json()
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]]


def filled(expression: str) -> str:
    """As Grafana sends it with All chosen in every variable."""
    return re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "15s"))


@contextlib.contextmanager
def load(system: System) -> Iterator[None]:
    """Events for every production until the end of the block, so slowly that each rests now and then and frees its seat."""
    done = threading.Event()
    problems: list[BaseException] = []

    def push() -> None:
        value = 0
        try:
            while not done.wait(1.2):
                value += 1
                events = [{"connection": "plant", "object": name, "value": value} for name in PRODUCTIONS]
                answer = system.call("POST", "/v1/events", json=events)
                assert answer.status_code == 202, answer.text
        except BaseException as problem:  # noqa: BLE001: shown by the test, not lost with the thread
            problems.append(problem)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert not problems, problems[0]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka) -> Iterator[System]:
    running = System(tmp_path_factory.mktemp("queries"), kafka=kafka, prefix="queries.", licence="full-8.json")
    running.producer.argv += ["--usage-interval", "1s"]  # who was granted seats is known a minute later
    with running.start():
        running.deploy("slow", {"main.py": SOURCE})
        running.apply(plant())
        yield running


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, system: System) -> Iterator[Prometheus]:
    targets = {service.name: service.ready["admin"] for service in system.services}
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as server, load(system):
        yield server


def test_every_query_of_the_dashboards_has_samples(prometheus: Prometheus) -> None:
    waiting = {where: filled(expression) for board in BOARDS.values() for where, expression in queries(board)}
    assert len(waiting) > 40

    def answered() -> bool:
        for where, expression in list(waiting.items()):
            if prometheus.samples(expression):
                del waiting[where]
        return not waiting

    try:
        wait_for("samples for every query", answered, 150, 1)
    except AssertionError:
        raise AssertionError("no samples:\n" + "\n".join(f"{where}: {text}" for where, text in waiting.items())) from None


def test_a_query_of_a_metric_that_does_not_exist_has_no_samples(prometheus: Prometheus) -> None:
    """What the test above relies on."""
    assert prometheus.samples("max(engenho_no_such_metric)") == []


def test_variables_of_the_dashboards_have_values(prometheus: Prometheus) -> None:
    for board in BOARDS.values():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                metric = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
                assert metric
                wait_for(variable["definition"], lambda m=metric: prometheus.samples(f"count({m[1]})"))
                if metric[2] not in ("cluster", "namespace"):
                    assert prometheus.samples(f'count({metric[1]}{{{metric[2]}!=""}})'), variable["definition"]


def test_every_rule_is_evaluated_without_error_and_records_something(prometheus: Prometheus) -> None:
    wait_for("all rules evaluated", lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), 60, 1)
    for rule in prometheus.rules():
        if rule["type"] == "recording":
            wait_for(f"samples of {rule['name']}", lambda r=rule: prometheus.samples(r["name"]), 60, 1)


# Where the machine of the tests gives our processes no limit there is none to show.
ABSENT = {"engenho_cgroup_memory_limit_bytes"}


def test_every_metric_that_a_rule_names_has_samples(prometheus: Prometheus) -> None:
    named = {name for rule in prometheus.rules() for name in re.findall(r"\bengenho_\w+", re.sub(r"\b\w+:[\w:]+", "", rule["query"]))}
    assert len(named) > 20
    if not any(pathlib.Path("/sys/fs/cgroup").glob("*")):
        # A root without the cgroup file system, such as a chroot: there is nothing to read these from.
        named = {name for name in named if not name.startswith("engenho_cgroup_")}
    for name in sorted(named - ABSENT):
        wait_for(f"samples of {name}", lambda n=name: prometheus.samples(f"count({n})"), 30, 1)


def test_nothing_that_works_raises_a_critical_alert(prometheus: Prometheus) -> None:
    """But the small pool, which this load uses up on purpose."""
    firing = {rule["name"] for rule in prometheus.rules() for alert in rule.get("alerts", [])
              if alert["state"] == "firing" and alert["labels"]["severity"] == "critical"}
    assert firing <= {"LicenceExhausted"}, firing


# promtool's objections to names that are what people look for all the same: sums of lag, the counters of a summary in two,
# and processor time that is read, not counted.
WANTED = {"engenho_kafka_consumer_group_lag_sum", "engenho_script_duration_seconds_sum", "engenho_script_duration_seconds_count",
          "engenho_interpreter_cpu_seconds_total"}


@pytest.mark.parametrize("name", ["licensor", "producer", "worker-0"])
def test_promtool_finds_no_fault_in_what_is_exported(name: str, system: System, prometheus: Prometheus) -> None:
    service = next(service for service in system.services if service.name == name)
    done = subprocess.run(["promtool", "check", "metrics"], input=service.probe("/metrics").text, capture_output=True, text=True,
                          timeout=30)
    faults = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and line.split()[0] not in WANTED]
    assert not faults, "\n".join(faults)
    assert done.returncode in (0, 3), done.returncode
