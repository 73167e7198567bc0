"""engenho-interpreter driven by a test as a worker drives it: frames on a socketpair, no pool, no Kafka."""

from __future__ import annotations

import os
import pathlib
import socket
import struct
from collections.abc import Iterator
from typing import Any

from tests.harness.process import BIN, TOP
from tests.harness.proto import event_pb2, interpreter_pb2, result_pb2, trigger_pb2

LIBRARY = TOP / "worker/interpreter/lib"
SHARED_BYTES = 16 * 1024 * 1024
WHEN_US = 1_769_860_800_000_000  # 2026-01-31 12:00 UTC
ANSWER_SECONDS = 30


class Interpreter:
    """One process. `load` a package, `run` executions; each gives the frame that answers it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self._numbers = iter(range(1, 1_000_000))
        self._codes = iter(range(1, 1_000_000))
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(ANSWER_SECONDS)
        capture_read, capture_write = os.pipe()
        os.set_blocking(capture_read, False)
        stack_read, stack_write = os.pipe()
        memory = os.memfd_create("interpreter")
        os.ftruncate(memory, SHARED_BYTES)
        program = str(BIN / "engenho-interpreter")
        self._pid = os.posix_spawn(
            program,
            [program, "--library", str(LIBRARY)],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
                (os.POSIX_SPAWN_DUP2, capture_write, 1),
                (os.POSIX_SPAWN_DUP2, capture_write, 2),
            ],
            setpgroup=0,
        )
        hello = interpreter_pb2.ToInterpreter(ping={})
        socket.send_fds(self._socket, [self._frame(hello)], [memory, capture_read, stack_write])
        for descriptor in (capture_read, capture_write, stack_read, stack_write, memory):
            os.close(descriptor)
        theirs.close()
        self._answers = self._receive()
        self.ready = next(self._answers).ready
        assert next(self._answers).HasField("pong")

    def close(self) -> int:
        """End it as a worker does, and wait; its exit code."""
        self._socket.shutdown(socket.SHUT_WR)
        _, status = os.waitpid(self._pid, 0)
        self._socket.close()
        return os.waitstatus_to_exitcode(status)

    @staticmethod
    def _frame(message: Any) -> bytes:
        packed = message.SerializeToString()
        return struct.pack(">I", len(packed)) + packed

    def _receive(self) -> Iterator[Any]:
        data = b""
        while True:
            while len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
                size = struct.unpack(">I", data[:4])[0]
                message = interpreter_pb2.ToWorker.FromString(data[4 : 4 + size])
                data = data[4 + size :]
                if message.answers:
                    yield from message.answers
                else:
                    yield message
            more = self._socket.recv(65536)
            assert more, "the interpreter ended"
            data += more

    def package(self, **sources: str) -> pathlib.Path:
        """A folder with these modules."""
        folder = self.directory / f"package{len(list(self.directory.iterdir()))}"
        folder.mkdir()
        for name, text in sources.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    def load(self, folder: pathlib.Path, method: str = "", **options: Any) -> Any:
        """Load a method; gives Loaded."""
        load = interpreter_pb2.Load(
            code=next(self._codes), directory=str(folder), method=method, output_limit_bytes=65536, **options
        )
        self._socket.sendall(self._frame(interpreter_pb2.ToInterpreter(load=load)))
        return next(self._answers).loaded

    def run(self, code: int, **fields: Any) -> Any:
        """Run one execution; gives Finished."""
        fields.setdefault("event", event_pb2.Event(connection="plant", object="Tank1", timestamp_us=WHEN_US))
        fields.setdefault("time_event_us", WHEN_US)
        fields.setdefault("kind", trigger_pb2.TRIGGER_KIND_EVENT)
        execution = interpreter_pb2.Execution(number=next(self._numbers), code=code, **fields)
        batch = interpreter_pb2.Batch(executions=[execution])
        self._socket.sendall(self._frame(interpreter_pb2.ToInterpreter(batch=batch)))
        finished = next(self._answers)
        assert finished.number == execution.number
        return finished

    def script(self, text: str, method: str = "", **options: Any) -> int:
        """Load a package of one file that must load; its code."""
        loaded = self.load(self.package(main=text), method, **options)
        assert not loaded.error, loaded.error + loaded.traceback
        return int(loaded.code)


def parameters(**values: str) -> list[Any]:
    """Parameters from names and JSON texts."""
    return [trigger_pb2.Parameter(name=name, json=json) for name, json in values.items()]


def succeeded(finished: Any) -> str:
    """What an execution printed, which must have succeeded."""
    assert finished.outcome == result_pb2.OUTCOME_SUCCEEDED, f"{finished.error_class}: {finished.error}\n{finished.traceback}"
    return str(finished.output.decode())


def failed(finished: Any) -> str:
    """Why an execution failed: class and sentence."""
    assert finished.outcome == result_pb2.OUTCOME_FAILED, finished
    return f"{finished.error_class}: {finished.error}"
