"""Rules broken on purpose, one at a time, in the functions that Redis runs: each must be told apart from the model.

usage: python -m tests.sim.licensor.mutations [--operations N]

Prints a row for each: what was broken, and the operation of the simulation that showed it. Exit code 1 when one was not seen.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from tests.harness.process import BIN, TOP
from tests.harness.redis import Redis
from tests.integration.licensors import Clock

FUNCTIONS = TOP / "licensor/store/functions"
SIMULATION = BIN.parent / "tests/sim_licensor_redis"
SEEDS = (1, 2, 3)


@dataclass
class Mutation:
    """`before` stands in the library, and `after` in its place breaks the rule."""

    rule: str
    before: str
    after: str


MUTATIONS = [
    Mutation("the queue is a list: the seat that was freed first, not the one that dies first",
             "life_end > lives[up] or (life_end == lives[up] and number > freed[up])", "true"),
    Mutation("EXISTS instead of PTTL and the score: a seat lives on in the millisecond of its end",
             "call('ZCOUNT', T .. 'q', '-inf', c.now)", "call('ZCOUNT', T .. 'q', '-inf', '(' .. c.now)"),
    Mutation("sessions are reaped before their deadlines follow the clock",
             "local latest = follow_clock(c, tonumber(args[1]), args[2], tonumber(args[3]), tonumber(args[4]))",
             "load(c, {}) all_pools(c) reap(c) finish(c) c = begin(keys)\n"
             "local latest = follow_clock(c, tonumber(args[1]), args[2], tonumber(args[3]), tonumber(args[4]))"),
    Mutation("an absence of five seconds is none, however short the lease is", "min(AWAY_MS, max(AWAY_MS_LEAST, floor(lease_ms / 3)))", "AWAY_MS"),
    Mutation("no recovery: lost writes are not noticed", "    if gap <= 0 then", "    if true then"),
    Mutation("no idempotency: an answered request is a new one", "return memo and c.now <= memo[M_DIES] and memo or nil", "return nil"),
    Mutation("no purge: the dead of the queue are counted as consumed",
             "used = used - dead, used_was = used", "used = used, used_was = used"),
    Mutation("the cap is asked before the queue", "p.used - p.queued >= p.cap", "p.used >= p.cap"),
    Mutation("seats of a dead session are queued", "end_seat(c, m, request, t, false)", "end_seat(c, m, request, t, true)"),
    Mutation("an L-number is given again", "p.used, p.seq = p.used + 1, p.seq + 1", "p.used, p.seq = p.used + 1, max(p.seq, 1)"),
    Mutation("who comes overtakes the line", "if not p or p.line > 0 or", "if not p or"),
    Mutation("the line is served from behind", "local n = 1\n    while p.used - p.queued < p.cap do",
             "local n = max(p.line, 1)\n    while p.used - p.queued < p.cap do"),
    Mutation("the edition's cap is not asked", "(hold ~= '' and (f[hold] ~= false or m.prod >= c.productions))",
             "(hold ~= '' and f[hold] ~= false)"),
    Mutation("a seat has two holders: what the holder has is not waived", "local base = field(m, 'h ' .. production)\n        if base then\n            return waive",
             "local base = false\n        if base then\n            return waive"),
    Mutation("who waits beside a request that gets its seat goes on waiting", "    if not field(m, 'q ' .. production) then", "    if true then"),
    Mutation("a registration that comes late takes the name over", "    return sequence > 0 and (began < its", "    return false and (began < its"),
    Mutation("a heartbeat of the connection before takes the session back", "if sequence > 0 and sequence < its then", "if false then"),
    Mutation("any token releases", "if its ~= token or ended", "if ended"),
    Mutation("others take reserved seats", "    return free > kept\n", "    return free > 0\n"),
    Mutation("use renews the life of a seat", "            return number, life_end, 1\n", "            return number, c.now + reuse_ms, 1\n"),
    Mutation("a production that shares a seat does not count", "        put(m, 'h ' .. production, base)\n        m.prod = m.prod + 1",
             "        put(m, 'h ' .. production, base)"),
    Mutation("who gave up waiting is a new request when it comes late",
             "        remember(c, request, pack(m.id, c.now + c.memo_ms, 'stale', c.now, first, first, 0, 0))\n", ""),
    Mutation("who gave up waiting and says so again is told that it had no place", "    elseif word == 'stale' then", "    elseif false then"),
    Mutation("what was worked out ahead is written although others wrote since",
             "is_same and (value or '') == expected[i]", "is_same and (i == 1 or (value or '') == expected[i])"),
    Mutation("... although others counted", "is_same and (value or '') == expected[i]",
             "is_same and (i > 1 and i % 2 == 1 or (value or '') == expected[i])"),
    Mutation("what was on its way behind a batch that was worked out again is written", "        call('HINCRBY', keys[1] .. ':clock', 'again', 1)\n", ""),
    Mutation("a packed session that changes stays packed, too", "    drop(m, 'is packed')\n", ""),
    Mutation("of a packed session only what changes is written as fields", "        m.dirty[name] = true\n    end\n    put(m, 'is prod'", "    end\n    put(m, 'is prod'"),
    Mutation("lives of packed seats do not go with the clock", "        seats[i] = change_seat(c, decode(seats[i], 1), change)\n", ""),
    Mutation("the log of answers is not read", "        memo = logged_memo(c, request)\n", ""),
    Mutation("an answer that is forgotten hides the one that the request got since", "    if not memo or c.now > memo[M_DIES] then", "    if not memo then"),
    Mutation("usage is forgotten before it is acknowledged", "'-inf', s[LAST] - MINUTES_KEPT", "'-inf', s[LAST] - 1"),
]


# Other sizes of what is read at once, which break nothing.
CONTROLS = [("local CHUNK = 64 ", "local CHUNK = 3 "), ("local LOG_CHUNK = 16384 ", "local LOG_CHUNK = 300 ")]


def simulate(directory: pathlib.Path, library: str, seed: int, operations: int) -> str:
    """What the simulation says when the functions differ from the model; empty when they agree."""
    directory.mkdir()
    clock = Clock(directory / "clock")
    redis = Redis(directory / "redis", "--appendonly", "no", environment=clock.environment).start()
    try:
        (directory / "library.lua").write_text(library)
        done = subprocess.run([SIMULATION, redis.url, clock.file, str(seed), str(operations), directory / "library.lua"],
                              env={**os.environ, **clock.environment}, capture_output=True, text=True, check=False, timeout=600)
    finally:
        redis.kill()
    assert "redis answered" not in done.stdout, f"the broken functions do not run, so they show nothing: {done.stdout}"
    assert done.returncode in (0, 1), done.stderr
    if done.returncode == 0:
        return ""
    found = re.search(r"operation \d+, verb \d+: .*", done.stdout)
    last = re.search(r"(\d+) operations, FAILED", done.stdout)
    return found[0] if found else f"the stores differ within {last[1]} operations" if last else done.stdout


def caught(mutation: Mutation, operations: int) -> str:
    """How it was seen, with the seed; empty when it was not."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(FUNCTIONS.glob("*.lua")))
    assert text.count(mutation.before) >= 1, f"the library has no such place any more: {mutation.before}"
    with tempfile.TemporaryDirectory(prefix="engenho-mutation-") as directory:
        for seed in SEEDS:
            seen = simulate(pathlib.Path(directory) / str(seed), text.replace(mutation.before, mutation.after), seed, operations)
            if seen:
                return f"seed {seed}: {seen}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.licensor.mutations", description=__doc__)
    parser.add_argument("--operations", type=int, default=20_000, help="of each of the three seeds, at most")
    options = parser.parse_args()
    for before, after in CONTROLS:
        control = caught(Mutation("nothing", before, after), options.operations)
        assert not control, f"functions that are not broken differ: {control}"
    missed = 0
    for mutation in MUTATIONS:
        seen = caught(mutation, options.operations)
        print(f"| {mutation.rule} | {seen or 'NOT SEEN'} |", flush=True)
        missed += not seen
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
