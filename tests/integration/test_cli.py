"""The command line against real services: what it does, prints and refuses, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.harness import Kafka
from tests.harness.process import BIN, free_port, wait_for
from tests.harness.proto import event_pb2
from tests.harness.system import System
from tests.harness.topics import read_to_end

PACKAGE = """\
from engenho import method

@method('Overheat')
def overheat(event, limit=100):
    print(f'{event.object} rose to {event.value}')
    return {'over': event.value - limit}

@method('Divide')
def divide(a=1, b=1):
    return a / b
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
kind: Application
name: divide
spec: {package: plant, method: Divide}
---
kind: Production
name: overheat
spec:
  application: overheat
  started: true
  trigger: {data: {connection: plant, object: MachineTemperature, when: "value > 100 and previous <= 100"}}
  ordering: key
"""


class Cli:
    """Calls of `engenho` against a system of servers."""

    def __init__(self, system: System, directory: pathlib.Path):
        self.system, self.directory = system, directory
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ENGENHO_")}
        self.environment |= {**system.client_environment, "XDG_STATE_HOME": str(directory / "state")}

    def call(self, *words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([BIN / "engenho", *map(str, words)], input=stdin, capture_output=True, text=True, timeout=120,
                              env=self.environment, cwd=self.directory, check=False)

    def good(self, *words: object, stdin: str = "") -> str:
        done = self.call(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def json(self, *words: object) -> object:
        return json.loads(self.good(*words, "-o", "json"))

    def refused(self, *words: object, code: int = 1, stdin: str = "") -> str:
        """The one sentence on stderr."""
        done = self.call(*words, stdin=stdin)
        assert done.returncode == code, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("engenho"), done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def cli(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    directory = tmp_path_factory.mktemp("cli")
    with System(directory / "system", kafka=kafka, prefix="cli.").start() as system:
        cli = Cli(system, directory)
        (directory / "plant.py").write_text(PACKAGE)
        (directory / "plant.yaml").write_text(DEFINITIONS)
        cli.good("deploy", "plant", "plant.py")
        cli.good("apply", "-f", "plant.yaml")
        yield cli


def events_of(cli: Cli, name: str) -> list[event_pb2.Event]:
    """What is on `events` of one object, in order."""
    records = [event_pb2.Event.FromString(message.value())
               for message in read_to_end(cli.system.kafka.servers, f"{cli.system.prefix}events")]
    return [event for event in records if event.object == name]


def rows(count: int) -> str:
    return "timestamp,value\n" + "".join(f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z,{n}.25\n" for n in range(count))


def test_definitions_are_written_read_and_exported(cli: Cli) -> None:
    assert re.search(r"^Production\s+overheat\s+unchanged$", cli.good("apply", "-f", "plant.yaml"), re.M)
    cli.good("diff", "-f", "plant.yaml")
    table = cli.good("get", "productions").splitlines()
    assert table[0].split()[:4] == ["NAME", "APPLICATION", "AGENT", "STARTED"]
    assert [line.split()[0] for line in table[1:]] == ["overheat"]
    definition = cli.good("get", "production", "overheat", "-o", "yaml")
    assert re.search(r"^overheat$|unchanged", cli.good("apply", "-f", "-", stdin=definition), re.M)
    assert "unchanged" in cli.good("apply", "-f", "-", stdin=cli.good("export"))
    assert "created" not in cli.good("apply", "-f", "-", stdin=cli.good("export"))


def test_diff_tells_what_would_change_and_changes_nothing(cli: Cli) -> None:
    changed = DEFINITIONS.replace("limit: 100", "limit: 90")
    done = cli.call("diff", "-f", "-", stdin=changed)
    assert done.returncode == 1 and re.search(r"^Application\s+overheat\s+changed$", done.stdout, re.M)
    assert cli.json("get", "application", "overheat")["spec"]["parameters"]["limit"] == 100


def test_a_directory_of_definitions_is_applied_whole(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Connection\nname: a\nspec: {type: push}\n")
    (tmp_path / "b.yml").write_text("kind: Connection\nname: b\nspec: {type: push}\n")
    (tmp_path / "notes.txt").write_text("not: [yaml")
    assert cli.good("apply", "-f", tmp_path).count("created") == 2
    for name in "ab":
        assert cli.good("delete", "connection", name) == f"connection {name} deleted\n"


def test_wrong_definitions_are_refused_with_their_line_and_nothing_is_written(cli: Cli) -> None:
    good = "kind: Connection\nname: never\nspec: {type: push}\n---\n"
    sentence = cli.refused("apply", "-f", "-", stdin=good + "kind: Production\nname: x\nspec: {aplication: overheat}\n")
    assert "line 7" in sentence and "aplication" in sentence and "application" in sentence
    assert "line" in cli.refused("apply", "-f", "-", stdin="kind: [\n")
    assert "no connection 'never'" in cli.refused("get", "connection", "never")


def test_every_output_format_says_the_same(cli: Cli) -> None:
    from_json = cli.json("get", "applications")
    assert {item["name"] for item in from_json} == {"overheat", "divide"}
    from_csv = list(csv.DictReader(io.StringIO(cli.good("get", "applications", "-o", "csv"))))
    assert {row["NAME"] for row in from_csv} == {"overheat", "divide"}
    assert {row["METHOD"] for row in from_csv} == {"Overheat", "Divide"}
    assert "GENERATION" in cli.good("get", "applications", "-o", "wide").splitlines()[0]
    assert cli.good("get", "applications", "-o", "yaml").count("kind: Application") == 2


def test_a_directory_is_deployed_the_same_way_twice(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/junk.pyc").write_bytes(b"junk")
    (tmp_path / "main.py").write_text("from engenho import method\nfrom inner import helper\n\n@method('M')\ndef m():\n    return 1\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/__init__.py").write_text("helper = 1\n")
    assert cli.good("deploy", "folder", tmp_path) == "package folder is deployed: version 1\n"
    os.utime(tmp_path / "main.py", (1, 1))
    (tmp_path / "__pycache__/junk.pyc").write_bytes(b"other junk")
    assert cli.good("deploy", "folder", tmp_path) == "package folder is unchanged: version 1\n"
    (tmp_path / "main.py").write_text("from engenho import method\n\n@method('M')\ndef m():\n    return 2\n")
    assert cli.good("deploy", "folder", tmp_path) == "package folder is deployed: version 2\n"
    assert cli.good("rollback", "folder", "--to", "1") == "package folder: new executions take version 1\n"
    row = next(csv.DictReader(io.StringIO(cli.good("packages", "folder", "-o", "csv"))))
    assert (row["RUNS"], row["NEWEST"], row["VERSIONS"]) == ("1", "2", "2")
    assert "9" in cli.refused("rollback", "folder", "--to", "9")


def test_a_run_gives_its_result(cli: Cli) -> None:
    result = cli.json("run", "divide", "--set", "a=9", "--set", "b=2", "--wait")
    assert (result["outcome"], result["result"]) == ("succeeded", 4.5)
    assert cli.json("show", result["execution"]) == result
    done = cli.call("run", "divide", "--set", "b=0", "--wait", "-o", "json")
    assert done.returncode == 1
    failed = json.loads(done.stdout)
    assert failed["outcome"] == "failed" and "ZeroDivisionError" in failed["traceback"]
    assert failed["execution"] in {r["execution"] for r in cli.json("results", "--failed")}
    execution = cli.good("run", "divide").strip()
    wait_for("its result", lambda: cli.call("show", execution).returncode == 0)


def test_an_event_that_is_sent_runs_its_production_and_results_follow(cli: Cli) -> None:
    before = int(cli.good("results", "overheat", "--count"))
    follower = subprocess.Popen([BIN / "engenho", "results", "overheat", "--follow", "--limit", "1", "-o", "json"],
                                stdout=subprocess.PIPE, text=True, env=cli.environment)
    try:
        cli.good("send", "plant", "MachineTemperature", "101.5", "--previous", "99")
        wait_for("the result", lambda: int(cli.good("results", "overheat", "--count")) == before + 1)
        assert follower.stdout is not None
        text = ""
        while "101.5" not in text:
            line = follower.stdout.readline()
            assert line
            text += line
    finally:
        follower.kill()
        follower.wait()
    assert cli.json("results", "overheat", "--limit", "1")[0]["output"] == "MachineTemperature rose to 101.5\n"
    assert cli.json("results", "overheat", "--since", "1h")[-1]["result"] == {"over": 1.5}


def test_a_stopped_production_runs_no_more(cli: Cli) -> None:
    assert cli.good("stop", "overheat") == "production overheat stopped\n"
    assert cli.good("stop", "overheat") == "production overheat was already stopped\n"
    assert cli.json("get", "production", "overheat")["status"]["started"] is False
    assert cli.good("start", "overheat") == "production overheat started\n"


def test_a_replay_sends_every_row_once_with_the_value_before(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "rows.csv").write_text(rows(2500))
    done = cli.call("replay", tmp_path / "rows.csv", "--connection", "plant", "--object", "Replayed")
    assert done.returncode == 0 and "2500 events" in done.stderr, done.stderr
    events = events_of(cli, "Replayed")
    assert [event.value.number for event in events] == [n + 0.25 for n in range(2500)]
    assert not events[0].HasField("previous")
    assert [event.previous.number for event in events[1:]] == [n + 0.25 for n in range(2499)]
    assert [event.timestamp_us for event in events] == [1767225600000000 + n * 1000000 for n in range(2500)]
    done = cli.call("replay", tmp_path / "rows.csv", "--connection", "plant", "--object", "Replayed")
    assert done.returncode == 0 and "goes on after 2500 events" in done.stderr
    assert len(events_of(cli, "Replayed")) == 2500


def test_a_replay_outlives_the_producer(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "rows.csv").write_text(rows(2000))
    words = ["replay", tmp_path / "rows.csv", "--connection", "plant", "--object", "Killed", "--rate", "200",
             "--source", "killed"]
    process = subprocess.Popen([BIN / "engenho", *map(str, words)], stderr=subprocess.PIPE, text=True, env=cli.environment)
    try:
        for at in (300, 900):
            wait_for(f"{at} events", lambda n=at: cli.system.get("/v1/sources/killed")["position"] >= n, 60)
            assert process.poll() is None, "the replay is over before the kill"
            cli.system.producer.kill()
            cli.system.producer.start()
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, error
    assert "trying again from event" in error
    assert [event.value.number for event in events_of(cli, "Killed")] == [n + 0.25 for n in range(2000)]


def test_a_rate_is_kept(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "rows.csv").write_text(rows(401))
    begun = time.monotonic()
    cli.good("replay", tmp_path / "rows.csv", "--connection", "plant", "--object", "Paced", "--rate", "200")
    # 400 intervals of 5 ms; a busy machine may be later, never earlier.
    assert 2.0 <= time.monotonic() - begun < 6.0


def test_wrong_files_are_refused_with_their_line(cli: Cli, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rows.csv"
    target = ("--connection", "plant", "--object", "Never")
    path.write_text("timestamp,value\n2026-01-01T00:00:00Z,1\nyesterday,2\n")
    assert "line 3: 'yesterday' is not a time" in cli.refused("replay", path, *target)
    path.write_text('timestamp,value\n2026-01-01T00:00:00Z,"1\n')
    assert "line 2: a quote that is not closed" in cli.refused("replay", path, *target)
    path.write_text(rows(1))
    assert "there is no column 'level'" in cli.refused("replay", path, *target, "--value", "level")
    assert "can't read" in cli.refused("replay", tmp_path / "none.csv", *target)
    assert "exclude each other" in cli.refused("replay", path, *target, "--rate", "1", "--speed", "1", code=2)
    assert "--rate takes a number above 0" in cli.refused("replay", path, *target, "--rate", "-1", code=2)
    assert events_of(cli, "Never") == []


def test_state_is_told(cli: Cli) -> None:
    assert re.search(r"^worker-0\s+default\s", cli.good("workers"), re.M)
    pools = {pool["pool"]: pool for pool in cli.json("seats")["pools"]}
    assert pools["productions"]["limit"] > 0
    assert cli.good("seats").splitlines()[0].split()[:2] == ["POOL", "LIMIT"]
    licence = cli.json("licence", "show")
    assert licence["edition"] == "enterprise"
    wait_for("no lag", lambda: {t["topic"]: t["lag"] for t in cli.json("lag")["agents"][0]["topics"]}.get("events") == 0)
    assert len(cli.good("lag", "-o", "wide").splitlines()) > len(cli.good("lag").splitlines()) > 1
    assert "SCHED" not in cli.good("schedules")
    assert cli.good("version").splitlines()[1].split()[0] == "server"


def test_wrong_usage_is_exit_code_two(cli: Cli) -> None:
    for words in (("nothing",), ("get",), ("get", "thing"), ("dead-letters",), ("apply",), ("results", "--limit", "0"),
                  ("get", "a", "b", "c"), ("run", "divide", "--set", "a"), ("results", "-o", "xml"), ("get", "--nope")):
        cli.refused(*words, code=2)
    assert cli.call().returncode == 2


def test_no_server_and_a_wrong_token_are_said(cli: Cli, tmp_path: pathlib.Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    assert "can't be reached" in cli.refused("get", "productions", "--server", nobody)
    assert "looks like http://" in cli.refused("get", "productions", "--server", "ftp://x")
    (tmp_path / "token").write_text("wrong\n")
    assert "token" in cli.refused("get", "productions", "--token-file", tmp_path / "token")
    assert "no token in" in cli.refused("get", "productions", "--token-file", tmp_path / "none")
    environment = {k: v for k, v in cli.environment.items() if not k.startswith("ENGENHO_")}
    done = subprocess.run([BIN / "engenho", "get", "productions"], capture_output=True, text=True, env=environment,
                          cwd=tmp_path, check=False)
    assert done.returncode == 1 and "start one with `engenho up`" in done.stderr


def test_every_command_has_help_and_is_completed(cli: Cli) -> None:
    text = cli.good("--help").replace("completion bash", "completion")
    names = re.findall(r"^  ([a-z-]+(?: [a-z]+)?)(?: [A-Z\[].*?)?  ", text, re.M)
    assert {"up", "dead-letters list", "licence install", "replay"} <= set(names)
    script = cli.good("completion", "bash")
    for name in names:
        help_text = cli.good(*name.split(), "--help")
        assert f"Usage: engenho {name}" in help_text
        assert name.split()[0] in script
    complete = (
        f"source <('{BIN}/engenho' completion bash); COMP_WORDS=({BIN}/engenho start ''); COMP_CWORD=2; "
        f"_engenho '{BIN}/engenho'; echo \"${{COMPREPLY[*]}}\""
    )
    done = subprocess.run(["bash", "-c", complete], capture_output=True, text=True, env=cli.environment, check=False)
    assert done.stdout.split() == ["overheat"], done.stderr
