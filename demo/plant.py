#!/usr/bin/env python3
"""A small simulated plant that pushes its values to Engenho over HTTP.

Two tanks that pumps fill when they run low, a machine that overheats now and then, and one pump whose vibration sensor
goes wrong once. The same seed gives the same values. Only Python's standard library is used: this is all that a source
of plant data has to do.

usage: plant.py --server URL --token-file FILE [--seed N] [--ticks N] [--interval SECONDS] [--report FILE]

With --ticks 0 it runs until the server has been away for ten seconds. The report says what was sent, as JSON.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import pathlib
import random
import sys
import time
import urllib.error
import urllib.request

CONNECTION = "plant"
GIVE_UP_SECONDS = 10


class Tank:
    """A level in percent; its pump starts below 25 and stops above 80."""

    def __init__(self, number: int, level: float, drain: float):
        self.number, self.level, self.drain, self.pumping = number, level, drain, False

    def tick(self, noise: random.Random) -> None:
        self.level += (6.0 if self.pumping else 0.0) - self.drain + noise.uniform(-0.3, 0.3)
        if self.level < 25:
            self.pumping = True
        elif self.level > 80:
            self.pumping = False


class Machine:
    """A temperature around 72 degrees that climbs above 100 in every heat, which comes each 15 to 25 ticks."""

    def __init__(self) -> None:
        self.temperature, self.heat, self.next_heat = 72.0, 0, 8

    def tick(self, noise: random.Random) -> None:
        self.next_heat -= 1
        if self.next_heat <= 0:
            self.heat, self.next_heat = 5, noise.randint(15, 25)
        target = 112.0 if self.heat > 0 else 72.0
        self.heat -= self.heat > 0
        self.temperature += (target - self.temperature) * 0.5 + noise.uniform(-0.8, 0.8)


class Plant:
    """All of it; `tick` gives the values that changed."""

    def __init__(self, seed: int):
        self.noise = random.Random(seed)
        self.tanks = [Tank(1, 60.0, 2.1), Tank(2, 35.0, 1.7)]
        self.machine = Machine()
        self.ticks = 0

    def tick(self) -> dict[str, object]:
        self.ticks += 1
        self.machine.tick(self.noise)
        values: dict[str, object] = {"MachineTemperature": round(self.machine.temperature, 2)}
        for tank in self.tanks:
            tank.tick(self.noise)
            values[f"Tank{tank.number}.Level"] = round(tank.level, 2)
            values[f"Pump{tank.number}.Running"] = tank.pumping
        # The sensor's one bad moment: 99.9 is no vibration.
        values["Pump1.Vibration"] = 99.9 if self.ticks == 20 else round(2 + self.noise.uniform(-0.5, 0.5), 2)
        return values


class Pusher:
    """POST /v1/events, each with the value before; tries again while the server is away for a moment."""

    def __init__(self, server: str, token: str):
        self.url, self.token = f"{server}/v1/events", token
        self.previous: dict[str, object] = {}
        self.sent: collections.Counter[str] = collections.Counter()

    def push(self, values: dict[str, object]) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        events = []
        for name, value in values.items():
            # A pump's state is an event only when it changes.
            if name.endswith(".Running") and self.previous.get(name) == value:
                continue
            event = {"connection": CONNECTION, "object": name, "value": value, "timestamp": now}
            if name in self.previous:
                event["previous"] = self.previous[name]
            events.append(event)
        self._post(json.dumps(events).encode())
        for event in events:
            name, value, previous = event["object"], event["value"], event.get("previous")
            self.sent[name] += 1
            self.sent["rises"] += name == "MachineTemperature" and previous is not None and value > 100 >= previous
            self.sent["nonsense"] += name == "Pump1.Vibration" and value > 50
            self.previous[name] = value

    def _post(self, body: bytes) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        until = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
                with urllib.request.urlopen(request, timeout=GIVE_UP_SECONDS) as answer:
                    answer.read()
                return
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() > until:
                    raise SystemExit(f"plant: refused: {error.read().decode(errors='replace')}") from None
            except OSError as error:
                if time.monotonic() > until:
                    raise SystemExit(f"plant: {self.url} is away: {error}") from None
            time.sleep(0.2)  # sleep_ok: the pause before another try


def main() -> None:
    parser = argparse.ArgumentParser(description="A small simulated plant that pushes its values to Engenho.")
    parser.add_argument("--server", required=True, help="http://HOST:PORT")
    parser.add_argument("--token-file", required=True, type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--ticks", type=int, default=100, help="how many; 0: without end")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds from tick to tick")
    parser.add_argument("--report", type=pathlib.Path, help="where to write what was sent")
    options = parser.parse_args()

    plant, pusher = Plant(options.seed), Pusher(options.server, options.token_file.read_text().strip())
    due = time.monotonic()
    while options.ticks == 0 or plant.ticks < options.ticks:
        pusher.push(plant.tick())
        due += options.interval
        time.sleep(max(0.0, due - time.monotonic()))  # sleep_ok: the plant's own clock
    if options.report:
        options.report.write_text(json.dumps(pusher.sent))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
