"""The files that lint looks at, and C as text without what is no code."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICES = ("cli", "licensor", "producer", "worker")
SHARED = ("common", "kafka", "proto")
FOLDERS = SERVICES + SHARED

_LEFT_OUT = {"build", ".deps", ".git", "__pycache__", ".ccache", "node_modules", ".pytest_cache"}


def c_files(root: pathlib.Path, tests: bool = True) -> list[pathlib.Path]:
    """Every .c and .h of ours below `root`, tests included if asked for."""
    folders = FOLDERS + (("tests",) if tests else ())
    found = [
        path
        for folder in folders
        for path in (root / folder).rglob("*.[ch]")
        if not _LEFT_OUT & set(path.relative_to(root).parts)
    ]
    return sorted(found)


def text_files(root: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Every file of the repository that is text: what git knows where there is git, else all that is there."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if n not in _LEFT_OUT and not n.startswith("."))
        for name in sorted(files):
            path = pathlib.Path(folder, name)
            if not path.is_symlink() and path.stat().st_size < 1 << 20:
                try:
                    yield path, path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


_TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE
)


def code_of(text: str, strings: bool = False) -> str:
    """C without comments, and without the contents of strings unless they are asked for; line numbers stay."""

    def blank(match: re.Match[str]) -> str:
        token = match.group()
        if token.startswith("/"):
            return "\n" * token.count("\n") or " "
        return token if strings else token[0] + token[0]

    return _TOKEN.sub(blank, text)


def line_comments(text: str) -> list[int]:
    """The lines on which a // comment stands."""
    return [
        text.count("\n", 0, match.start()) + 1
        for match in _TOKEN.finditer(text)
        if match.group().startswith("//")
    ]


_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(text: str) -> list[str]:
    """What a file includes, in order, as it is written between the brackets or quotes."""
    return [match.group(2) for match in _INCLUDE.finditer(code_of(text, strings=True))]


def closure(root: pathlib.Path, path: pathlib.Path) -> dict[str, str]:
    """Everything a file includes, through our own headers too: include -> the file that has it."""
    seen: dict[str, str] = {}
    waiting = [path]
    while waiting:
        at = waiting.pop()
        for name in includes(at.read_text(encoding="utf-8")):
            if name not in seen:
                seen[name] = str(at.relative_to(root))
                if (root / name).is_file():
                    waiting.append(root / name)
    return seen


def build_folder() -> pathlib.Path:
    """The build whose programs and compile commands lint reads: $ENGENHO_BIN's, else build/test."""
    programs = pathlib.Path(os.environ.get("ENGENHO_BIN", ROOT / "build/test/bin"))
    folder = programs.parent
    assert (folder / "compile_commands.json").is_file(), (
        f"there is no build in {folder}: cmake --preset test && cmake --build build/test"
    )
    return folder


def compile_commands(folder: pathlib.Path) -> list[tuple[pathlib.Path, str, list[str]]]:
    """(source, target, arguments) of every file that the build compiles."""
    found = []
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        arguments = shlex.split(entry["command"])
        target = re.search(r"CMakeFiles/([^/]+)\.dir/", entry["command"])
        assert target, entry["command"]
        found.append((pathlib.Path(entry["file"]), target.group(1), arguments))
    return found


def assert_none(wrong: list[str]) -> None:
    """Fail with one violation on each line."""
    assert not wrong, f"{len(wrong)} found:\n  " + "\n  ".join(wrong)
