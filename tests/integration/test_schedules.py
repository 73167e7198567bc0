"""Schedules of real producers on a real broker: what is due is published once, under kills, stops and changes."""

from __future__ import annotations

import datetime as dt
import pathlib
import random
import time
from collections.abc import Iterator

import pytest

from tests.harness.kafka import Kafka
from tests.harness.process import wait_for
from tests.harness.proto import trigger_pb2
from tests.integration.producers import Producers, TriggerReader, production

SECOND = 1_000_000


@pytest.fixture
def system(kafka: Kafka, tmp_path: pathlib.Path) -> Iterator[Producers]:
    with Producers(tmp_path, kafka, f"{tmp_path.name}.".replace("_", "-")) as system:
        system.start()
        system.wait_owned()
        system.package()
        yield system


@pytest.fixture
def reader(system: Producers) -> Iterator[TriggerReader]:
    reader = TriggerReader(system)
    yield reader
    reader.close()


def nominal_times(triggers: list) -> list[int]:
    return [trigger.nominal_us for trigger in triggers]


def instant(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).isoformat()


def test_a_trigger_says_which_run_it_is(system: Producers, reader: TriggerReader) -> None:
    system.apply(production("tick", "{cron: '* * * * * *'}"))
    trigger = wait_for("a trigger", lambda: reader.of("tick"))[0]
    assert trigger.kind == trigger_pb2.TRIGGER_KIND_SCHEDULE
    assert trigger.nominal_us % SECOND == 0
    assert 0 <= trigger.actual_us - trigger.nominal_us < 2 * SECOND
    assert trigger.attempt == 1
    assert trigger.package_version == 1
    assert trigger.generation > 0
    listed = system.get("/v1/schedules")["schedules"]
    assert [entry["state"] for entry in listed] == ["active"]
    assert len(listed[0]["next"]) > 0


def test_dates_fire_once_each_and_first_and_last_bound_an_interval(system: Producers, reader: TriggerReader) -> None:
    now = int(time.time())
    dates = ", ".join(f"'{instant(now + offset)}'" for offset in (4, 6, 4, -100))
    system.apply(production("dates", f"{{dates: [{dates}]}}"))
    system.apply(production("bounded", f"{{every: 1s, first: '{instant(now + 4)}', last: '{instant(now + 7)}'}}"))
    wait_for("the end of both", lambda: len(reader.of("dates")) == 2 and len(reader.of("bounded")) == 4)
    assert nominal_times(reader.of("dates")) == [(now + 4) * SECOND, (now + 6) * SECOND]
    assert nominal_times(reader.of("bounded")) == [(now + offset) * SECOND for offset in (4, 5, 6, 7)]


def test_a_stopped_production_fires_nothing_and_catches_nothing_up(system: Producers, reader: TriggerReader) -> None:
    text = production("tick", "{every: 1s, misfire: {policy: all, max: 60, within: 5m}}")
    system.apply(text)
    wait_for("triggers", lambda: len(reader.of("tick")) >= 2)
    system.apply(text.replace("started: true", "started: false"))
    count = len(reader.poll(3))
    assert len(reader.poll(2)) == count
    restarted = time.time()
    system.apply(text)
    wait_for("triggers again", lambda: len(reader.of("tick")) >= count + 2)
    assert nominal_times(reader.of("tick"))[count] >= (restarted - 1) * SECOND


def kill_twice(system: Producers, reader: TriggerReader, seconds: int) -> None:
    """A schedule of every second for `seconds`, its producer killed -9 twice at random moments: every time comes once."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chooser = random.Random(seed)
    first = int(time.time()) + 5
    last = first + seconds - 1
    system.apply(production(
        "tick",
        f"{{every: 1s, first: '{instant(first)}', last: '{instant(last)}', misfire: {{policy: all, max: 60, within: 5m}}}}",
    ))
    producer = system.replicas[0]
    for part in (1, 2):
        # In the first and then after the second third, so that a longer run kills an owner both times.
        moment = first + seconds * (0.6 * (part - 1) + 0.3 * chooser.random())
        wait_for("the moment of the kill", lambda m=moment: time.time() >= m, seconds, every=0.001)
        producer.kill()
        assert first <= time.time() <= last, "the kill was not inside the schedule"
        producer.start()
    wait_for("every time", lambda: len(reader.of("tick")) >= seconds, 90)
    reader.poll(2)
    assert sorted(nominal_times(reader.of("tick"))) == [(first + offset) * SECOND for offset in range(seconds)]


def test_no_time_is_lost_or_doubled_when_the_producer_is_killed_twice(system: Producers, reader: TriggerReader) -> None:
    kill_twice(system, reader, 15)


def test_a_schedule_that_can_not_run_is_refused_with_a_sentence(system: Producers) -> None:
    for schedule, part in (
        ("{cron: '61 * * * *'}", "'61' is not right for minutes"),
        ("{cron: '* * * * *', timeZone: Mars/Olympus}", "Mars/Olympus"),
        ("{cron: '0 0 31 2 *'}", "never comes"),
    ):
        answer = system.call("POST", "/v1/apply", data=production("bad", schedule),
                             headers={"Content-Type": "application/yaml"})
        assert answer.status_code == 400 or answer.status_code == 422, answer.text
        assert part in answer.text
