/*
 * The families that shards, schedules and lag fill: rows for the producer's metrics table.
 */
#ifndef ENGENHO_PRODUCER_SHARDS_METRICS_H
#define ENGENHO_PRODUCER_SHARDS_METRICS_H

#include "common/metrics.h"

/* clang-format off */
#define SHARDS_METRICS                                                                                                 \
    {.name = "engenho_shard_owned", .type = METRIC_GAUGE, .labels = {"shard"},                                         \
     .help = "Whether this replica owns the shard and acts for it."},                                                  \
    {.name = "engenho_shard_takeovers_total", .type = METRIC_COUNTER, .labels = {"shard"},                             \
     .help = "How often this replica took the shard."}

#define SCHEDULE_METRICS                                                                                               \
    {.name = "engenho_schedule_jobs", .type = METRIC_GAUGE, .labels = {"state"},                                       \
     .help = "Productions with a schedule in shards of this replica, by state: active, paused, invalid."},             \
    {.name = "engenho_schedule_drift_seconds", .type = METRIC_HISTOGRAM, .buckets = metric_buckets_drift,              \
     .help = "From the time that was due until the trigger was committed."},                                           \
    {.name = "engenho_schedule_triggers_total", .type = METRIC_COUNTER, .labels = {"outcome"},                         \
     .help = "Triggers of schedules, by outcome: committed, aborted (fired again later)."},                            \
    {.name = "engenho_schedule_misfires_total", .type = METRIC_COUNTER, .labels = {"policy"},                          \
     .help = "Times that were due while nobody could fire them, by the schedule's policy, fired late or left out."},   \
    {.name = "engenho_schedule_next_fire_timestamp_seconds", .type = METRIC_GAUGE, .labels = {"job"},                  \
     .series_max = 1000, .help = "When the production fires next, seconds since 1970."}

#define LAG_METRICS                                                                                                    \
    {.name = "engenho_kafka_consumer_group_lag", .type = METRIC_GAUGE, .labels = {"group", "topic", "partition"},      \
     .series_max = 10000,                                                                                              \
     .help = "Offsets from the committed one to the last stable offset; absent where nothing was committed."},         \
    {.name = "engenho_kafka_consumer_group_lag_seconds", .type = METRIC_GAUGE,                                         \
     .labels = {"group", "topic", "partition"}, .series_max = 10000,                                                   \
     .help = "How long ago the topic's end passed the committed offset; 0 without lag; at least so much when that was "\
             "before the collector started."},                                                                         \
    {.name = "engenho_kafka_consumer_group_lag_sum", .type = METRIC_GAUGE, .labels = {"group", "topic"},               \
     .help = "Lag of all partitions."},                                                                                \
    {.name = "engenho_kafka_consumer_group_max_lag_seconds", .type = METRIC_GAUGE, .labels = {"group", "topic"},       \
     .help = "Lag in seconds of the partition that is farthest behind."},                                              \
    {.name = "engenho_kafka_consumer_group_status", .type = METRIC_GAUGE,                                              \
     .labels = {"group", "topic", "partition", "status"}, .series_max = 50000,                                         \
     .help = "1 for the partition's status of ok, warn, stall, stop, rewind; 0 for the others."},                      \
    {.name = "engenho_kafka_consumer_group_members", .type = METRIC_GAUGE, .labels = {"group"},                        \
     .help = "Live members of the group."},                                                                            \
    {.name = "engenho_kafka_consumer_group_idle_members", .type = METRIC_GAUGE, .labels = {"group"},                   \
     .help = "Live members without a partition."},                                                                     \
    {.name = "engenho_kafka_consumer_group_state", .type = METRIC_GAUGE, .labels = {"group", "state"},                 \
     .help = "1 for the group's state: empty, stable, preparing_rebalance, completing_rebalance, dead, unknown."},     \
    {.name = "engenho_kafka_consumer_group_lost_records", .type = METRIC_GAUGE,                                        \
     .labels = {"group", "topic", "partition"}, .series_max = 10000,                                                   \
     .help = "Offsets from the committed one to the first that is still there: removed before they were done."},       \
    {.name = "engenho_kafka_partition_low_watermark", .type = METRIC_GAUGE, .labels = {"topic", "partition"},          \
     .series_max = 10000, .help = "The first offset that is still there."},                                            \
    {.name = "engenho_kafka_partition_high_watermark", .type = METRIC_GAUGE, .labels = {"topic", "partition"},         \
     .series_max = 10000, .help = "The last stable offset: after the last committed record."},                         \
    {.name = "engenho_kafka_topic_partitions", .type = METRIC_GAUGE, .labels = {"topic"},                              \
     .help = "Partitions of the topic."},                                                                              \
    {.name = "engenho_kafka_lag_collector_duration_seconds", .type = METRIC_GAUGE,                                     \
     .help = "How long the last collection took."},                                                                    \
    {.name = "engenho_kafka_lag_collector_errors_total", .type = METRIC_COUNTER,                                       \
     .help = "Answers of the broker that the lag collector missed or could not use."},                                 \
    {.name = "engenho_kafka_lag_collector_last_success_timestamp_seconds", .type = METRIC_GAUGE,                       \
     .help = "When a collection last succeeded, seconds since 1970."},                                                 \
    {.name = "engenho_kafka_trimmed_records_total", .type = METRIC_COUNTER, .labels = {"topic"},                       \
     .help = "Offsets removed below the committed position from topics that are trimmed."}
/* clang-format on */

#endif
