#!/usr/bin/env python3
"""Write helm/engenho/files/dashboards/*.json from the sources beside this file.

usage: helm/dashboards/build.py [--check]

With --check nothing is written, and a file that is out of step is exit code 1.
"""

from __future__ import annotations

import json
import pathlib
import sys

import lag
import licences

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "engenho/files/dashboards"
BOARDS = {"lag": lag.build, "licences": licences.build}


def main() -> int:
    stale = sorted(file.name for file in FOLDER.glob("*.json") if file.stem not in BOARDS)
    for name, build in BOARDS.items():
        file = FOLDER / f"{name}.json"
        text = json.dumps(build(), indent=1, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            stale.append(file.name)
    if stale:
        print(f"out of step with helm/dashboards: {', '.join(stale)}: run helm/dashboards/build.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
