"""Seats, licences and usage at the command line: what an operator sees, asks, frees, installs and sends to the vendor."""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
import pathlib
import pty
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import Kafka
from tests.harness.process import BIN, wait_for
from tests.harness.proto import usage_pb2
from tests.harness.system import System
from tests.harness.topics import producer as kafka_producer
from tests.integration.fake_licensor import usage_record
from tests.integration.licensors import HELD, KEYS, REQUEST, Client
from tests.integration.test_cli import Cli
from tests.keys.sign import licence, sign

MONITOR = ["PROCESSOR", "MACHINE", "USER", "AGENT", "PRODUCTION", "LICENCE ID", "REQUESTED", "GRANTED", "SEAT", "STATE", "SINCE", "IDLE"]


@pytest.fixture(scope="module")
def cli(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    directory = tmp_path_factory.mktemp("licences")
    with System(directory / "system", kafka=kafka, prefix="licences.", licence="full-8.json", workers=0).start() as system:
        yield Cli(system, directory)


@pytest.fixture
def worker(cli: Cli) -> Iterator[Client]:
    """A processor without Kafka: its seats are what the test takes."""
    client = Client(cli.system.licensor_port)
    assert client.register("w1").HasField("registered")
    yield client
    client.ask(goodbye={"session": client.session})
    client.close()


def rows(cli: Cli, *words: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(cli.good("seats", "-o", "csv", *words))))


def test_no_seats_are_said_in_words(cli: Cli) -> None:
    lines = cli.good("seats", "--pool", "full").splitlines()
    assert [line.split()[0] for line in lines if line][:2] == ["POOL", "full"]
    assert lines[-1] == "no seat is in use, queued or waited for"
    assert rows(cli, "--pool", "full") == []
    assert cli.json("seats", "--pool", "full")["seats"] == []
    assert "there is no pool 'none'" in cli.refused("seats", "--pool", "none")


def test_seats_have_the_monitors_columns_and_states(cli: Cli, worker: Client) -> None:
    first = worker.acquire(HELD, "one", pools=["full"], user="ana").granted
    worker.acquire(HELD, "two", pools=["full"])
    chained = worker.acquire(HELD, "three", pools=["full", "productions"]).granted
    assert worker.acquire(HELD, "four", pools=["full"], wait=True).HasField("waiting")
    worker.release(worker.acquire(REQUEST).granted)
    found = rows(cli)
    assert list(found[0])[:12] == MONITOR
    by_production = {row["PRODUCTION"]: row for row in found}
    row = by_production["one"]
    assert (row["PROCESSOR"], row["MACHINE"], row["USER"], row["AGENT"], row["STATE"]) == ("w1", "here", "ana", "default", "in use")
    assert (row["LICENCE ID"], row["REQUESTED"], row["GRANTED"], row["SEAT"]) == (str(first.token), "full", "full", f"L{first.number}")
    assert row["SINCE"].startswith("20") and row["SINCE"].endswith("Z")
    row = by_production["three"]
    assert (row["STATE"], row["REQUESTED"], row["GRANTED"]) == ("escalated", "full", "productions") and chained.escalated
    row = by_production["four"]
    assert (row["STATE"], row["REQUESTED"], row["GRANTED"], row["SEAT"], row["LICENCE ID"]) == ("waiting", "full", "", "", "")
    queued = [r for r in found if r["GRANTED"] == "requests"]
    assert [r["STATE"].split()[0] for r in queued] == ["queued"] and queued[0]["SINCE"].startswith("20")
    assert {r["REQUESTED"] for r in rows(cli, "--pool", "full")} == {"full"}
    table = cli.good("seats")
    assert "in use" in table and "LICENCE ID" in table and table.splitlines()[0].startswith("POOL")


def test_thousands_of_seats_are_listed(cli: Cli, worker: Client) -> None:
    number = 0
    for i in range(1500):
        number = worker.send(acquire={"session": worker.session, "request": worker.next_request(), "kind": HELD,
                                      "production": f"production-with-a-long-name-{i:04}"})
    worker.answer(number)
    wait_for("all are granted", lambda: len(rows(cli, "--pool", "productions")) == 1500)
    assert len(cli.good("seats", "--pool", "productions").splitlines()) > 1500
    page = cli.system.get("/v1/seats", offset=1000, limit=10)
    assert (len(page["seats"]), page["seatsTotal"] >= 1500) == (10, True)


def test_a_request_is_explained(cli: Cli, worker: Client) -> None:
    granted = worker.acquire(HELD, "explained", pools=["full"]).granted
    text = cli.good("seats", "explain", granted.request)
    assert granted.request in text and f"L{granted.number} of pool full" in text
    assert cli.json("seats", "explain", granted.request)["text"] == text.strip()
    second = worker.acquire(HELD, "second", pools=["full"]).granted
    waiting = worker.acquire(HELD, "third", pools=["full"], wait=True).waiting
    text = cli.good("seats", "explain", waiting.request)
    assert "waits for pool full" in text
    assert f"; now held: L{granted.number} by w1 for explained since" in text and f", L{second.number} by w1 for second since" in text
    refused = worker.next_request()
    assert worker.acquire(HELD, "fourth", pools=["full"], request=refused).HasField("refused")
    text = cli.good("seats", "explain", refused)
    assert "was refused" in text and "pool full, 2 of 2 in use" in text and "by w1 for explained" in text
    assert "not known" in cli.refused("seats", "explain", "nobody:1")
    cli.refused("seats", "explain", code=2)


def ask_on_a_terminal(cli: Cli, reply: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    """The command with a terminal on its stdin, on which `reply` is typed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, reply.encode())
        return subprocess.run([BIN / "engenho", *map(str, words)], stdin=theirs, capture_output=True, timeout=60,
                              env=cli.environment, cwd=cli.directory, check=False)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_seat_is_freed_after_a_yes_and_the_log_says_who(cli: Cli, worker: Client) -> None:
    token = worker.acquire(HELD, "stuck", pools=["full"]).granted.token
    assert "give --yes" in cli.refused("seats", "release", token, code=2)
    done = ask_on_a_terminal(cli, "n\n", "seats", "release", token)
    assert done.returncode == 1 and b"held by w1 for production stuck" in done.stderr and b"nothing was freed" in done.stderr
    assert "stuck" in {row["PRODUCTION"] for row in rows(cli)}
    done = ask_on_a_terminal(cli, "y\n", "seats", "release", token)
    assert done.returncode == 0, done.stderr
    assert f"seat {token} is freed by {getpass.getuser()}" in done.stdout.decode()
    assert "stuck" not in {row["PRODUCTION"] for row in rows(cli)}
    assert "stale" in cli.refused("seats", "release", token, "--yes")
    assert "is not the token of a seat" in cli.refused("seats", "release", "L3", "--yes")
    for service in (cli.system.producer, cli.system.licensor):
        lines = [json.loads(line) for line in service.log.read_text().splitlines() if "operator" in line]
        assert any(line["who"] == getpass.getuser() and str(line["token"]) == str(token) for line in lines)


def test_a_licence_is_signed_verified_and_installed(cli: Cli, tmp_path: pathlib.Path) -> None:
    pools = {"archive": 3, "critical": {"seats": 4, "holder": "pool", "reserve": {"night": 1}}}
    more = {"customer": "Engenho tests", "edition": "full", "keys": 2, "valid_from": "2020-01-01", "valid_until": "2099-12-31", "pools": pools}
    (tmp_path / "more.json").write_text(json.dumps(more))
    file = tmp_path / "more.licence.json"
    key = ("--key", KEYS / "engenho-test-key.private.pem", "--key-name", "engenho-test")
    cli.good("licence", "sign", tmp_path / "more.json", *key, "--out", file)
    assert "File exists" in cli.refused("licence", "sign", tmp_path / "more.json", *key, "--out", file)
    assert cli.good("licence", "sign", "-", *key, stdin=json.dumps(more)) == file.read_text()
    verified = cli.json("licence", "verify", file)
    assert (verified["edition"], verified["keys"], verified["customer"], verified["pools"]) == ("full", 2, "Engenho tests", pools)
    before = cli.json("licence", "show")
    assert cli.good("licence", "install", file) == f"{file} is installed: edition full, {before['keys'] + 2} keys in all\n"
    assert cli.json("licence", "show")["keys"] == before["keys"] + 2


def test_wrong_licences_are_refused_in_one_sentence(cli: Cli, tmp_path: pathlib.Path) -> None:
    for name, word in (("expired", "expired at 2021-12-31"), ("altered", "altered"), ("enterprise-4", "upgrade needed"),
                       ("foreign", "for Somebody else")):
        assert word in cli.refused("licence", "install", KEYS / f"{name}.json")
    assert "expired at 2021-12-31" in cli.refused("licence", "verify", KEYS / "expired.json")
    assert "altered" in cli.refused("licence", "verify", KEYS / "altered.json")
    assert "for Somebody else" in cli.refused("licence", "verify", KEYS / "foreign.json", "--customer", "Engenho tests")
    other = "vendor:" + "A" * 43 + "="
    assert "does not trust" in cli.refused("licence", "verify", KEYS / "lite-1.json", "--public-key", other)
    assert "NAME:BASE64" in cli.refused("licence", "verify", KEYS / "lite-1.json", "--public-key", "vendor:short")
    files = {"large.json": (b"x" * 70000, "larger than 64 KiB"), "text.json": (b"{}", "not a licence file"), "list.json": (b"[]", "not a licence file"),
             "empty.json": (b"", "is empty"), "no.json": (b"edition: full", "line 1"), "bytes.json": (bytes(range(256)), "not a licence file")}
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    for command in ("install", "verify"):
        for name, (_, word) in files.items():
            assert word in cli.refused("licence", command, tmp_path / name), name
        assert "directory" in cli.refused("licence", command, tmp_path)
        assert "No such file" in cli.refused("licence", command, tmp_path / "none.json")
    assert "Ed25519" in cli.refused("licence", "sign", "-", "--key", KEYS / "lite-1.json", "--key-name", "x",
                                    stdin=json.dumps({"customer": "A", "edition": "lite", "keys": 1, "valid_from": "2020-01-01",
                                                      "valid_until": "2030-01-01"}))
    assert "chain" in cli.refused("licence", "sign", "-", "--key", KEYS / "engenho-test-key.private.pem", "--key-name", "x",
                                  stdin=json.dumps({"customer": "A", "edition": "lite", "keys": 1, "valid_from": "2020-01-01",
                                                    "valid_until": "2030-01-01", "chains": {"a": ["b", "b"]}}))
    assert "demo or licensed" in cli.refused("licence", "master", "broken", code=2)


def test_a_licence_that_makes_no_sense_is_not_signed(cli: Cli) -> None:
    good = {"customer": "A", "edition": "lite", "keys": 1, "valid_from": "2020-01-01", "valid_until": "2030-01-01"}
    sign_it = ("licence", "sign", "-", "--key", KEYS / "engenho-test-key.private.pem", "--key-name", "x")
    for wrong, word in (({"keys": -1}, "its keys must be a whole number from 0"), ({"keys": 10**12}, "its keys must be a whole number from 0"),
                        ({"pools": {"a": -1}}, "a number of seats"), ({"pools": {"a": 1e40}}, "a number of seats"),
                        ({"grace_days": -3}, "from 0 to 3650"), ({"valid_until": "2019-01-01"}, "ends (valid_until) before it begins"),
                        ({"pools": {"a": {"seats": 5, "reserve": {"x": 6}}}}, "reserves 6 seats of pool a, which has 5"),
                        ({"chains": {"a": ["b", "c", "b"]}}, "the chain a of the licence loops: pool b"), ({"x": 1}, "does not know")):
        assert word in cli.refused(*sign_it, stdin=json.dumps({**good, **wrong}))
    for text in ("", "x", "[]"):
        cli.refused(*sign_it, stdin=text)
    done = subprocess.run([BIN / "engenho", *map(str, sign_it)], input=json.dumps(good), stdout=open("/dev/full", "w"),
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "can't write the output: No space left on device" in done.stderr


def test_what_operators_did_is_told_the_newest_first(cli: Cli, worker: Client) -> None:
    token = worker.acquire(HELD, "audited", pools=["full"]).granted.token
    cli.good("seats", "release", token, "--yes")
    cli.refused("licence", "install", KEYS / "altered.json")
    cli.good("licence", "install", KEYS / "full-8.json")
    cli.good("licence", "master", "demo")
    cli.good("licence", "master", "licensed")
    entries = cli.json("seats", "audit", "--limit", "5")["entries"]
    assert [entry["what"] for entry in entries] == ["master", "master", "install licence", "install licence", "release"]
    assert {entry["who"] for entry in entries} == {getpass.getuser()}
    assert all(entry["at"].startswith("20") and entry["detail"] for entry in entries)
    assert [entry["at"] for entry in entries] == sorted((entry["at"] for entry in entries), reverse=True)
    assert "altered" in entries[3]["detail"] and "full" in entries[4]["detail"]
    table = cli.good("seats", "audit", "--limit", "1").splitlines()
    assert table[0].split() == ["TIME", "WHO", "WHAT", "DETAIL"] and len(table) == 2 and entries[0]["detail"] in table[1]
    assert len(list(csv.DictReader(io.StringIO(cli.good("seats", "audit", "-o", "csv"))))) >= 5
    for limit in ("0", "-1", "1001", "9" * 30, "all"):
        cli.refused("seats", "audit", "--limit", limit, code=2)


def test_a_seat_that_somebody_uses_is_not_idle(cli: Cli, worker: Client) -> None:
    held = worker.acquire(HELD, "busy", pools=["full"]).granted
    line = next(line for line in cli.good("seats").splitlines() if f" {held.token} " in line)
    assert line.split()[-1] == "-"
    assert next(row for row in rows(cli) if row["LICENCE ID"] == str(held.token))["IDLE"] == ""


def put(cli: Cli, *records: Any) -> None:
    out = kafka_producer(cli.system.kafka.servers)
    for record in records:
        out.produce(cli.system.prefix + "usage", key=record.pool, value=record.SerializeToString())
    assert out.flush(30) == 0


def test_usage_is_exported_in_order_and_once(cli: Cli) -> None:
    refusals = [usage_pb2.UsageRefusal(reason="pool_limit", count=2)]
    holders = [usage_pb2.UsageHolder(processor="w1", production="p", granted=3), usage_pb2.UsageHolder(granted=1)]
    records = [usage_record(minute, pool, granted=4, peak=minute % 3, refused=2, refusals=refusals, holders=holders, wait_us_sum=250_000)
               for minute in (0, 1, 1439, 1440) for pool in ("requests", "productions")]
    put(cli, *records, records[0], records[3])
    span = ("--from", "2026-01-01", "--until", "2026-01-03")
    table = list(csv.DictReader(io.StringIO(cli.good("usage", "export", *span))))
    assert [(row["from"], row["pool"]) for row in table] == [
        (at, pool) for at in ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T23:59:00Z", "2026-01-02T00:00:00Z")
        for pool in ("productions", "requests")]
    assert (table[0]["refusals"], table[0]["holders"], table[0]["wait_seconds"]) == ("pool_limit=2", "w1/p=3; others=1", "0.25")
    days = json.loads(cli.good("usage", "export", *span, "--by", "day", "--format", "json"))
    assert (days["customer"], days["edition"], days["by"]) == ("Engenho tests", "full", "day")
    assert [(row["from"], row["pool"], row["granted"], row["peak"]) for row in days["rows"]] == [
        ("2026-01-01T00:00:00Z", "productions", 12, 2), ("2026-01-01T00:00:00Z", "requests", 12, 2),
        ("2026-01-02T00:00:00Z", "productions", 4, 0), ("2026-01-02T00:00:00Z", "requests", 4, 0)]
    assert days["rows"][0]["holders"][0] == {"processor": "w1", "production": "p", "granted": 9}
    assert len(cli.good("usage", "export", *span, "--pool", "requests").splitlines()) == 5
    assert cli.good("usage", "export", "--from", "2025-01-01", "--until", "2025-01-02").count("\n") == 1
    assert "neither a time nor a duration" in cli.refused("usage", "export", "--from", "soon")
    assert "not after" in cli.refused("usage", "export", "--from", "2026-01-02", "--until", "2026-01-01")
    cli.refused("usage", "export", "--format", "xml", code=2)


def name_of(file: pathlib.Path) -> str:
    """Under which the licensor keeps it: by its signature."""
    signature = json.loads(file.read_text())["signature"]
    return f"licence-{signature.replace('/', '').replace('+', '')[:16]}.json"


def test_a_licence_directory_that_can_t_take_it_is_told_with_what_to_do(cli: Cli, tmp_path: pathlib.Path) -> None:
    """The last test: the licensor begins anew with a directory that it may only read."""
    file = tmp_path / "more.json"
    file.write_text(json.dumps(sign(licence("full", 1))))
    directory = cli.system.directory / "licences"
    (directory / f"{name_of(file)}.new").symlink_to("/dev/full")
    before = cli.json("licence", "show")["keys"]
    said = cli.refused("licence", "install", file)
    assert f"the disk of the licensor's licence directory {directory} is full" in said and "make room" in said
    licensor = cli.system.licensor
    licensor.stop()
    licensor.argv = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]), "sh", "-c",
                     'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"', str(directory), *licensor.argv]
    licensor.start()
    licensor.wait_until_ready()
    wait_for("the producer has found it", lambda: cli.call("licence", "show").returncode == 0)
    said = cli.refused("licence", "install", file)
    assert f"may not write its licence directory {directory} (Read-only file system)" in said and "copy the file there" in said
    assert cli.json("licence", "show")["keys"] == before
    assert not (directory / name_of(file)).exists()
