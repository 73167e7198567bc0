"""The alert rules: each fires when it must, with the words it must, and is silent just below; promtool runs the very files.

The last test compares the metrics that rules name with the metrics that our programs have.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from tests.harness.process import TOP
from tests.integration.chart_tools import CHART, MINIMAL, exported, one, render

RULES = sorted((CHART / "files/rules").glob("*.yaml"))
PROMTOOL = "promtool"

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """An alert fires at minute `at` on `fires`, with `labels` and `value` as its text shows it; it is silent on `quiet`."""

    alert: str
    fires: Series
    quiet: Series
    at: int
    labels: dict[str, str] = field(default_factory=dict)
    value: str = ""


GROUP = {"group": "engenho.default"}
AGENT = {"agent": "default"}
POOL = {"license": "productions"}
LAG_SECONDS = 'engenho_kafka_consumer_group_max_lag_seconds{group="engenho.default",topic="engenho.events"}'
LAG_SUM = 'engenho_kafka_consumer_group_lag_sum{group="engenho.default",topic="engenho.events"}'
MEMBERS = 'engenho_kafka_consumer_group_members{group="engenho.default"}'
STATUS = 'engenho_kafka_consumer_group_status{group="engenho.default",topic="engenho.events",partition="3",status="%s"}'
LOST = 'engenho_kafka_consumer_group_lost_records{group="engenho.default",topic="engenho.events",partition="3"}'
COLLECTED = "engenho_kafka_lag_collector_last_success_timestamp_seconds"
DONE = 'engenho_executions_total{agent="default",trigger="event",outcome="%s"}'
WAIT = 'engenho_execution_queue_wait_seconds_bucket{agent="default",trigger="event",le="%s"}'
EXITS = 'engenho_interpreter_exits_total{agent="default",reason="%s"}'
INTERPRETERS = 'engenho_interpreters{agent="default",state="%s"}'
REBALANCES = 'engenho_kafka_rebalances_total{agent="default",kind="assign"}'
ASSIGNED = 'engenho_kafka_assigned_partitions{agent="default"}'
DRIFT = 'engenho_schedule_drift_seconds_bucket{le="%s"}'
SHARD = 'engenho_shard_owned{shard="5",instance="%s"}'
REQUESTS = 'engenho_license_requests_total{license="productions",outcome="%s"}'
IN_USE = 'engenho_license_in_use{license="productions",instance="%s"}'
LIMIT = 'engenho_license_limit{license="productions",instance="%s"}'
DAY = 86400

CASES = [
    Case("LagTimeHigh", {LAG_SECONDS: "400x20"}, {LAG_SECONDS: "300x20"}, 6, GROUP, "6m 40s"),
    Case("LagTimeVeryHigh", {LAG_SECONDS: "2000x20"}, {LAG_SECONDS: "1200x20"}, 6, GROUP, "33m 20s"),
    # What does not shrink is taken to shrink by one in 1,000 s. 120 of 7,200 a minute: less than an hour.
    Case("LagGrowing", {LAG_SUM: "5x60", LAG_SECONDS: "100x60"}, {LAG_SUM: "7200-120x60", LAG_SECONDS: "100x60"}, 40, GROUP,
         "1h 23m 20s"),
    Case("PartitionStalled", {STATUS % "stall": "1x20", STATUS % "stop": "0x20"}, {STATUS % "warn": "1x20", STATUS % "stall": "0x20"},
         6, {**GROUP, "topic": "engenho.events", "partition": "3"}),
    Case("NoConsumersWithLag", {LAG_SUM: "5x20", MEMBERS: "0x20"}, {LAG_SUM: "5x20", MEMBERS: "1x20"}, 11, GROUP, "5"),
    Case("RecordsLost", {LOST: "17x5"}, {LOST: "0x5"}, 1, {**GROUP, "topic": "engenho.events", "partition": "3"}, "17"),
    Case("LagBlind", {COLLECTED: "0x20"}, {COLLECTED: "0+60x20"}, 8, {}),
    Case("ErrorRatioVeryHigh", {DONE % "failed": "0+20x90", DONE % "succeeded": "0+80x90"},
         {DONE % "failed": "0+14x90", DONE % "succeeded": "0+86x90"}, 70, AGENT, "20%"),
    Case("ErrorRatioHigh", {DONE % "crashed": "0+10x400", DONE % "succeeded": "0+90x400"},
         {DONE % "crashed": "0+5x400", DONE % "succeeded": "0+95x400"}, 380, AGENT, "10%"),
    Case("QueueWaitHigh", {WAIT % "60": "0+0x30", WAIT % "300": "0+10x30", WAIT % "+Inf": "0+10x30"},
         {WAIT % "30": "0+10x30", WAIT % "60": "0+10x30", WAIT % "+Inf": "0+10x30"}, 20, AGENT, "4m 48s"),
    Case("ExecutionsTimeOut", {DONE % "timed_out": "0+1x30"}, {DONE % "timed_out": "1+0x30", DONE % "failed": "0+1x30"}, 25, AGENT, "10"),
    Case("InterpreterCrashLoop", {EXITS % "crash": "0+1x30"}, {EXITS % "crash": "0+0x30", EXITS % "recycle": "0+9x30"}, 15, AGENT, "10"),
    Case("InterpreterPoolExhausted", {INTERPRETERS % "busy": "4x20", INTERPRETERS % "idle": "0x20"},
         {INTERPRETERS % "busy": "3x20", INTERPRETERS % "idle": "1x20"}, 11, AGENT, "100%"),
    Case("MemoryNearLimit", {'engenho_cgroup_memory_usage_bytes{instance="worker-0"}': "95x20", 'engenho_cgroup_memory_limit_bytes{instance="worker-0"}': "100x20"},
         {'engenho_cgroup_memory_usage_bytes{instance="worker-0"}': "90x20", 'engenho_cgroup_memory_limit_bytes{instance="worker-0"}': "100x20"},
         11, {"instance": "worker-0"}, "95%"),
    Case("CpuThrottled", {'engenho_cgroup_cpu_throttled_seconds_total{instance="worker-0"}': "0+30x30"},
         {'engenho_cgroup_cpu_throttled_seconds_total{instance="worker-0"}': "0+15x30"}, 20, {"instance": "worker-0"}, "50%"),
    Case("DeadLettersArrive", {'engenho_dlq_messages_total{agent="default",reason="attempts"}': "0 0 3x20"},
         {'engenho_dlq_messages_total{agent="default",reason="attempts"}': "3x20"}, 10, AGENT, "3"),
    Case("ProductionHeld", {'engenho_productions_held{agent="default"}': "2x10"}, {'engenho_productions_held{agent="default"}': "0x10"},
         3, AGENT, "2"),
    Case("WorkerUnlicensed", {'engenho_worker_registered{agent="default",instance="worker-0"}': "0x10"},
         {'engenho_worker_registered{agent="default",instance="worker-0"}': "1x10"}, 6, {**AGENT, "instance": "worker-0"}),
    Case("RebalanceStorm", {REBALANCES: "0+1x40", ASSIGNED: "8x40"}, {REBALANCES: "0 1 2 3+0x40", ASSIGNED: "8x40"}, 25, AGENT, "10"),
    Case("MaxPollExceeded", {'engenho_kafka_max_poll_exceeded_total{agent="default"}': "0 0 1x20"},
         {'engenho_kafka_max_poll_exceeded_total{agent="default"}': "1x20"}, 10, AGENT),
    Case("ScheduleMisfire", {'engenho_schedule_misfires_total{policy="last"}': "0 0 3x20"},
         {'engenho_schedule_misfires_total{policy="last"}': "3x20"}, 10, {"policy": "last"}, "3"),
    Case("ScheduleDriftHigh", {DRIFT % "5": "0+0x30", DRIFT % "10": "0+10x30", DRIFT % "+Inf": "0+10x30"},
         {DRIFT % "1": "0+10x30", DRIFT % "5": "0+10x30", DRIFT % "+Inf": "0+10x30"}, 15, {}, "9.95s"),
    Case("ShardUnowned", {SHARD % "a": "0x10", SHARD % "b": "0x10"}, {SHARD % "a": "0x10", SHARD % "b": "1x10"}, 4, {"shard": "5"}, "0"),
    Case("LicenceRefused", {REQUESTS % "refused": "0+1x30"}, {REQUESTS % "refused": "5x30", REQUESTS % "granted": "0+9x30"}, 20, POOL, "10"),
    Case("LicencePoolUnknown", {'engenho_license_requests_total{outcome="refused"}': "0+1x30"}, {REQUESTS % "refused": "0+9x30"}, 20, {}, "10"),
    Case("LicenceNearLimit", {IN_USE % "a": "95x20", LIMIT % "a": "100x20", IN_USE % "b": "95x20", LIMIT % "b": "100x20"},
         {IN_USE % "a": "90x20", LIMIT % "a": "100x20"}, 6, POOL, "95%"),
    Case("LicenceExhausted", {IN_USE % "a": "100x20", LIMIT % "a": "100x20"}, {IN_USE % "a": "99x20", LIMIT % "a": "100x20"}, 6, POOL),
    Case("LicenceEndsSoon", {"engenho_license_expiration_timestamp_seconds": f"{10 * DAY}x20"},
         {"engenho_license_expiration_timestamp_seconds": f"{15 * DAY}x20"}, 10, {}, "9d 23h 50m 0s"),
    Case("LicenceEndsVerySoon", {"engenho_license_expiration_timestamp_seconds": f"{2 * DAY}x20"},
         {"engenho_license_expiration_timestamp_seconds": f"{4 * DAY}x20"}, 10, {}, "1d 23h 50m 0s"),
    Case("LicenceOver", {"engenho_license_expiration_timestamp_seconds": "600x20"},
         {"engenho_license_expiration_timestamp_seconds": "1201x20"}, 20, {}),
    Case("ProcessorWithoutKey", {'engenho_license_registrations_total{outcome="no_key"}': "0+1x30"},
         {'engenho_license_registrations_total{outcome="registered"}': "0+1x30"}, 20, {}, "10"),
    Case("UsageNotCollected", {'engenho_usage_last_success_timestamp_seconds{instance="a"}': "0x90",
                               'engenho_usage_last_success_timestamp_seconds{instance="b"}': "60x90"},
         {'engenho_usage_last_success_timestamp_seconds{instance="a"}': "0x90",
          'engenho_usage_last_success_timestamp_seconds{instance="b"}': "600x90"}, 70, {}, "1h 9m 0s"),
    Case("LicenceEscalates", {'engenho_license_escalations_total{from="requests",to="full"}': "0+1x90"},
         {'engenho_license_escalations_total{from="requests",to="full"}': "0 9x90"}, 70, {"from": "requests", "to": "full"}, "60"),
    Case("LicenceStoreRecovers", {"engenho_license_recovering": "1x10"}, {"engenho_license_recovering": "0x10"}, 4, {}),
    Case("LicensorDown", {'engenho_build_info{component="producer"}': "1x20"}, {'engenho_build_info{component="licensor"}': "1x20"},
         6, {"component": "licensor"}),
    Case("RedisDown", {'engenho_redis_up{instance="licensor-0",role="master"}': "0x10"},
         {'engenho_redis_up{instance="licensor-0",role="master"}': "1x10"}, 4, {"instance": "licensor-0"}),
]


def groups(file: pathlib.Path) -> list[dict[str, Any]]:
    return yaml.safe_load(file.read_text())["groups"]


def rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in groups(file) for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def expected(case: Case) -> dict[str, Any]:
    """The alert as promtool must see it: its labels, and its texts with label and value filled in."""
    rule = ALERTS[case.alert]

    def fill(text: str) -> str:
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: case.labels[m[1]], text)
        return re.sub(r"\{\{ \$value[^}]*\}\}", case.value or "VALUE NOT GIVEN", text)

    return {"exp_labels": {**rule["labels"], **case.labels},
            "exp_annotations": {key: fill(text) for key, text in rule["annotations"].items()}}


def passes(folder: pathlib.Path, tests: list[dict[str, Any]]) -> None:
    file = folder / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(rule) for rule in RULES], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test(case: Case, series: Series, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": f"{case.at}m", "alertname": case.alert, "exp_alerts": alerts}]}


test.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_promtool_accepts_the_file(file: pathlib.Path) -> None:
    done = subprocess.run([PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_fires_with_its_words_and_is_silent_just_below(case: Case, tmp_path: pathlib.Path) -> None:
    passes(tmp_path, [test(case, case.fires, [expected(case)]), test(case, case.quiet, [])])


def test_lag_is_blind_also_when_no_producer_runs(tmp_path: pathlib.Path) -> None:
    case = next(case for case in CASES if case.alert == "LagBlind")
    passes(tmp_path, [test(case, {"up": "1x20"}, [expected(case)])])


def test_two_owners_of_a_shard_are_an_alarm_too(tmp_path: pathlib.Path) -> None:
    case = Case("ShardUnowned", {SHARD % "a": "1x10", SHARD % "b": "1x10"}, {}, 4, {"shard": "5"}, "2")
    passes(tmp_path, [test(case, case.fires, [expected(case)])])


def test_replicas_that_report_the_same_are_counted_once(tmp_path: pathlib.Path) -> None:
    series = {LAG_SUM.replace("{", f'{{instance="{name}",'): "100x5" for name in ("a", "b")}
    expression = {"expr": "group:lag:sum", "eval_time": "3m",
                  "exp_samples": [{"labels": 'group:lag:sum{group="engenho.default"}', "value": 100}]}
    passes(tmp_path, [{"interval": "1m", "input_series": [{"series": s, "values": v} for s, v in series.items()],
                                "promql_expr_test": [expression]}])


def test_every_alert_has_a_test_and_every_test_an_alert() -> None:
    assert sorted(case.alert for case in CASES) == sorted(ALERTS)


def test_every_alert_says_what_is_wrong_how_bad_and_where_help_is() -> None:
    runbook = (TOP / "docs/OPERATIONS.md").read_text()
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert {"summary", "description", "runbook_url"} <= rule["annotations"].keys(), name
        assert rule["annotations"]["runbook_url"] == f"docs/OPERATIONS.md#{name.lower()}", name
        assert f"\n### {name}\n" in runbook, f"docs/OPERATIONS.md has no section {name}"
    sections = re.findall(r"\n### (\w+)\n", runbook)
    assert sorted(sections) == sorted(ALERTS), "docs/OPERATIONS.md speaks of alerts that do not exist"


def test_a_threshold_stands_in_its_expression_after_a_comparison() -> None:
    for name, rule in ALERTS.items():
        threshold = rule["annotations"].get("threshold")
        if threshold is not None:
            assert re.search(rf"[<>]=? {re.escape(threshold)}\b", rule["expr"]), name


# What the chart makes of them.


def rendered(**changes: Any) -> dict[str, dict[str, Any]]:
    spec = one(render(MINIMAL, metrics__rules__enabled=True, **changes), "PrometheusRule", "-rules")["spec"]
    return {rule["alert"]: rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule}


def test_the_chart_renders_every_rule_as_the_files_say() -> None:
    spec = one(render(MINIMAL, metrics__rules__enabled=True), "PrometheusRule", "-rules")["spec"]
    assert [rule for group in spec["groups"] for rule in group["rules"]] == rules()


def test_values_switch_off_change_and_label_alerts() -> None:
    changed = rendered(metrics__rules__disabled=["RebalanceStorm"], metrics__rules__additionalLabels={"team": "plant"},
                       metrics__rules__thresholds={"LagTimeHigh": 60, "ErrorRatioHigh": 0.12, "LagBlind": 600},
                       metrics__rules__runbookBase="https://example.com/runbook")
    assert set(changed) == set(ALERTS) - {"RebalanceStorm"}
    assert changed["LagTimeHigh"]["expr"] == "group:lag_seconds:max > 60"
    assert changed["LagTimeVeryHigh"]["expr"] == "group:lag_seconds:max > 1200"
    assert changed["ErrorRatioHigh"]["expr"].count("> 0.12") == 2 and "0.06" not in changed["ErrorRatioHigh"]["expr"]
    assert "> 600\n" in changed["LagBlind"]["expr"]
    assert changed["LagTimeHigh"]["annotations"]["threshold"] == "60"
    assert all(rule["labels"]["team"] == "plant" for rule in changed.values())
    assert changed["LagTimeHigh"]["annotations"]["runbook_url"] == "https://example.com/runbook#lagtimehigh"


# Metrics that exist.


def test_rules_name_only_metrics_that_a_program_has() -> None:
    names = exported()
    for rule in rules():
        for metric in re.findall(r"\b(engenho_\w+)", re.sub(r"\b\w+:[\w:]+", "", rule["expr"])):
            assert re.sub(r"_(bucket|sum|count)$", "", metric) in names or metric in names, f"{rule.get('alert')}: {metric}"
