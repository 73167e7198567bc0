"""The temperature of a machine, five minutes apart: the real series where it is, else a seeded one of the same shape."""

from __future__ import annotations

import csv
import datetime
import pathlib
import random

from tests.harness.process import TEST_DATA

ROWS = 22_695
RISES = 239
TWICE = 12
_FIRST = datetime.datetime(2013, 12, 2, 21, 15)
_STEP = datetime.timedelta(minutes=5)
_BACK_AT = 10_000  # the row at which the clock goes back 55 minutes


def rises(values: list[float], limit: float = 100.0) -> int:
    """How often a value passes the limit from at or below it, in file order."""
    return sum(1 for before, value in zip(values, values[1:]) if before <= limit < value)


def _seeded_values() -> list[float]:
    """22,695 values around 86 that rise above 100 exactly 239 times."""
    stream = random.Random(22_695)
    values = [86.0 + stream.gauss(0, 3.5) for _ in range(ROWS)]
    values = [min(value, 99.5) for value in values]
    spacing = ROWS // (RISES + 1)
    for number in range(RISES):
        start = 20 + number * spacing
        for offset in range(stream.randint(1, 12)):
            values[start + offset] = 100.5 + stream.random() * 8
    return [round(value, 8) for value in values]


def _seeded(path: pathlib.Path) -> None:
    when = _FIRST
    with open(path, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["timestamp", "value"])
        for number, value in enumerate(_seeded_values()):
            if number == _BACK_AT:
                when -= _STEP * TWICE
            writer.writerow([when.strftime("%Y-%m-%d %H:%M:%S"), value])
            when += _STEP


def machine_temperature(directory: pathlib.Path) -> tuple[pathlib.Path, list[float]]:
    """The CSV file (columns timestamp, value) and its values in file order; a seeded one is written into `directory`."""
    path = TEST_DATA / "machine_temperature.csv"
    if not path.exists():
        path = directory / "machine_temperature.csv"
        _seeded(path)
    with open(path, newline="") as file:
        values = [float(row["value"]) for row in csv.DictReader(file)]
    assert len(values) == ROWS and rises(values) == RISES, f"{path}: {len(values)} rows, {rises(values)} rises"
    return path, values
