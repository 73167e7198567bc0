#!/usr/bin/env python3
"""Write docs/CONFIGURATION.md and docs/METRICS.md from the tables in the programs, or say whether they are in step.

    generate_docs.py --write | --check

The programs are those of $ENGENHO_BIN (build/test/bin without it). --check exits 1 and shows what differs.
"""

from __future__ import annotations

import argparse
import difflib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PROGRAMS = ("engenho-producer", "engenho-worker", "engenho-interpreter", "engenho-licensor", "engenho")
SERVICES = ("engenho-producer", "engenho-worker", "engenho-licensor")

CONFIGURATION_HEAD = """\
# Configuration

<!-- Written by `make docs` from the option tables of the programs. -->

Every option is given on the command line (`--name VALUE` or `--name=VALUE`) or in the environment; the command line wins
over the environment, and both win over the default. An empty variable is one that is not set. A wrong value stops the program
at its start (exit code 2) with a sentence that names the option, what it got and what it takes.

A **duration** is written `200ms`, `60s`, `30m`, `12h`, `7d`, or as EPM writes it: `ddd.hh:mm:ss`. **Bytes** are written `8192`,
`64KiB`, `16MiB`, `1GiB`. Every program also answers `--help`, `--version` and `--help-markdown`.

"""

METRICS_HEAD = """\
# Metrics

<!-- Written by `make docs` from the metric tables of the services. -->

Every service shows its metrics at `/metrics` of its admin address (`--admin-listen`), as Prometheus' text format 0.0.4 or, when
asked for `application/openmetrics-text`, as OpenMetrics 1.0. Times are in seconds, sizes in bytes. Label values are bounded: what a
family has no more room for is counted in `engenho_metrics_series_dropped_total`.

"""

EVERY_SERVICE = """\
## Every service

| metric | type | labels | what it says |
|---|---|---|---|
"""


def ask(programs: pathlib.Path, program: str, question: str) -> str:
    """What a program prints, without the path of this checkout."""
    path = programs / program
    if not path.is_file():
        sys.exit(f"there is no {path}: build it, or set ENGENHO_BIN")
    run = subprocess.run([path, question], capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
    if run.returncode != 0 or not run.stdout:
        sys.exit(f"{program} {question} ended with {run.returncode}: {run.stderr.strip()}")
    return run.stdout.replace(f"{ROOT}/", "")


def rows(section: str) -> list[str]:
    return [line for line in section.splitlines() if line.startswith("| `")]


def metrics(sections: list[str]) -> str:
    """The sections one after the other; a row that stands in all of them stands once, at the end."""
    common = [row for row in rows(sections[0]) if all(row in rows(other) for other in sections[1:])]
    own = [
        "\n".join(line for line in section.splitlines() if line not in common).rstrip() + "\n\n" for section in sections
    ]
    return METRICS_HEAD + "".join(own) + EVERY_SERVICE + "\n".join(common) + "\n"


def pages(programs: pathlib.Path) -> dict[str, str]:
    """The text of each page."""
    configuration = "".join(ask(programs, program, "--help-markdown") for program in PROGRAMS)
    return {
        "CONFIGURATION.md": CONFIGURATION_HEAD + configuration.rstrip() + "\n",
        "METRICS.md": metrics([ask(programs, service, "--metrics-markdown") for service in SERVICES]),
    }


def differences(docs: pathlib.Path, wanted: dict[str, str]) -> list[str]:
    """How the pages in `docs` differ from what the programs say."""
    found: list[str] = []
    for name, text in wanted.items():
        path = docs / name
        present = path.read_text(encoding="utf-8") if path.is_file() else ""
        found += difflib.unified_diff(
            present.splitlines(), text.splitlines(), f"docs/{name}", "what the programs say", lineterm="", n=0
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true", help="write the pages")
    choice.add_argument("--check", action="store_true", help="exit 1 when a page is not in step")
    arguments = parser.parse_args()
    programs = pathlib.Path(os.environ.get("ENGENHO_BIN", ROOT / "build/test/bin"))
    wanted = pages(programs)
    if arguments.write:
        for name, text in wanted.items():
            (DOCS / name).write_text(text, encoding="utf-8")
        return 0
    found = differences(DOCS, wanted)
    if found:
        print("\n".join(found))
        print("the pages are not in step with the programs: make docs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
