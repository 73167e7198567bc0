"""Seats are linearizable: eight clients, two licensors, kills of licensors, of Redis and of connections.

Each history is checked by engenho-histories (tests/linearizability/checker), which knows the rules of seats and nothing of
the licensor: is there an order of all operations that explains every answer? `make licensor-proof` runs the full size.
"""

from __future__ import annotations

import copy
import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from tests.harness.process import DEPS
from tests.linearizability.history import STOPPED_RETURNS, STOPS, kills_min, make

FULL = os.environ.get("ENGENHO_PROOF") == "full"
HISTORIES = 50 if FULL else 3
OPERATIONS = 5000 if FULL else 1000

SETUP = {"caps": {"full": 1, "requests": 2}, "productions": 3, "life_ms": 30_000, "now_ms": 1000}


def _verdict(file: pathlib.Path) -> dict[str, Any]:
    done = subprocess.run([DEPS / "bin/engenho-histories", file], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("seed", range(1, HISTORIES + 1))
def test_a_history_with_kills_has_an_order(tmp_path: pathlib.Path, seed: int) -> None:
    for attempt in range(3):  # a history whose search takes too long shows nothing: another is made in its place
        folder = tmp_path / str(attempt)
        folder.mkdir()
        file, kills = make(folder, seed + 1000 * attempt, OPERATIONS)
        verdict = _verdict(file)
        print(json.dumps({"seed": seed + 1000 * attempt, **kills, **verdict}))
        if verdict["verdict"] != "undecided":
            break
    assert verdict["verdict"] == "ok", verdict["why"]
    assert verdict["operations"] >= OPERATIONS
    assert verdict["refused"] >= 0.1 * verdict["operations"], "a history without refusals shows little"
    assert verdict["reused"] >= 0.1 * verdict["operations"], "a history without re-use shows little"
    assert min(kills.values()) >= kills_min(OPERATIONS), "each kind of kill happened"


@pytest.mark.parametrize("seed", range(1, 11 if FULL else 2))
def test_what_stopped_licensors_read_late_frees_no_seat_of_a_session_that_went_on(tmp_path: pathlib.Path, seed: int) -> None:
    """Asserted by the clients, at each release. So many requests were sent twice that a search for their order may find no end."""
    file, stops = make(tmp_path, seed, OPERATIONS // 2, STOPS)
    rows = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert stops["stopped"] >= 1
    assert sum(row["op"] == "resume" for row in rows) >= STOPPED_RETURNS, "clients went to the other licensor"
    last = [row["out"] for row in rows if row["op"] == "pool"][-3:]
    assert [(pool["in_use"], pool["in_line"]) for pool in last] == [(0, 0)] * 3


def _acquire(at: int, client: int, request: str, **out: Any) -> dict[str, Any]:
    pools = [out.pop("asked", "requests")]
    wait = out.pop("wait", False)
    answer = {"word": "granted", "pool": pools[0], "life": 30_000, "highest_op": out.get("token", 0), **out}
    return {"client": client, "from": at, "to": at + 8, "op": "acquire", "session": f"s{client}", "request": request,
            "pools": pools, "wait": wait, "out": answer}


def _release(at: int, client: int, request: str, token: int, **out: Any) -> dict[str, Any]:
    return {"client": client, "from": at, "to": at + 8, "op": "release", "session": f"s{client}", "request": request,
            "token": token, "out": {"word": "released", "queued": True, **out}}


def _move(at: int, now: int) -> dict[str, Any]:
    return {"client": 9, "from": at, "to": at + 1, "op": "move", "now": now, "out": {"word": "moved"}}


# Two seats are taken, one request is refused and one waits; a seat is freed, handed over, freed again, re-used with life
# left, and gone when its life is over.
GOOD = [
    _acquire(10, 0, "a", token=1, number=1),
    _acquire(12, 1, "b", token=2, number=2),
    _acquire(30, 0, "c", word="refused", reason="pool_limit", highest_op=3),
    _acquire(40, 1, "d", word="waiting", ahead=0, wait=True, highest_op=4),
    _move(50, 3000),
    _release(60, 0, "a", 1, life=28_000, highest_op=5),
    {"client": 1, "from": 61, "to": 70, "op": "handed", "session": "s1", "request": "d",
     "out": {"word": "granted", "pool": "requests", "token": 6, "number": 1, "reused": True, "life": 28_000}},
    _release(80, 1, "d", 6, life=28_000, highest_op=7),
    _acquire(90, 0, "e", token=8, number=1, reused=True, life=28_000),
    _release(100, 0, "e", 8, life=28_000, highest_op=9),
    _move(110, 31_000),
    _acquire(120, 0, "f", token=10, number=3),
    {"client": 0, "from": 130, "to": 138, "op": "pool", "session": "s0", "pools": ["requests"],
     "out": {"word": "pool", "in_use": 2, "highest_op": 10}},
]

FAULTS: dict[str, tuple[int, dict[str, Any]]] = {
    "a seat granted twice": (8, {"number": 2}),
    "a grant past the cap": (2, {"word": "granted", "token": 3, "number": 3, "pool": "requests", "life": 30_000}),
    "a refusal with a free seat": (8, {"word": "refused", "reason": "pool_limit"}),
    "a fresh seat while one is queued": (8, {"number": 3, "reused": False, "life": 30_000}),
    "a dead seat re-used": (11, {"number": 1, "reused": True, "life": 0}),
    "a life that was renewed": (8, {"life": 30_000}),
    "a freed seat that is not queued": (5, {"queued": False, "life": 0}),
    "a number that goes back": (11, {"token": 5, "highest_op": 5}),
    "a number that was there before": (11, {"token": 9, "highest_op": 9}),
    "somebody overtakes the line": (6, {"token": 9}),
    "a count that is wrong": (12, {"in_use": 1}),
}


def _write(file: pathlib.Path, operations: list[dict[str, Any]]) -> pathlib.Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in [SETUP, *operations]))
    return file


def test_the_checker_accepts_what_the_rules_allow(tmp_path: pathlib.Path) -> None:
    assert _verdict(_write(tmp_path / "good", GOOD))["verdict"] == "ok"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checker_finds(tmp_path: pathlib.Path, fault: str) -> None:
    at, out = FAULTS[fault]
    bad = copy.deepcopy(GOOD)
    bad[at]["out"].update(out)
    verdict = _verdict(_write(tmp_path / "bad", bad))
    assert verdict["verdict"] == "violation" and verdict["why"], verdict
