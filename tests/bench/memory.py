"""Resident memory of each idle process."""

from __future__ import annotations

import psutil

from tests.bench.report import row, section
from tests.harness import System


def _private(process: psutil.Process) -> int:
    return process.memory_full_info().uss


def bench(system: System) -> None:
    """Print resident and private memory of every process of an idle system."""
    section("resident memory, idle")
    row("", "resident MiB", "private MiB")
    named = [(service.name, service.pid) for service in system.services]
    named += [("kafka", system.kafka.process.pid), ("redis", system.redis.process.pid)]
    for name, pid in named:
        process = psutil.Process(pid)
        row(name, f"{process.memory_info().rss / 2**20:.1f}", f"{_private(process) / 2**20:.1f}")
        for number, child in enumerate(process.children(recursive=True)):
            row(f"  {child.name()} {number}", f"{child.memory_info().rss / 2**20:.1f}",
                f"{_private(child) / 2**20:.1f}")
