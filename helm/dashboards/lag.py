"""The dashboard Lag: how far each agent is behind, where, and whether it catches up. Seconds first, records second."""

from __future__ import annotations

from typing import Any

from board import GREEN, RED, YELLOW, Panel, Query, dashboard, variable

WHERE = 'cluster=~"$cluster", namespace=~"$namespace"'
GROUP = WHERE + ', group=~"$group"'
PARTITION = "group, topic, partition"


def status(name: str) -> str:
    return f'max by ({PARTITION}) (engenho_kafka_consumer_group_status{{{GROUP}, status="{name}"}})'


INCOMING = f"sum by (topic) (max by (topic, partition) (rate(engenho_kafka_partition_high_watermark{{{WHERE}}}[$__rate_interval])))"
GROWTH = f"max by (group, topic) (deriv(engenho_kafka_consumer_group_lag_sum{{{GROUP}}}[$__rate_interval]))"

SECONDS_STEPS = ((GREEN, None), (YELLOW, 300.0), (RED, 1200.0))
NONE_STEPS = ((GREEN, None), (RED, 1.0))

NOW = [
    Panel("Behind", "Age of the oldest record that any of these groups has not finished.", "stat", "s",
          (Query(f"max(engenho_kafka_consumer_group_max_lag_seconds{{{GROUP}}})"),), 4, 4, SECONDS_STEPS),
    Panel("Records waiting", "Records from the committed offsets to the ends of the topics.", "stat", "short",
          (Query(f"sum(max by (group, topic) (engenho_kafka_consumer_group_lag_sum{{{GROUP}}}))"),), 4, 4),
    Panel("Partitions that stand still", "Partitions with records waiting whose committed offset does not move.", "stat", "short",
          (Query(f"sum({status('stall')} + {status('stop')})"),), 4, 4, NONE_STEPS),
    Panel("Workers", "Members of the groups.", "stat", "short",
          (Query(f"sum(max by (group) (engenho_kafka_consumer_group_members{{{GROUP}}}))"),), 4, 4),
    Panel("Records lost", "Records that retention removed before they were done.", "stat", "short",
          (Query(f"sum(max by ({PARTITION}) (engenho_kafka_consumer_group_lost_records{{{GROUP}}}))"),), 4, 4, NONE_STEPS),
    Panel("Age of these figures", "Since the lag was last measured.", "stat", "s",
          (Query(f"time() - max(engenho_kafka_lag_collector_last_success_timestamp_seconds{{{WHERE}}})"),), 4, 4,
          ((GREEN, None), (YELLOW, 60.0), (RED, 120.0))),
]

GROUPS = [
    Panel("Seconds behind by group", "Age of the oldest record that the group has not finished.", "timeseries", "s",
          (Query(f"max by (group) (engenho_kafka_consumer_group_max_lag_seconds{{{GROUP}}})", "{{group}}"),), steps=SECONDS_STEPS),
    Panel("Records behind by group and topic", "Records from the committed offset to the end.", "timeseries", "short",
          (Query(f"max by (group, topic) (engenho_kafka_consumer_group_lag_sum{{{GROUP}}})", "{{group}} {{topic}}"),)),
    Panel("In and out", "Records that came to the topics, and records that the groups finished.", "timeseries", "cps",
          (Query(INCOMING, "in {{topic}}"), Query(f"{INCOMING} - on (topic) group_right {GROWTH}", "out {{group}} {{topic}}"))),
    Panel("Time to catch up", "Records behind, divided by how fast they become fewer; no line while they do not.", "timeseries", "s",
          (Query(f"sum by (group) (max by (group, topic) (engenho_kafka_consumer_group_lag_sum{{{GROUP}}}))"
                 f" / clamp_min(-sum by (group) ({GROWTH}), 0.001)", "{{group}}"),), steps=((GREEN, None), (RED, 3600.0))),
]

PARTITIONS = [
    Panel("Verdict by partition", "ok; warn: it falls behind; stall: the offset does not move; stop: nothing is committed; "
          "rewind: the offset went back.", "state-timeline", "short",
          (Query(f"{status('warn')} + 2 * {status('stall')} + 3 * {status('stop')} + 4 * {status('rewind')}",
                 "{{group}} {{topic}} {{partition}}"),), 24, 10,
          mappings=((0, "ok", GREEN), (1, "warn", YELLOW), (2, "stall", "orange"), (3, "stop", RED), (4, "rewind", "purple"))),
    Panel("Seconds behind by partition", "The ten partitions that are farthest behind.", "timeseries", "s",
          (Query(f"topk(10, max by ({PARTITION}) (engenho_kafka_consumer_group_lag_seconds{{{GROUP}}}))",
                 "{{group}} {{topic}} {{partition}}"),), steps=SECONDS_STEPS),
    Panel("Records behind by partition", "The ten partitions with most records waiting.", "timeseries", "short",
          (Query(f"topk(10, max by ({PARTITION}) (engenho_kafka_consumer_group_lag{{{GROUP}}}))",
                 "{{group}} {{topic}} {{partition}}"),)),
    Panel("Partitions", "Records and seconds behind, and the end of each partition: skew shows at once.", "table", "short",
          (Query(f"max by ({PARTITION}) (engenho_kafka_consumer_group_lag{{{GROUP}}})", instant=True, table=True),
           Query(f"max by ({PARTITION}) (engenho_kafka_consumer_group_lag_seconds{{{GROUP}}})", instant=True, table=True),
           Query(f"max by ({PARTITION}) (engenho_kafka_consumer_group_lag{{{GROUP}}} * 0) + on (topic, partition) group_left "
                 f"max by (topic, partition) (engenho_kafka_partition_high_watermark{{{WHERE}}})", instant=True, table=True)),
          24, 10, transformations=(
              {"id": "merge", "options": {}},
              {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": {
                  "Value #A": "records", "Value #B": "seconds", "Value #C": "end"}}})),
]

MEMBERS = [
    Panel("Members", "Workers in the group, and those without a partition.", "timeseries", "short",
          (Query(f"max by (group) (engenho_kafka_consumer_group_members{{{GROUP}}})", "{{group}}"),
           Query(f"max by (group) (engenho_kafka_consumer_group_idle_members{{{GROUP}}})", "{{group}} idle"))),
    Panel("Rebalances", "Changes of the assignment, by what happened.", "timeseries", "cpm",
          (Query(f"60 * sum by (agent, kind) (rate(engenho_kafka_rebalances_total{{{WHERE}}}[$__rate_interval]))",
                 "{{agent}} {{kind}}"),)),
    Panel("State of the group", "What the broker says; stable is well.", "table", "short",
          (Query(f"max by (group, state) (engenho_kafka_consumer_group_state{{{GROUP}}}) == 1", instant=True, table=True),), 12, 8,
          transformations=({"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}},)),
    Panel("The collector itself", "How long a collection takes, and what went wrong in it.", "timeseries", "s",
          (Query(f"max(engenho_kafka_lag_collector_duration_seconds{{{WHERE}}})", "duration"),
           Query(f"sum(rate(engenho_kafka_lag_collector_errors_total{{{WHERE}}}[$__rate_interval]))", "errors a second"))),
]


def build() -> dict[str, Any]:
    source = "engenho_kafka_consumer_group_lag_sum"
    return dashboard(
        "engenho-lag", "Engenho / Lag", "How far the agents are behind, where, and whether they catch up.",
        [variable("cluster", source), variable("namespace", source), variable("group", source)],
        [("Now", NOW), ("Groups", GROUPS), ("Partitions", PARTITIONS), ("Members and measurement", MEMBERS)],
        [("versions", Query(f"count by (version, component) (engenho_build_info{{{WHERE}}}) unless "
                            f"count by (version, component) (engenho_build_info{{{WHERE}}} offset 10m)",
                            "{{component}} {{version}}"), "blue")])
