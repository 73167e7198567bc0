"""Headers that compile alone, and the format of C."""

from __future__ import annotations

import pathlib
import subprocess
from concurrent.futures import ThreadPoolExecutor


def compiler_flags(commands: list[tuple[pathlib.Path, str, list[str]]]) -> list[str]:
    """Where the build finds headers and what it defines: of all its commands together."""
    flags: dict[str, None] = {}
    for _, _, arguments in commands:
        at = 0
        while at < len(arguments):
            if arguments[at] in ("-isystem", "-I"):
                flags[f"{arguments[at]}\0{arguments[at + 1]}"] = None
                at += 1
            elif arguments[at].startswith(("-I", "-DENGENHO_VERSION", "-D_GNU_SOURCE")):
                flags[arguments[at]] = None
            at += 1
    return [part for flag in flags for part in flag.split("\0")]


def alone(root: pathlib.Path, headers: list[pathlib.Path], flags: list[str]) -> list[str]:
    """Headers that do not compile by themselves, with the compiler's first complaint."""

    def attempt(path: pathlib.Path) -> str | None:
        name = path.relative_to(root)
        run = subprocess.run(
            ["gcc", "-std=c17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *flags, "-x", "c", "-"],
            input=f'#include "{name}"\n#include "{name}"\nextern int nothing;\n',
            capture_output=True,
            text=True,
            cwd=root,
        )
        complaints = [line for line in run.stderr.splitlines() if "error:" in line]
        return None if run.returncode == 0 else f"{name}: {(complaints or [run.stderr])[0].strip()}"

    with ThreadPoolExecutor(2) as pool:
        return [wrong for wrong in pool.map(attempt, headers) if wrong]


def unformatted(root: pathlib.Path, files: list[pathlib.Path]) -> list[str]:
    """Files that clang-format would change."""
    if not files:
        return []
    run = subprocess.run(
        ["clang-format", "--dry-run", f"--style=file:{root / '.clang-format'}", *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
    )
    places: dict[str, int] = {}
    for line in run.stderr.splitlines():
        if "[-Wclang-format-violations]" in line:
            name = str(pathlib.Path(line.split(":")[0]).relative_to(root))
            places[name] = places.get(name, 0) + 1
    return [f"{name}: {count} places: clang-format -i {name}" for name, count in sorted(places.items())]
