"""Usage records on their way from the licensor to the topic: each once, whoever is killed; and read again over the API."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.kafka import Kafka
from tests.harness.process import wait_for
from tests.harness.proto import licensor_pb2, usage_pb2
from tests.harness.redis import Redis
from tests.harness.topics import read_to_end
from tests.integration.api import Api
from tests.integration.fake_licensor import FakeLicensor, usage_record
from tests.integration.licensors import HELD, Clock, advance, connect
from tests.integration.licensors import licensor as real_licensor


@pytest.fixture
def licensor() -> Iterator[FakeLicensor]:
    fake = FakeLicensor()
    yield fake
    fake.close()


def producer(kafka: Kafka, directory: pathlib.Path, licensor: FakeLicensor, **more: str) -> Api:
    return Api(kafka, directory, "--licensor", licensor.address, "--usage-interval", "200ms", **more)


def stored(api: Api) -> list[Any]:
    """What is committed on the topic, with the key that each record has."""
    records = []
    for message in read_to_end(api.kafka.servers, api.prefix + "usage"):
        record = usage_pb2.UsageRecord.FromString(message.value())
        assert message.key() == record.pool.encode()
        records.append(record)
    return records


def test_records_reach_the_topic_and_are_forgotten_by_the_licensor(kafka: Kafka, tmp_path: pathlib.Path, licensor: FakeLicensor) -> None:
    holders = [usage_pb2.UsageHolder(processor="w1", production="p", granted=2), usage_pb2.UsageHolder(granted=1)]
    made = [usage_record(minute, pool, refused=minute, holders=holders) for minute in range(600) for pool in ("productions", "requests")]
    licensor.add(*made)
    with producer(kafka, tmp_path, licensor) as api:
        wait_for("all are acknowledged", lambda: not licensor.waiting)
        assert sorted(stored(api), key=lambda r: (r.from_us, r.pool)) == made
        assert api.service.metric("engenho_usage_records_total") == len(made)
        assert api.service.metric("engenho_usage_seats_granted_total", license="requests", processor="w1", production="p") == 1200
        assert api.service.metric("engenho_usage_seats_granted_total", processor="others") == 1200


def kill_at(api: Api, licensor: FakeLicensor, kind: str, number: int) -> None:
    """Kill the producer when it asks this for the n-th time: before the licensor does it."""
    seen = 0

    def before(message: Any) -> None:
        nonlocal seen
        if message.WhichOneof("body") == kind:
            seen += 1
            if seen == number:
                api.service.kill()
                raise EOFError

    licensor.before = before


@pytest.mark.parametrize(("kind", "number"), [("acknowledge_usage", 2), ("fetch_usage", 2)])
def test_nothing_is_lost_or_doubled_when_the_producer_is_killed(
        kafka: Kafka, tmp_path: pathlib.Path, licensor: FakeLicensor, kind: str, number: int) -> None:
    api = producer(kafka, tmp_path, licensor)
    kill_at(api, licensor, kind, number)
    made = [usage_record(minute) for minute in range(1200)]  # more than are fetched at once
    licensor.add(*made)
    api.service.start()
    wait_for("the kill", lambda: api.service.popen and api.service.popen.poll() is not None, 60)
    assert licensor.waiting, "it was killed after the end"
    licensor.add(usage_record(1200))
    with api:
        wait_for("all are acknowledged", lambda: not licensor.waiting, 60)
        assert [record.id for record in stored(api)] == [record.id for record in [*made, usage_record(1200)]]


def test_a_licensor_that_refuses_is_asked_again_and_the_log_says_so_once(kafka: Kafka, tmp_path: pathlib.Path, licensor: FakeLicensor) -> None:
    licensor.refuse["fetch_usage"] = licensor_pb2.Refused(reason=7, text="no seats can be granted now: redis is away")
    licensor.add(usage_record(0))
    with producer(kafka, tmp_path, licensor) as api:
        wait_for("it asks again", lambda: licensor.count("fetch_usage") > 2)
        assert api.service.metric("engenho_usage_errors_total") > 1
        assert api.service.log.read_text().count("redis is away") == 1
        licensor.refuse.clear()
        wait_for("it is fetched", lambda: not licensor.waiting)
        assert len(stored(api)) == 1


def test_records_are_read_in_pages_by_time_and_pool(kafka: Kafka, tmp_path: pathlib.Path, licensor: FakeLicensor) -> None:
    licensor.add(*[usage_record(minute, pool) for minute in range(10) for pool in ("productions", "requests")])
    licensor.add(usage_record(10, refusals=[usage_pb2.UsageRefusal(reason="pool_limit", count=3)], wait_us_sum=1_500_000,
                              holders=[usage_pb2.UsageHolder(processor="w1", production="p", granted=2)]))
    with producer(kafka, tmp_path, licensor) as api:
        wait_for("all are acknowledged", lambda: not licensor.waiting)
        ids, after = [], None
        while True:
            page = api.good("GET", "/v1/usage", params={"limit": 3, "after": after} if after else {"limit": 3})
            if not page["records"]:
                break
            assert len(page["records"]) <= 3
            ids += [record["id"] for record in page["records"]]
            after = page["next"]
        assert len(ids) == len(set(ids)) == 21
        assert len(api.good("GET", "/v1/usage", params={"pool": "requests"})["records"]) == 10
        some = api.good("GET", "/v1/usage", params={"from": "2026-01-01T00:02:00Z", "until": "2026-01-01T00:04:00Z"})["records"]
        assert sorted({record["from"] for record in some}) == ["2026-01-01T00:02:00Z", "2026-01-01T00:03:00Z"]
        last = api.good("GET", "/v1/usage", params={"from": "2026-01-01T00:10:00Z"})["records"]
        assert [(r["waitSeconds"], r["refusals"], r["holders"]) for r in last] == [
            (1.5, [{"reason": "pool_limit", "count": 3}], [{"processor": "w1", "production": "p", "granted": 2}])]


def test_the_masters_state_is_remembered_and_told_again(kafka: Kafka, tmp_path: pathlib.Path, licensor: FakeLicensor) -> None:
    api = producer(kafka, tmp_path, licensor)
    with api:
        assert licensor.count("set_master") == 0
        assert api.good("PUT", "/v1/licence/master", json={"state": "demo"}) == {"state": "demo"}
        wait_for("it is told again", lambda: licensor.count("set_master") > 2)
        assert all(message.set_master.demo for message in licensor.asked if message.HasField("set_master"))
        api.service.stop()
    licensor.asked.clear()
    with api:
        wait_for("the next producer tells it", lambda: licensor.count("set_master") > 0)
        with producer(kafka, tmp_path, licensor, prefix=api.prefix, name="other") as other:
            wait_for("a replica takes it, whoever owns the shard",
                     lambda: other.call("PUT", "/v1/licence/master", json={"state": "licensed"}).ok, 60)
            assert "who" in api.service.log.read_text() + other.service.log.read_text()
        wait_for("the licensor hears it", lambda: not [m for m in licensor.asked if m.HasField("set_master")][-1].set_master.demo)
        licensor.refuse["set_master"] = licensor_pb2.Refused(reason=7, text="redis is away")
        wait_for("the refusal is said", lambda: "redis is away" in api.call("PUT", "/v1/licence/master", json={"state": "demo"}).text, 60)


def test_the_minutes_of_a_real_licensor_are_stored_and_forgotten(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    clock = Clock(tmp_path / "clock")
    redis = Redis(tmp_path / "redis", environment=clock.environment).start()
    service = real_licensor(tmp_path, redis.url, licences=("full-8.json",), clock=clock).start()
    client = connect(service)
    client.register("w1")
    for production in ("one", "two"):
        client.acquire(HELD, production, pools=["full"])
    assert client.acquire(HELD, "three", pools=["full"]).HasField("refused")
    advance(clock, redis, service, 61, client)
    licences = Api(kafka, tmp_path, "--licensor", f"127.0.0.1:{service.ready['listen'].rpartition(':')[2]}", "--usage-interval", "200ms")
    with licences as api:
        first = wait_for("the minute", lambda: [r for r in stored(api) if r.pool == "full"])[0]
        assert first.id == f"{first.from_us // 60_000_000}:full" and first.until_us - first.from_us == 60_000_000
        assert (first.granted, first.refused, first.peak, first.limit) == (2, 1, 2, 2)
        assert [refusal.count for refusal in first.refusals] == [1]
        assert sorted((h.processor, h.production, h.granted) for h in first.holders) == [("w1", "one", 1), ("w1", "two", 1)]
        assert client.acquire(HELD, "four", pools=["full"]).HasField("refused")
        advance(clock, redis, service, 61, client)
        second = wait_for("the next minute", lambda: [r for r in stored(api) if r.pool == "full"][1:])[0]
        assert (second.granted, second.refused) == (0, 1)
        assert sorted((h.processor, h.production, h.granted) for h in second.holders) == [("w1", "one", 0), ("w1", "two", 0)], "who held them"
        wait_for("it is forgotten", lambda: redis.client.zcard("{engenho}:usage") == 0)
        for state, edition, productions in (("demo", "demo", 10), ("licensed", "full", 2000)):
            assert api.good("PUT", "/v1/licence/master", json={"state": state}) == {"state": state}
            advance(clock, redis, service, 1, client)
            answer = client.heartbeat().heartbeat
            assert (answer.edition, answer.productions) == (edition, productions)
        service.kill()
        service.start()
        advance(clock, redis, service, 61)
        wait_for("one more minute", lambda: len([r for r in stored(api) if r.pool == "full"]) >= 3)
        ids = [r.id for r in stored(api)]
        assert len(ids) == len(set(ids))
    service.kill()
    redis.stop()
