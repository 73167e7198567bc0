"""`make bench`: every figure that Engenho states, measured here and now.

usage: python -m tests.bench [--count N] [--rounds N] [--interpreters N] [licensor|memory|throughput ...]
"""

from __future__ import annotations

import argparse
import os
import tempfile

from tests.bench import licensor, memory, throughput
from tests.harness import System


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--count", type=int, default=300_000, help="events of the backlog")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--interpreters", type=int, default=2)
    parser.add_argument("what", nargs="*", default=[], help="licensor, memory, throughput; all by default")
    options = parser.parse_args()
    what = options.what or ["licensor", "memory", "throughput"]
    if "licensor" in what:
        licensor.bench()
    if what == ["licensor"]:
        return
    print(f"{os.cpu_count()} processors, shared with the broker")
    with tempfile.TemporaryDirectory(prefix="engenho-bench-") as directory, System(
            directory, interpreters=options.interpreters).start() as system:
        if "memory" in what:
            memory.bench(system)
        if "throughput" in what:
            throughput.bench(system, options.count, options.rounds)


if __name__ == "__main__":
    main()
