"""A schedule of every second for a minute, its producer killed -9 twice: 60 triggers with 60 different nominal times."""

from __future__ import annotations

from tests.integration.producers import Producers, TriggerReader
from tests.integration.test_schedules import kill_twice, reader, system  # noqa: F401  fixtures


def test_sixty_seconds_give_sixty_triggers(system: Producers, reader: TriggerReader) -> None:  # noqa: F811
    kill_twice(system, reader, 60)
