"""The schemas of proto/ as Python classes, compiled by Debian's protoc into build/: `from tests.harness.proto import event_pb2`."""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys
from types import ModuleType

from tests.harness.process import TOP

_OUT = TOP / "build/python-proto"


def _compile() -> None:
    sources = sorted((TOP / "proto").glob("*.proto"))
    newest = max(source.stat().st_mtime for source in sources)
    stamp = _OUT / "stamp"
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        _OUT.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["protoc", "-I", str(TOP / "proto"), f"--python_out={_OUT}", *map(str, sources)], check=True
        )
        stamp.touch()
    if str(_OUT) not in sys.path:
        sys.path.insert(0, str(_OUT))


_compile()


def __getattr__(name: str) -> ModuleType:
    if name.endswith("_pb2"):
        return importlib.import_module(name)
    raise AttributeError(name)


def source_of(name: str) -> pathlib.Path:
    """The schema's file, such as proto/event.proto for "event"."""
    return TOP / "proto" / f"{name}.proto"
