"""`engenho up`: starts, restarts, stops and explains; leaves no process behind.

Tests of the supervising alone put small stand-ins beside a copy of `engenho`, and need no broker: it is the same program.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator

import pytest

from tests.harness import Kafka
from tests.harness.process import BIN, free_port, listens, wait_for

SERVICES = ("engenho-licensor", "engenho-producer", "engenho-worker")

# A service as `engenho up` sees it: it writes its ready file and answers /readyz, until it is told to end.
STAND_IN = """\
#!/usr/bin/python3
import http.server, json, os, pathlib, signal, subprocess, sys
words = sys.argv
ready = words[words.index('--ready-file') + 1]
name = pathlib.Path(ready).stem
behaviour = pathlib.Path(__file__).with_name(name + '.behaviour')
what = behaviour.read_text() if behaviour.exists() else ''
if what.startswith('die '):
    print(what[4:], file=sys.stderr)
    sys.exit(3)
if what == 'orphan':
    subprocess.Popen(['/bin/sleep', '9999'], start_new_session=True)
if what == 'chatter':
    for number in range(2000):
        print(f'line {number}', file=sys.stderr)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if what == 'unready' else 200)
        self.end_headers()
        self.wfile.write(b'no licence for me\\n')
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
signal.signal(signal.SIGTERM, signal.SIG_IGN if what == 'deaf' else lambda *_: os._exit(0))
pathlib.Path(ready + '.new').write_text(json.dumps({'pid': os.getpid(), 'admin': f'127.0.0.1:{server.server_port}'}))
os.rename(ready + '.new', ready)
server.serve_forever()
"""


class Up:
    """An `engenho up` on a data directory of its own."""

    def __init__(self, directory: pathlib.Path, programs: pathlib.Path, *words: str):
        self.data, self.programs, self.words = directory, programs, words
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ENGENHO_")}

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Any command, to its end."""
        return subprocess.run(
            [self.programs / "engenho", *words, "--data", self.data], capture_output=True, text=True, timeout=180,
            env={**self.environment, **environment}, check=False,
        )

    def start(self, *words: str) -> None:
        """In the background. Its output goes to files: what it starts may hold it open."""
        with open(f"{self.data}.out", "w+", encoding="utf-8") as out:
            done = subprocess.run(
                [self.programs / "engenho", "up", "--detach", "--data", self.data, *self.words, *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=180, env=self.environment, check=False,
            )
            out.seek(0)
            assert done.returncode == 0, out.read()

    def foreground(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.programs / "engenho", "up", "--data", self.data, *self.words, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
        )

    def status(self) -> dict[str, dict]:
        done = self.run("status", "-o", "json")
        assert done.returncode == 0, done.stderr
        return {row["process"]: row for row in json.loads(done.stdout)}

    def ready(self, process: str, restarts: int = 0) -> dict:
        """Wait until a process is ready after so many restarts at least."""

        def look() -> dict | None:
            row = self.status()[process]
            return row if row["state"] == "ready" and row["restarts"] >= restarts else None

        return wait_for(f"{process} is ready with {restarts} restarts", look, 120)

    @property
    def endpoint(self) -> dict:
        return json.loads((self.data / "endpoint.json").read_text())

    def processes(self) -> list[str]:
        """Whatever runs with this data directory in its words, or as a child of such, but for ourselves."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.data) in words and int(entry.name) != os.getpid():
                found.append(f"{entry.name} {words}")
        return found

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def programs(tmp_path: pathlib.Path) -> pathlib.Path:
    """`engenho` with stand-ins for the services."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy2(BIN / "engenho", folder)
    for service in SERVICES:
        path = folder / service
        path.write_text(STAND_IN)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def up(tmp_path: pathlib.Path, programs: pathlib.Path) -> Iterator[Up]:
    """Stand-ins on servers that nobody asks: only supervising is tested."""
    system = Up(tmp_path / "data", programs, "--kafka", "127.0.0.1:1", "--redis", "redis://127.0.0.1:1")
    yield system
    system.run("down")


@pytest.fixture
def whole(tmp_path: pathlib.Path) -> Iterator[Up]:
    """Everything real."""
    system = Up(tmp_path / "data", BIN)
    yield system
    system.run("down")


def behave(up: Up, name: str, what: str) -> None:
    (up.programs / f"{name}.behaviour").write_text(what)


def test_everything_starts_runs_a_script_and_finds_its_data_again(whole: Up, tmp_path: pathlib.Path) -> None:
    whole.start()
    rows = whole.status()
    assert set(rows) == {"kafka", "redis", "licensor", "producer", "worker-default-1"}
    assert all(row["state"] == "ready" for row in rows.values()), rows
    first = whole.endpoint
    for secret in ("endpoint.json", "token"):
        assert stat.S_IMODE((whole.data / secret).stat().st_mode) == 0o600
    (tmp_path / "answer.py").write_text(
        "from engenho import method\n\n@method('Answer')\ndef answer(x=1):\n    return x * 6\n"
    )
    (tmp_path / "answer.yaml").write_text("kind: Application\nname: answer\nspec: {package: answer, method: Answer}\n")
    for words in (("deploy", "answer", str(tmp_path / "answer.py")), ("apply", "-f", str(tmp_path / "answer.yaml"))):
        done = whole.run(*words)
        assert done.returncode == 0, done.stderr
    done = whole.run("run", "answer", "--set", "x=7", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == 42

    whole.down()
    assert whole.processes() == []
    whole.start()
    assert whole.endpoint == {**first, "pid": whole.endpoint["pid"]}
    done = whole.run("run", "answer", "--set", "x=8", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == 48
    whole.down()
    assert whole.processes() == []


def test_every_process_that_is_killed_comes_back(whole: Up) -> None:
    whole.start()
    for process in whole.status():
        # As it is now: what lost its broker may have been restarted too.
        row = whole.ready(process)
        os.kill(row["pid"], signal.SIGKILL)
        assert whole.ready(process, row["restarts"] + 1)["pid"] != row["pid"]
    for process in whole.status():
        whole.ready(process, 1)
    whole.down()
    assert whole.processes() == []


def test_kill_minus_nine_of_up_leaves_nothing_and_the_next_start_works(whole: Up) -> None:
    whole.start()
    os.kill(whole.endpoint["pid"], signal.SIGKILL)
    wait_for("nothing is left", lambda: not whole.processes())
    whole.start()
    assert all(row["state"] == "ready" for row in whole.status().values())
    whole.down()
    assert whole.processes() == []


def test_ctrl_c_stops_everything_cleanly(up: Up) -> None:
    process = up.foreground()
    wait_for("it is ready", lambda: (up.data / "endpoint.json").exists())
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "Engenho is ready" in out and "console" in out and out.count("  engenho ") == 3
    assert error.rstrip().endswith("engenho up: stopped")
    assert up.processes() == []
    assert not (up.data / "endpoint.json").exists() and not (up.data / "status.json").exists()


def test_down_waits_until_all_is_gone(up: Up) -> None:
    up.start()
    done = up.run("down")
    assert (done.returncode, done.stdout) == (0, f"stopped {up.data}\n")
    assert up.processes() == []
    done = up.run("down")
    assert (done.returncode, done.stdout) == (0, f"nothing runs on {up.data}\n")


def test_a_second_up_on_the_same_data_says_who_runs(up: Up) -> None:
    up.start()
    done = up.run("up", *up.words)
    assert done.returncode == 1
    assert f"engenho up runs already on {up.data} (process {up.endpoint['pid']})" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert up.status()["producer"]["state"] == "ready"


def test_status_tells_where_everything_is(up: Up) -> None:
    up.start()
    row = up.status()["producer"]
    assert row["pid"] > 0 and row["restarts"] == 0 and row["memory"].endswith(" MiB")
    assert row["address"] == up.endpoint["server"].removeprefix("http://")
    table = up.run("status").stdout.splitlines()
    assert table[0].split() == ["PROCESS", "PID", "STATE", "RESTARTS", "UPTIME", "MEMORY", "ADDRESS", "REASON"]
    assert [line.split()[0] for line in table[1:]] == ["licensor", "producer", "worker-default-1"]
    up.down()
    done = up.run("status")
    assert done.returncode == 1 and f"nothing runs on {up.data}" in done.stderr


def test_a_process_that_dies_again_and_again_fails_the_start_with_its_last_line(up: Up) -> None:
    behave(up, "licensor", "die the licence directory is on fire")
    done = up.run("up", *up.words)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "licensor did not become ready: exited with code 3; its last line: the licence directory is on fire" in last
    assert up.processes() == []


def test_a_process_that_is_never_ready_fails_the_start_with_its_reason(up: Up) -> None:
    behave(up, "worker-default-1", "unready")
    done = up.run("up", "--start-limit", "3s", *up.words)
    assert done.returncode == 1
    assert "worker-default-1 did not become ready: no licence for me" in done.stderr
    assert up.processes() == []


def test_a_process_that_does_not_end_is_killed_by_a_second_signal(up: Up) -> None:
    behave(up, "worker-default-1", "deaf")
    process = up.foreground()
    wait_for("it is ready", lambda: (up.data / "endpoint.json").exists())
    process.send_signal(signal.SIGTERM)
    wait_for("it stops", lambda: not (up.data / "endpoint.json").exists())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert up.processes() == []


def test_what_a_script_left_behind_ends_too(up: Up) -> None:
    behave(up, "worker-default-1", "orphan")
    up.start()

    def sleepers() -> set[str]:
        found = set()
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "cmdline").read_bytes() == b"/bin/sleep\x009999\0":
                    found.add(entry.name)
            except OSError:
                continue
        return found

    orphans = sleepers()
    assert orphans
    up.down()
    assert not orphans & sleepers()


def test_logs_are_bounded(up: Up) -> None:
    behave(up, "producer", "chatter")
    up.start("--log-bytes", "4096")
    log = up.data / "log/producer.log"

    def all_written() -> bool:
        assert log.stat().st_size <= 4096 + 16384
        return "line 1999" in log.read_text()

    wait_for("the last line", all_written)
    assert (up.data / "log/producer.log.1").exists()
    assert len(list((up.data / "log").glob("producer.log*"))) == 2


def test_more_workers_and_agents_are_started(up: Up) -> None:
    up.start("--workers", "2", "--agents", "slow=1")
    assert set(up.status()) == {"licensor", "producer", "worker-default-1", "worker-default-2", "worker-slow-1"}


def test_a_remembered_port_that_is_taken_is_chosen_anew(up: Up) -> None:
    up.start()
    port = int(up.endpoint["server"].rsplit(":", 1)[1])
    up.down()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        up.start()
        assert int(up.endpoint["server"].rsplit(":", 1)[1]) != port


def one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """It failed, with one line on stderr that has all these parts."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


def test_a_port_in_use_is_said(up: Up) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        one_sentence(up.run("up", "--listen", address, *up.words), f"the port of {address} is in use", "choose another")


def test_missing_jars_are_said(up: Up, tmp_path: pathlib.Path) -> None:
    one_sentence(up.run("up", "--kafka-home", str(tmp_path)), f"no Kafka in {tmp_path}/libs", "make deps", "--kafka")


def test_missing_java_is_said(up: Up, tmp_path: pathlib.Path) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path/redis-server").symlink_to("/usr/bin/redis-server")
    one_sentence(up.run("up", PATH=str(tmp_path / "path"), JAVA_HOME=""), "no java in JAVA_HOME or PATH", "make deps")


def test_missing_redis_is_said(up: Up, tmp_path: pathlib.Path) -> None:
    one_sentence(up.run("up", PATH=str(tmp_path)), "no redis-server in PATH", "make deps", "--redis")


def test_missing_services_are_said(up: Up) -> None:
    (up.programs / "engenho-producer").unlink()
    one_sentence(up.run("up", *up.words), "no engenho-producer beside this program", "make build")


def test_data_that_cannot_be_written_is_said(up: Up, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    up.data = tmp_path / "file/data"
    one_sentence(up.run("up", *up.words), f"can't make the directory {tmp_path}/file", "--data")


def test_data_where_kafka_cannot_keep_it_is_said(whole: Up, tmp_path: pathlib.Path) -> None:
    whole.data = tmp_path / "a,b"
    one_sentence(whole.run("up"), f"Kafka can't keep its data in {tmp_path}/a,b", "--data")


def test_no_redis_where_one_was_named_is_said(kafka: Kafka, whole: Up) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}"
    done = whole.run("up", "--kafka", kafka.servers, "--prefix", "up-alone.", "--redis", nobody, "--start-limit", "8s")
    assert done.returncode == 1
    assert "licensor did not become ready" in done.stderr
    assert whole.processes() == []


def test_a_full_disk_is_said(up: Up, tmp_path: pathlib.Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(
        # Root needs no user namespace, which a chroot would not let it make.
        ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]), "sh", "-c",
         'mount -t tmpfs -o size=8m none "$0" && exec "$@"', small, up.programs / "engenho", "up", "--data",
         small / "data", *up.words],
        capture_output=True, text=True, timeout=60, check=False,
    )
    one_sentence(done, f"the disk of {small}/data is full", "8 MiB are free", "--data")


def test_wrong_agents_are_said(up: Up) -> None:
    done = up.run("up", "--agents", "Slow=1", *up.words)
    one_sentence(done, "--agents Slow=1 is not NAME=WORKERS")


def test_no_broker_where_one_was_named_is_said(whole: Up) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    done = whole.run("up", "--kafka", nobody, "--start-limit", "8s")
    assert done.returncode == 1
    assert "producer did not become ready" in done.stderr
    assert whole.processes() == []


def test_real_servers_are_used(kafka: Kafka, whole: Up) -> None:
    whole.start("--kafka", kafka.servers, "--prefix", "up-real.")
    assert set(whole.status()) == {"redis", "licensor", "producer", "worker-default-1"}
    whole.down()
    assert kafka.process.alive() and listens(kafka.port)
