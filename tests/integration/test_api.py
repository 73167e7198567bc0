"""The HTTP API of the producer on a real Kafka, and docs/openapi.yaml against it."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import itertools
import json
import pathlib
import random
import re
import tarfile
from collections.abc import Iterator
from datetime import datetime

import pytest
import requests
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from tests.harness.kafka import Kafka
from tests.harness.process import wait_for
from tests.harness.proto import definition_pb2, event_pb2, request_pb2, trigger_pb2
from tests.harness.topics import producer as kafka_producer
from tests.harness.topics import read_to_end
from tests.integration.api import DEFINITIONS, SOURCE, TOKEN, Api, new_result
from tests.integration.contract import Contract

CONTRACT = Contract()


class WatchedApi(Api):
    """Every answer is held against docs/openapi.yaml."""

    def call(self, method: str, path: str, **arguments: object) -> requests.Response:
        answer = super().call(method, path, **arguments)
        CONTRACT.check(method, answer.request.url or path, answer)
        return answer


@pytest.fixture(scope="module")
def api(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with WatchedApi(kafka, tmp_path_factory.mktemp("api"), "--licensor", "127.0.0.1:1") as running:
        running.set_up()
        yield running


names = (f"name-{number}" for number in itertools.count())


# --- who may call


def test_nothing_but_the_console_s_files_answers_without_the_token(api: Api) -> None:
    for path, method in sorted(CONTRACT.operations):
        url = api.url + re.sub(r"\{\w+\}", "agent", path)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = requests.request(method, url, headers=headers, timeout=10)
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert requests.get(api.url + "/", timeout=10).status_code == 200
    assert "script-src 'self'" in requests.get(api.url + "/", timeout=10).headers["Content-Security-Policy"]
    assert requests.get(api.url + "/../token", timeout=10).status_code in (400, 404)


def test_a_token_file_is_made_when_missing_and_is_for_its_owner_only(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    api = Api(kafka, tmp_path)
    token = tmp_path / "token"
    token.unlink()
    with api:
        assert token.stat().st_mode & 0o777 == 0o600
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        assert requests.get(api.url + "/v1/version", headers=headers, timeout=10).ok


# --- definitions


def test_apply_creates_then_finds_unchanged_then_changes(api: Api) -> None:
    name = next(names)
    yaml = f"kind: Agent\nname: {name}\nspec: {{description: one}}\n"
    assert [d["result"] for d in api.apply(yaml)["documents"]] == ["created"]
    assert [d["result"] for d in api.apply(yaml)["documents"]] == ["unchanged"]
    assert api.apply(yaml.replace("one", "two"), dryRun="true")["documents"][0]["result"] == "changed"
    assert api.good("GET", f"/v1/agent/{name}")["spec"] == {"description": "one"}
    changed = api.apply(yaml.replace("one", "two"))["documents"][0]
    assert changed["result"] == "changed"
    got = api.call("GET", f"/v1/agent/{name}")
    assert got.json()["generation"] == changed["generation"]
    assert got.headers["ETag"] == f'"{changed["generation"]}"'


def test_an_agent_that_was_answered_can_be_given_work(api: Api) -> None:
    name = next(names)
    api.apply(f"kind: Agent\nname: {name}\n")
    assert read_to_end(api.kafka.servers, f"{api.prefix}triggers.{name}") == []
    admin = AdminClient({"bootstrap.servers": api.kafka.servers})
    groups = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(f"{api.prefix}{name}")])
    committed = next(iter(groups.values())).result(30).topic_partitions
    assert {part.topic for part in committed} == {f"{api.prefix}events", f"{api.prefix}triggers.{name}"}


def test_apply_writes_all_or_nothing_and_names_the_line(api: Api) -> None:
    good, bad = next(names), next(names)
    body = api.refused(400, "POST", "/v1/apply", data=f"kind: Agent\nname: {good}\n---\nkind: Agent\nname: {bad}\nspec: {{colour: red}}\n")
    assert body["error"] == "unknown key 'colour' in spec, line 6: it takes description"
    assert body["where"] == "line 6"
    api.refused(404, "GET", f"/v1/agent/{good}")


def test_of_many_writers_with_one_generation_one_wins(api: Api) -> None:
    name = next(names)
    generation = api.good("PUT", f"/v1/agent/{name}", data="spec: {description: start}")["generation"]

    def write(number: int) -> int:
        return api.call("PUT", f"/v1/agent/{name}", data=f"spec: {{description: writer {number}}}", headers={"If-Match": str(generation)}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(write, range(16)))
    assert codes == [200] + [412] * 15
    assert api.refused(412, "PUT", f"/v1/agent/{name}", data="spec: {}", headers={"If-Match": "1"})["generation"] > generation
    assert api.refused(412, "PUT", f"/v1/agent/{name}", data="spec: {}", headers={"If-None-Match": "*"})


def test_what_is_used_is_not_deleted(api: Api) -> None:
    assert "used by application overheat" in api.refused(409, "DELETE", "/v1/package/plant")["error"]
    assert "used by production overheat" in api.refused(409, "DELETE", "/v1/connection/plant")["error"]
    name = next(names)
    api.good("PUT", f"/v1/agent/{name}", data="{}")
    assert api.good("DELETE", f"/v1/agent/{name}")["result"] == "deleted"
    api.refused(404, "DELETE", f"/v1/agent/{name}")


def test_what_is_exported_is_what_apply_finds_unchanged(api: Api) -> None:
    exported = api.call("GET", "/v1/export").text
    assert "kind: Production" in exported
    assert {document["result"] for document in api.apply(exported)["documents"]} == {"unchanged"}


def test_a_production_is_stopped_and_started_and_sees_events_from_then_on(api: Api) -> None:
    before = api.good("GET", "/v1/production/overheat")["status"]["startedAt"]
    api.good("POST", "/v1/production/overheat/stop")
    assert api.good("GET", "/v1/production/overheat")["status"]["started"] is False
    api.good("POST", "/v1/production/overheat/start")
    after = api.good("GET", "/v1/production/overheat")["status"]
    assert after["started"] and after["startedAt"] > before
    assert api.good("POST", "/v1/production/overheat/start")["result"] == "unchanged"
    api.refused(404, "POST", "/v1/production/nothing/start")
    api.refused(404, "POST", "/v1/production/nothing/stop")


def _ask_to_stop(api: Api, production: str, generation: int, reason: str) -> None:
    request = request_pb2.Request(worker="worker-0", stop=request_pb2.StopProduction(production=production, generation=generation, reason=reason))
    out = kafka_producer(api.kafka.servers)
    out.produce(api.prefix + "requests", key=f"production/{production}", value=request.SerializeToString())
    assert out.flush(30) == 0


def test_a_worker_may_stop_the_generation_that_it_saw_and_no_newer_one(api: Api) -> None:
    name = next(names)
    yaml = DEFINITIONS.split("---\n")[2].replace("name: overheat\n", f"name: {name}\n", 1)
    generation = api.apply(yaml)["documents"][0]["generation"]
    _ask_to_stop(api, name, generation, "the package does not import: no module named plant")
    status = wait_for("stopped", lambda: (s := api.good("GET", f"/v1/production/{name}")["status"])["started"] is False and s)
    assert status["stoppedReason"] == "the package does not import: no module named plant"
    api.good("POST", f"/v1/production/{name}/start")
    _ask_to_stop(api, name, generation, "late")
    marker = next(names)  # requests are read in order within a partition, so a later one for the same production shows it was read
    newest = api.good("GET", f"/v1/production/{name}")["generation"]
    _ask_to_stop(api, name, newest, marker)
    wait_for("the second", lambda: api.good("GET", f"/v1/production/{name}")["status"]["stoppedReason"] == marker)


def test_listings_hold_what_was_defined(api: Api) -> None:
    for kind in ("application", "production", "connection", "package"):
        assert any(item["name"] in ("overheat", "plant") for item in api.good("GET", f"/v1/{kind}")["items"])
    api.good("GET", "/v1/agent")
    api.refused(404, "GET", "/v1/nonsense")


# --- packages


def _archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_a_package_takes_the_next_version_and_the_same_content_none(api: Api) -> None:
    name = next(names)
    assert api.deploy(name)["version"] == 1
    again = api.deploy(name)
    assert (again["version"], again["result"]) == (1, "unchanged")
    assert api.deploy(name, SOURCE.encode() + b"# two\n")["version"] == 2
    api.good("POST", f"/v1/packages/{name}/active", params={"version": 1})
    assert api.good("GET", f"/v1/packages/{name}")["active"] == 1
    assert api.deploy(name, SOURCE.encode() + b"# three\n")["version"] == 3
    assert api.good("GET", f"/v1/packages/{name}")["active"] == 0
    api.refused(400, "POST", f"/v1/packages/{name}/active", params={"version": 9})
    api.refused(404, "POST", "/v1/packages/nothing/active", params={"version": 1})
    assert [p for p in api.good("GET", "/v1/packages")["items"] if p["name"] == name]
    api.good("DELETE", f"/v1/packages/{name}")
    api.refused(404, "GET", f"/v1/packages/{name}")


def test_a_large_package_is_on_kafka_in_parts_that_give_its_bytes(api: Api) -> None:
    data = _archive({"main.py": SOURCE.encode(), "table.bin": random.Random(1).randbytes(3_000_000)})
    first, second = next(names), next(names)
    deployed = api.deploy(first, data, "plant.tar.gz")
    api.deploy(second, data, "plant.tar.gz")
    manifests = {m.key(): m.value() for m in read_to_end(api.kafka.servers, api.prefix + "catalog")}
    parts = read_to_end(api.kafka.servers, api.prefix + "packages")
    for name in (first, second):
        version = definition_pb2.Definition.FromString(manifests[f"package/{name}".encode()]).package.versions[0]
        assert version.sha256.hex() == deployed["sha256"] == hashlib.sha256(data).hexdigest()
        mine = {
            m.key(): m.value() for m in parts
            if m.partition() == version.partition and version.first_offset <= m.offset() <= version.last_offset
        }
        assert b"".join(mine[f"{version.sha256.hex()}/{n}".encode()] for n in range(version.parts)) == data
    assert len([m for m in parts if m.key().startswith(deployed["sha256"].encode())]) == version.parts


def test_deployments_at_once_of_one_name_take_different_versions(api: Api) -> None:
    name = next(names)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda n: api.deploy(name, SOURCE.encode() + f"# {n}\n".encode())["version"], range(4)))
    assert sorted(versions) == [1, 2, 3, 4]


# --- events in


def _events(api: Api) -> list[event_pb2.Event]:
    return [event_pb2.Event.FromString(m.value()) for m in read_to_end(api.kafka.servers, api.prefix + "events")]


def test_pushed_events_are_on_kafka_when_the_call_returns(api: Api) -> None:
    name = next(names)
    answer = api.call("POST", "/v1/events", json=[
        {"connection": "plant", "object": name, "value": 1.5, "previous": 1},
        {"connection": "plant", "object": name, "value": "on", "timestamp": "2026-01-31T12:00:00Z", "quality": 3},
    ])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
    records = [m for m in read_to_end(api.kafka.servers, api.prefix + "events") if m.key() == f"plant/{name}".encode()]
    first, second = (event_pb2.Event.FromString(m.value()) for m in records)
    assert (first.value.number, first.previous.integer, first.HasField("previous")) == (1.5, 1, True)
    assert (second.value.text, second.quality, second.timestamp_us, second.HasField("previous")) == ("on", 3, 1769860800000000, False)


def test_cloudevents_come_structured_batched_and_binary(api: Api) -> None:
    name = next(names)
    event = {"specversion": "1.0", "id": "1", "type": "value", "source": "plant", "subject": name, "data": {"value": 7, "previous": 6}}
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    assert api.call("POST", "/v1/events", data=json.dumps(event), headers=headers).status_code == 202
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    assert api.call("POST", "/v1/events", data=json.dumps([event, event]), headers=headers).json() == {"accepted": 2}
    headers = {f"ce-{key}": value for key, value in event.items() if key != "data"} | {"Content-Type": "application/json"}
    assert api.call("POST", "/v1/events", data="7", headers=headers).status_code == 202
    mine = [e for e in _events(api) if e.object == name]
    assert [e.value.integer for e in mine] == [7] * 4
    assert [e.HasField("previous") for e in mine] == [True] * 3 + [False]


def test_a_bad_event_is_named_and_none_of_its_call_is_published(api: Api) -> None:
    name = next(names)
    body = api.refused(400, "POST", "/v1/events", json=[{"connection": "plant", "object": name, "value": 1}, {"connection": "plant", "object": name}])
    assert body["errors"] == [{"index": 1, "error": "value is missing: write null when there is none"}]
    api.refused(400, "POST", "/v1/events", data="{not json")
    assert [e for e in _events(api) if e.object == name] == []


def _replay(api: Api, source: str, values: list[int], position: int, until: int, step: int) -> int:
    """Post batches as the command line does, going on where the server says; returns the position."""
    while position < until:
        batch = [{"connection": "plant", "object": source, "value": value} for value in values[position:min(position + step, until)]]
        try:
            answer = api.call("POST", "/v1/events", params={"source": source, "from": position}, json=batch)
            body = answer.json()
            if answer.status_code in (202, 409):
                position = body["position"]
            else:
                position = api.good("GET", f"/v1/sources/{source}")["position"]
        except (requests.ConnectionError, AssertionError):
            wait_for("the producer is back", lambda: api.service.alive() and api.service.probe("/readyz").ok, 60)
            position = wait_for("the position", lambda: [api.good("GET", f"/v1/sources/{source}")["position"]], 60)[0]
    return position


def test_a_replay_is_exactly_once_and_in_order_when_the_producer_is_killed(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    values = list(range(20000))
    with Api(kafka, tmp_path) as api:
        api.apply("kind: Connection\nname: plant\nspec: {type: push}\n")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            replaying = pool.submit(_replay, api, "file.csv", values, 0, len(values), 20)
            wait_for("a third is replayed", lambda: api.good("GET", "/v1/sources/file.csv")["position"] >= len(values) // 3, 60)
            assert not replaying.done(), "the kill comes within the replay"
            api.service.kill()
            api.start()
            assert replaying.result(120) == len(values)
        assert [e.value.integer for e in _events(api)] == values
        assert api.good("GET", "/v1/sources/file.csv")["position"] == len(values)
        assert api.refused(409, "POST", "/v1/events", params={"source": "file.csv", "from": 7}, json=[])["position"] == len(values)


def test_a_source_is_asked_for_its_position(api: Api) -> None:
    assert api.good("GET", "/v1/sources/new.csv")["position"] == 0
    event = {"connection": "plant", "object": "o", "value": 1}
    assert api.call("POST", "/v1/events", params={"source": "new.csv", "from": 0}, json=[event] * 3).json() == {"accepted": 3, "position": 3}
    body = api.call("POST", "/v1/events", params={"source": "new.csv", "from": 0}, json=[event])
    assert (body.status_code, body.json()["position"]) == (409, 3)
    api.refused(400, "POST", "/v1/events", params={"source": "new.csv"}, json=[event])


def test_a_run_is_a_trigger_with_the_execution_s_id(api: Api) -> None:
    answer = api.call("POST", "/v1/runs", json={"application": "overheat", "parameters": {"limit": 5, "deep": {"a": [1, None]}}, "at": "2026-01-31T12:00:00Z"})
    assert answer.status_code == 202
    agent, topic, partition, offset, production = answer.json()["execution"].split("/")
    assert (agent, topic, production) == ("default", "triggers.default", "")
    record = next(m for m in read_to_end(api.kafka.servers, api.prefix + topic) if (m.partition(), m.offset()) == (int(partition), int(offset)))
    trigger = trigger_pb2.Trigger.FromString(record.value())
    assert record.key() == b"overheat"
    assert (trigger.application, trigger.kind, trigger.package_version, trigger.nominal_us) == ("overheat", trigger_pb2.TRIGGER_KIND_DEMAND, 1, 1769860800000000)
    assert {p.name: json.loads(p.json) for p in trigger.parameters} == {"limit": 5, "deep": {"a": [1, None]}}
    assert "in the future" in api.refused(400, "POST", "/v1/runs", json={"application": "overheat", "at": "2100-01-01"})["fix"]
    api.refused(404, "POST", "/v1/runs", json={"application": "nothing"})
    api.refused(400, "POST", "/v1/runs", json={"application": "overheat", "paramters": {}})


# --- results out


def test_results_are_filtered_and_paged_by_cursor(api: Api) -> None:
    name = next(names)
    api.send_results(*(new_result(n, name, outcome=2 if n % 5 == 0 else 1) for n in range(20)))
    wait_for("all came", lambda: api.good("GET", "/v1/results", params={"production": name, "count": "true"})["count"] == 20)
    assert len(api.good("GET", "/v1/results", params={"production": name, "failed": "true"})["results"]) == 4
    assert len(api.good("GET", "/v1/results", params={"production": name, "since": "10m"})["results"]) == 20
    assert len(api.good("GET", "/v1/results", params={"production": name, "limit": 3})["results"]) == 3
    seen, after = [], "-1,-1,-1,-1"
    while page := api.good("GET", "/v1/results", params={"production": name, "after": after, "limit": 6}):
        if not page["results"]:
            break
        seen += [result["execution"] for result in page["results"]]
        after = page["next"]
    assert sorted(seen) == sorted(f"default/events/0/{n}/{name}" for n in range(20))
    shown = api.good("GET", f"/v1/results/default/events/0/5/{name}")
    assert (shown["outcome"], shown["result"], shown["seat"]["number"]) == ("failed", {"value": 105.5}, 1)
    api.refused(404, "GET", "/v1/results/default/events/0/77/nothing")
    for bad in ({"since": "yesterday"}, {"after": "x"}, {"limit": "many"}):
        api.refused(400, "GET", "/v1/results", params=bad)


def test_results_older_than_memory_are_read_from_the_topic(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    with WatchedApi(kafka, tmp_path, "--results-kept", "100") as api:
        api.send_results(*(new_result(n, f"p{n % 7}") for n in range(700)))
        wait_for("all were read", lambda: sum(int(seen) + 1 for seen in api.good("GET", "/v1/results")["next"].split(",")) == 700)
        seen: set[str] = set()
        page = api.good("GET", "/v1/results", params={"since": "1h", "limit": 250})
        while page["results"]:
            fresh = {result["execution"] for result in page["results"]}
            assert not fresh & seen
            seen |= fresh
            page = api.good("GET", "/v1/results", params={"since": "1h", "limit": 250, "after": page["next"]})
        assert len(seen) == 700
        assert len(api.good("GET", "/v1/results", params={"since": "1h", "limit": 1000, "production": "p3"})["results"]) == 100
        api.service.kill()
        api.start()
        assert 25 <= api.good("GET", "/v1/results", params={"count": "true"})["count"] <= 100  # a share of each partition
        ends = [datetime.fromisoformat(result["end"]) for result in api.good("GET", "/v1/results")["results"]]
        assert ends == sorted(ends)  # as times: ".3Z" comes before ".300002Z", but not as text


def _sse(answer: requests.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line == "":
            yield event
            event = {}
        else:
            key, _, value = line.partition(": ")
            event[key] = value


def test_the_stream_brings_results_as_they_come_and_from_a_cursor(api: Api) -> None:
    name = next(names)
    with api.call("GET", "/v1/stream", params={"production": name}, stream=True) as answer:
        events = _sse(answer)
        assert next(events)["event"] == "cursor"
        api.send_results(new_result(1, name), new_result(2, "another"), new_result(3, name))
        results = itertools.islice((e for e in events if e["event"] == "result"), 2)
        came = [(json.loads(e["data"])["execution"], e["id"]) for e in results]
        assert sorted(execution for execution, _ in came) == [f"default/events/0/1/{name}", f"default/events/0/3/{name}"]
        assert {"lag", "seats"} <= {e["event"] for e in itertools.islice(events, 6)}
    with api.call("GET", "/v1/stream", params={"production": name, "after": "-1,-1,-1,-1", "only": "results"}, stream=True) as answer:
        again = [json.loads(e["data"])["execution"] for e in itertools.islice((e for e in _sse(answer) if e["event"] == "result"), 2)]
        assert len(set(again)) == 2


# --- dead letters


def _put_letter(api: Api, name: str, value: bytes, **headers: str) -> None:
    out = kafka_producer(api.kafka.servers)
    words = {"topic": "events", "partition": "2", "offset": "7", "timestamp": "1769860800000000", "agent": "default", "production": name,
             "execution-id": f"default/events/2/7/{name}", "package-version": "3", "attempt": "4", "error-class": "ValueError", **headers}
    out.produce(api.prefix + "dead-letters", key="plant/o", value=value, headers=[(f"engenho-{k}", v.encode()) for k, v in words.items()])
    assert out.flush(30) == 0


def _letter_of(api: Api, name: str) -> dict[str, object]:
    return wait_for("the letter", lambda: api.good("GET", "/v1/dead-letters", params={"production": name})["items"])[0]


def test_a_dead_letter_of_an_event_runs_again_in_its_lane(api: Api) -> None:
    name = next(names)
    event = event_pb2.Event(connection="plant", object="o", value=event_pb2.Value(number=101))
    _put_letter(api, name, event.SerializeToString())
    letter = _letter_of(api, name)
    assert letter["headers"]["error-class"] == "ValueError"
    assert api.good("GET", f"/v1/dead-letters/{letter['id']}")["value"]["value"] == 101
    assert api.good("POST", f"/v1/dead-letters/{letter['id']}/redrive")["execution"] == f"default/events/2/7/{name}"
    record = next(m for m in read_to_end(api.kafka.servers, api.prefix + "later.default.events") if name.encode() in m.value())
    trigger = trigger_pb2.Trigger.FromString(record.value())
    assert (record.partition(), record.key()) == (2, b"plant/o")
    assert (trigger.production, trigger.later, trigger.attempt, trigger.package_version) == (name, trigger_pb2.LATER_REASON_REDRIVEN, 1, 3)
    assert (trigger.origin.topic, trigger.origin.partition, trigger.origin.offset) == ("events", 2, 7)
    assert trigger.event.value.number == 101


def test_a_dead_letter_of_a_trigger_runs_again_on_the_latest_version_when_asked(api: Api) -> None:
    name = next(names)
    trigger = trigger_pb2.Trigger(production=name, package_version=3, attempt=4, first_failure_us=5, due_us=6)
    _put_letter(api, name, trigger.SerializeToString(), topic="triggers.default", **{"execution-id": f"default/triggers.default/2/7/{name}"})
    letter = _letter_of(api, name)
    api.good("POST", f"/v1/dead-letters/{letter['id']}/redrive", params={"latest": "true"})
    record = next(m for m in read_to_end(api.kafka.servers, api.prefix + "later.default.triggers") if name.encode() in m.value())
    again = trigger_pb2.Trigger.FromString(record.value())
    assert (again.package_version, again.attempt, again.due_us, again.origin.topic) == (0, 1, 0, "triggers.default")


def test_a_dead_letter_that_is_no_record_of_ours_is_shown_and_not_run(api: Api) -> None:
    name = next(names)
    _put_letter(api, name, b"\xff\xff garbage")
    letter = _letter_of(api, name)
    assert api.good("GET", f"/v1/dead-letters/{letter['id']}")["value"] == "//8gZ2FyYmFnZQ=="
    api.refused(409, "POST", f"/v1/dead-letters/{letter['id']}/redrive")
    for bad in ("0-99999", "99-0", "nonsense"):
        api.refused(404, "GET", f"/v1/dead-letters/{bad}")
        api.refused(404, "POST", f"/v1/dead-letters/{bad}/redrive")


def test_a_dead_letter_that_came_as_json_runs_again_as_an_event(api: Api) -> None:
    name = next(names)
    _put_letter(api, name, b'{"connection": "plant", "object": "o", "value": 7, "previous": 6}')
    api.good("POST", f"/v1/dead-letters/{_letter_of(api, name)['id']}/redrive")
    record = next(m for m in read_to_end(api.kafka.servers, api.prefix + "later.default.events") if name.encode() in m.value())
    event = trigger_pb2.Trigger.FromString(record.value()).event
    assert (event.object, event.value.integer, event.previous.integer) == ("o", 7, 6)


def test_purged_dead_letters_are_gone(api: Api) -> None:
    name = next(names)
    _put_letter(api, name, b"x")
    _letter_of(api, name)
    assert api.good("POST", "/v1/dead-letters/purge")["removed"] >= 1
    assert api.good("GET", "/v1/dead-letters")["items"] == []


# --- state, and the contract as a whole


def test_seats_and_workers_say_why_when_the_licensor_is_away(api: Api) -> None:
    for path in ("/v1/seats", "/v1/workers", "/v1/licence", "/v1/seats/s:1/explain", "/v1/seats/audit"):
        assert "127.0.0.1:1" in api.refused(503, "GET", path)["error"]
    assert "127.0.0.1:1" in api.refused(503, "POST", "/v1/seats/7/release")["error"]
    assert "127.0.0.1:1" in api.refused(503, "POST", "/v1/licence", data=b"{}")["error"]
    assert "127.0.0.1:1" in api.refused(503, "PUT", "/v1/licence/master", json={"state": "demo"})["error"]


def test_what_is_no_token_licence_or_state_is_refused_here_already(api: Api) -> None:
    for token in ("L1", "0", "-1", "1" * 17, "1" * 30, "7;DROP"):
        assert "is not the token of a seat" in api.refused(400, "POST", f"/v1/seats/{token}/release")["error"]
    assert "missing" in api.refused(400, "POST", "/v1/licence")["error"]
    assert "64 KiB" in api.refused(400, "POST", "/v1/licence", data=b"x" * 65537)["error"]
    for limit in ("-1", "1001", "all", "9" * 30):
        assert "limit" in api.refused(400, "GET", "/v1/seats/audit", params={"limit": limit})["error"]
    for body in (b"", b"demo", b'{"state": "full"}', b"[]"):
        assert "demo or licensed" in api.refused(400, "PUT", "/v1/licence/master", data=body)["error"]


def test_usage_that_nobody_made_is_an_empty_list_and_wrong_questions_are_refused(api: Api) -> None:
    assert api.good("GET", "/v1/usage")["records"] == []
    for params, word in (({"from": "soon"}, "soon"), ({"until": "2026-13-01"}, "2026-13-01"), ({"after": "x"}, "cursor"),
                         ({"after": ",".join("0" * 65)}, "cursor"), ({"limit": "-1"}, "limit"),
                         ({"from": "2026-01-02", "until": "2026-01-01"}, "not after")):
        assert word in api.refused(400, "GET", "/v1/usage", params=params)["error"]


def test_lag_and_schedules_answer(api: Api) -> None:
    lag = wait_for("lag is collected", lambda: (got := api.good("GET", "/v1/lag"))["agents"] and got)
    assert lag["agents"][0]["agent"] == "default"
    api.apply(DEFINITIONS.split("---\n")[2].replace("name: overheat\n", "name: nightly\n", 1).replace("  ordering: key\n", "")
              .split("  trigger")[0] + "  trigger: {schedule: {cron: '0 3 * * *', timeZone: America/Sao_Paulo}}\n")
    schedules = wait_for("the schedule", lambda: [s for s in api.good("GET", "/v1/schedules")["schedules"] if s["production"] == "nightly"])
    assert len(schedules[0]["next"]) == 5


def test_small_answers(api: Api) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", api.good("GET", "/v1/version")["version"])
    assert requests.patch(api.url + "/v1/version", timeout=10).status_code in (405, 501)
    api.refused(405, "POST", "/v1/version")
    api.refused(404, "GET", "/v1/a/b/c/d/e/f/g/h/i/j/k")


def test_every_operation_that_is_described_was_called_and_answered_as_described() -> None:
    assert CONTRACT.operations - CONTRACT.called == set()


# --- Kafka and replicas that come and go


def test_it_starts_without_kafka_says_so_and_recovers(tmp_path: pathlib.Path) -> None:
    broker = Kafka(tmp_path / "kafka")
    api = Api(broker, tmp_path)
    api.service.start()
    try:
        reason = wait_for("a reason", lambda: (r := api.service.probe("/readyz")).status_code == 503 and r.text)
        assert reason.strip()
        assert api.service.probe("/livez").ok
        for path in ("/v1/agent", "/v1/results", "/v1/lag"):
            api.refused(503, "GET", path)
        api.refused(503, "POST", "/v1/apply", data=DEFINITIONS)
        broker.start()
        wait_for("it is ready", lambda: api.service.probe("/readyz").ok, 60)
        api.set_up()
        assert api.service.alive()
    finally:
        api.service.kill()
        broker.kill()


def test_a_write_to_any_replica_reaches_the_owner_and_another_one_takes_over(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    first = Api(kafka, tmp_path, name="producer-0")
    second = Api(kafka, tmp_path, name="producer-1", prefix=first.prefix)
    with first, second:
        numbers = itertools.count()

        def write(api: Api) -> bool:
            return api.call("PUT", f"/v1/agent/a{next(numbers)}", data="{}").status_code == 201

        wait_for("both write", lambda: write(first) and write(second), 60)
        wait_for("both show it", lambda: len(first.good("GET", "/v1/agent")["items"]) == len(second.good("GET", "/v1/agent")["items"]))
        count = len(first.good("GET", "/v1/agent")["items"])
        owner, other = (first, second) if first.service.metric("engenho_shard_owned", shard="0") == 1 else (second, first)
        owner.service.kill()
        wait_for("the other one writes", lambda: write(other), 60)
        assert len(other.good("GET", "/v1/agent")["items"]) == count + 1


def test_a_stop_is_clean(kafka: Kafka, tmp_path: pathlib.Path) -> None:
    api = Api(kafka, tmp_path).start()
    with api.call("GET", "/v1/stream", stream=True) as answer:
        assert next(_sse(answer))["event"] == "cursor"
        assert api.service.stop() == 0
    assert not api.service.ready_file.exists()
