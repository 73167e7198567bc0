"""Cron's times at every transition of many zones, and all zones' offsets, against Python's zoneinfo and a slow, plain reading of the rule."""

from __future__ import annotations

import datetime as dt
import subprocess
import zoneinfo
from collections.abc import Iterable

import pytest

from tests.harness.process import BIN

PROGRAM = BIN.parent / "tests/cron_times"
UTC = dt.timezone.utc
DAY = 86400
FROM, UNTIL = (int(dt.datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2000, 2037))

ZONES = """
America/Sao_Paulo America/New_York America/St_Johns America/Santiago America/Asuncion America/Havana America/Nuuk America/Scoresbysund
America/Caracas America/Phoenix America/Port-au-Prince America/Godthab America/Campo_Grande America/Cuiaba America/Noronha America/Manaus
Africa/Casablanca Africa/Cairo Africa/El_Aaiun Africa/Windhoek Africa/Juba Africa/Sao_Tome Africa/Tunis
Antarctica/Troll Antarctica/Casey Antarctica/Macquarie
Asia/Tehran Asia/Gaza Asia/Hebron Asia/Amman Asia/Beirut Asia/Damascus Asia/Jerusalem Asia/Kathmandu Asia/Kolkata Asia/Pyongyang
Asia/Dhaka Asia/Karachi Asia/Hovd Asia/Ulaanbaatar Asia/Vladivostok Asia/Novosibirsk Asia/Tokyo
Atlantic/Azores Atlantic/Stanley Australia/Lord_Howe Australia/Sydney Australia/Eucla Australia/Perth
Europe/London Europe/Dublin Europe/Lisbon Europe/Berlin Europe/Istanbul Europe/Moscow Europe/Volgograd Europe/Chisinau Europe/Athens
Indian/Mauritius Pacific/Apia Pacific/Auckland Pacific/Chatham Pacific/Fiji Pacific/Easter Pacific/Norfolk Pacific/Tongatapu Pacific/Kwajalein
""".split()

# Fields, whether the hour is fixed, and what the fields mean for a local time.
CRONS = [
    ("30 2 * * *", True, lambda t: (t.hour, t.minute) == (2, 30)),
    ("0,30 0-3 * * *", True, lambda t: t.hour <= 3 and t.minute in (0, 30)),
    ("5 0,1,2,3 * * *", True, lambda t: t.hour <= 3 and t.minute == 5),
    ("0 23 * * SUN", True, lambda t: t.isoweekday() == 7 and (t.hour, t.minute) == (23, 0)),
    ("15 12 L * *", True, lambda t: (t + dt.timedelta(1)).day == 1 and (t.hour, t.minute) == (12, 15)),
    ("*/15 * * * *", False, lambda t: t.minute % 15 == 0),
    ("10 */2 * * *", False, lambda t: t.hour % 2 == 0 and t.minute == 10),
    ("0 0-23/3 * * 1-5", False, lambda t: t.isoweekday() <= 5 and t.hour % 3 == 0 and t.minute == 0),
]


def ask(lines: Iterable[str]) -> list[str]:
    done = subprocess.run([str(PROGRAM)], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    answers = done.stdout.splitlines()
    assert not [line for line in answers if line.startswith("error")], answers[:3]
    return answers


def transitions(name: str) -> list[int]:
    """Instants at which zoneinfo's offset changes, found by looking at each 12 hours and halving."""
    zone = zoneinfo.ZoneInfo(name)

    def offset(at: int) -> float:
        return dt.datetime.fromtimestamp(at, zone).utcoffset().total_seconds()

    found = []
    before = offset(FROM)
    for at in range(FROM, UNTIL, DAY // 2):
        now = offset(at)
        if now != before:
            low, high = at - DAY // 2, at
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if offset(middle) != before else (middle, high)
            found.append(high)
            before = now
    return found


def expected(locals_: list[tuple[int, dt.datetime]], fixed: bool, meant, start: int, step: dt.timedelta) -> list[int]:
    """The rule, read step by step over (instant, local time) pairs."""
    times = []
    reached = locals_[0][1]
    for at, local in locals_[1:]:
        if not fixed:
            fires = meant(local)
        else:
            fires = False
            while reached < local:
                reached += step
                fires = fires or meant(reached)
        if fires and at >= start:
            times.append(at)
    return times


@pytest.mark.parametrize("name", ZONES)
def test_times_around_every_transition_are_those_of_the_rule(name: str) -> None:
    zone = zoneinfo.ZoneInfo(name)
    changes = transitions(name)
    step = 60 if any(at % 300 for at in changes) else 300  # St. John's changed its clocks at a minute past midnight
    windows = [(at - at % step - DAY, at + DAY) for at in changes]
    windows.append((FROM, FROM + 3 * DAY))
    lines, wanted = [], []
    for start, end in windows:
        instants = range(start - 4 * 3600, end, step)  # no clock was set back by more since 2000
        locals_ = [(at, dt.datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)) for at in instants]
        for fields, fixed, meant in CRONS:
            lines.append(f"cron\t{name}\t{fields}\t{start}\t{end}")
            wanted.append(expected(locals_, fixed, meant, start, dt.timedelta(seconds=step)))
    for line, answer, want in zip(lines, ask(lines), wanted, strict=True):
        assert [int(word) for word in answer.split()] == want, line


def test_offsets_of_all_zones_are_those_of_zoneinfo() -> None:
    names = sorted(name for name in zoneinfo.available_timezones() if name not in ("Factory", "localtime"))
    assert len(names) > 400
    answers = ask(f"spans\t{name}\t{FROM}\t{UNTIL}" for name in names)
    for name, answer in zip(names, answers, strict=True):
        zone = zoneinfo.ZoneInfo(name)
        spans = [tuple(map(int, word.split(":"))) for word in answer.split()]
        for (start, offset), (end, _) in zip(spans, spans[1:] + [(UNTIL, 0)], strict=True):
            for at in (start, end - 1, *range(start, end, 7 * DAY)):
                assert dt.datetime.fromtimestamp(at, zone).utcoffset().total_seconds() == offset, (name, at)
