"""A program under test: started with its output in a file, stopped by process id, never left behind."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_libc = ctypes.CDLL("libc.so.6", use_errno=True)
_PR_SET_PDEATHSIG = 1

TOP = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("ENGENHO_DEPS") or TOP / ".deps")
BIN = pathlib.Path(os.environ.get("ENGENHO_BIN") or TOP / "build/test/bin")
TEST_DATA = pathlib.Path(os.environ.get("ENGENHO_TEST_DATA") or TOP / "../shared/data")


# Below what Linux gives to outgoing connections (ip_local_port_range), so that none of them takes a port before its server.
_PORTS = range(15000, 32000)
_reserved: list[int] = []  # files that say so to tests that run beside this one; open for as long as this process lives


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now, and that no other test on this machine gets while this process lives."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"engenho-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = random.choice(_PORTS)
        file = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(file)
            continue
        _reserved.append(file)
        return port


def wait_for(what: str, check: Callable[[], T], seconds: float = 30, every: float = 0.02) -> T:
    """Wait until `check` gives something true and return that; fail with `what` after `seconds`.

    An exception of `check` counts as "not yet" and is shown when time runs out.
    """
    until = time.monotonic() + seconds
    last: BaseException | None = None
    while time.monotonic() < until:
        try:
            value = check()
            if value:
                return value
            last = None
        except (OSError, KeyError, ValueError, AssertionError, RuntimeError) as error:
            last = error
        time.sleep(every)  # sleep_ok: the interval of a wait for an event
    raise AssertionError(f"{what}: not within {seconds} s" + (f" ({last!r})" if last else ""))


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One program: `start`, `kill`, `stop`. Its output goes to `log`."""

    def __init__(self, name: str, argv: list[str], log: pathlib.Path, environment: dict[str, str] | None = None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = log
        self.environment = environment
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> "Process":
        assert not self.alive(), f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(self.environment or {})},
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        return self

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.popen is not None and self.alive():
            self.popen.kill()
        self.wait()

    def wait(self, seconds: float = 30) -> int | None:
        return self.popen.wait(seconds) if self.popen is not None else None

    def stop(self, seconds: float = 30) -> int | None:
        """SIGTERM, and its exit code; after `seconds` kill -9 and an error."""
        if self.popen is None:
            return None
        if self.alive():
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not stop within {seconds} s; its log: {self.tail()}") from None

    def tail(self, lines: int = 20) -> str:
        """The last lines of its output."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
