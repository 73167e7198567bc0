#include "producer/metrics_table.h"

#include "common/attributes.h"
#include "producer/shards_metrics.h"

/* clang-format off */
const struct metric_desc producer_metrics[] = {
    {.name = "engenho_http_requests_total", .type = METRIC_COUNTER, .labels = {"handler", "method", "code"},
     .help = "Answered calls of the API and the console's files."},
    {.name = "engenho_http_request_duration_seconds", .type = METRIC_HISTOGRAM, .buckets = metric_buckets_rpc,
     .labels = {"handler", "method"}, .help = "From the whole call until its answer."},
    {.name = "engenho_http_streams", .type = METRIC_GAUGE, .help = "Open streams of server-sent events."},
    {.name = "engenho_events_published_total", .type = METRIC_COUNTER, .labels = {"source", "topic"},
     .help = "Events that Kafka has, by source: http (pushed), replay."},
    {.name = "engenho_events_rejected_total", .type = METRIC_COUNTER, .labels = {"source", "topic", "reason"},
     .help = "Events that were not taken, by reason: invalid (calls), kafka (events)."},
    {.name = "engenho_catalog_definitions", .type = METRIC_GAUGE, .help = "Definitions in the catalog, packages included."},
    {.name = "engenho_results_in_memory", .type = METRIC_GAUGE, .help = "Results kept in memory."},
    {.name = "engenho_results_unreadable", .type = METRIC_GAUGE,
     .help = "Records of results that are no Result, of those this replica has read."},
    {.name = "engenho_usage_records_total", .type = METRIC_COUNTER,
     .help = "Usage records that this replica brought from the licensor to the topic usage."},
    {.name = "engenho_usage_seats_granted_total", .type = METRIC_COUNTER, .labels = {"license", "processor", "production"},
     .series_max = 1000, .help = "Seats that were granted, by pool and holder, of the usage records that this replica stored."},
    {.name = "engenho_usage_errors_total", .type = METRIC_COUNTER,
     .help = "Times that usage records could not be fetched, stored or acknowledged."},
    {.name = "engenho_usage_last_success_timestamp_seconds", .type = METRIC_GAUGE,
     .help = "When this replica last fetched usage records, or started, seconds since 1970."},
    SHARDS_METRICS,
    SCHEDULE_METRICS,
    LAG_METRICS,
};
/* clang-format on */
const size_t producer_metrics_count = ARRAY_SIZE(producer_metrics);
