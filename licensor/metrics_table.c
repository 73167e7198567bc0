/*
 * The metrics of engenho-licensor. The label `license` is the pool.
 */
#include "licensor/metrics_table.h"

#include "common/attributes.h"

const struct metric_desc licensor_metrics[] = {
    {.name = "engenho_license_limit", .type = METRIC_GAUGE, .labels = {"license"}, .help = "Seats that the pool has."},
    {.name = "engenho_license_in_use", .type = METRIC_GAUGE, .labels = {"license"}, .help = "Seats that somebody holds."},
    {.name = "engenho_license_queued", .type = METRIC_GAUGE, .labels = {"license"},
     .help = "Freed seats with life left: counted as consumed, and the next request takes them first."},
    {.name = "engenho_license_available", .type = METRIC_GAUGE, .labels = {"license"},
     .help = "Seats that a request could get now: the limit without those that somebody holds."},
    {.name = "engenho_license_waiting", .type = METRIC_GAUGE, .labels = {"license"},
     .help = "Requests in the pool's waiting line."},
    {.name = "engenho_license_peak_in_use", .type = METRIC_GAUGE, .labels = {"license"},
     .help = "Most seats held at once since the store began."},
    {.name = "engenho_license_requests_total", .type = METRIC_COUNTER, .labels = {"license", "outcome"},
     .help = "Answers to requests for seats: granted, reused, waived, escalated, refused, notified, error."},
    {.name = "engenho_license_escalations_total", .type = METRIC_COUNTER, .labels = {"from", "to"},
     .help = "Seats that a chain gave from another pool than the one asked for."},
    {.name = "engenho_license_wait_seconds", .type = METRIC_HISTOGRAM, .labels = {"license"},
     .help = "From a request's place in the waiting line to its seat.", .buckets = metric_buckets_execution},
    {.name = "engenho_license_hold_seconds", .type = METRIC_HISTOGRAM, .labels = {"license"},
     .help = "From a seat's grant to its release.", .buckets = metric_buckets_execution},
    {.name = "engenho_license_request_duration_seconds", .type = METRIC_HISTOGRAM, .labels = {"license"},
     .help = "From a request's arrival to its answer.", .buckets = metric_buckets_rpc},
    {.name = "engenho_license_orphans_reclaimed_total", .type = METRIC_COUNTER, .labels = {"license"},
     .help = "Seats freed because their holder's lease was over."},
    {.name = "engenho_license_expiration_timestamp_seconds", .type = METRIC_GAUGE,
     .help = "End of the licence that ends first, without grace; absent in demo."},
    {.name = "engenho_license_mode", .type = METRIC_GAUGE, .labels = {"mode"},
     .help = "1 for the edition that counts: demo, lite, enterprise, full."},
    {.name = "engenho_license_keys", .type = METRIC_GAUGE, .help = "Processors that may register."},
    {.name = "engenho_license_keys_in_use", .type = METRIC_GAUGE, .help = "Processors that are registered."},
    {.name = "engenho_license_registrations_total", .type = METRIC_COUNTER, .labels = {"outcome"},
     .help = "Registrations: registered, resumed, or the reason of the refusal."},
    {.name = "engenho_license_recovering", .type = METRIC_GAUGE,
     .help = "1 while the store has lost writes and workers claim what they hold: no new grants."},
    {.name = "engenho_licensor_connections", .type = METRIC_GAUGE, .help = "Open connections of workers and producers."},
    {.name = "engenho_redis_up", .type = METRIC_GAUGE, .labels = {"role"}, .help = "1 when Redis answers and is safe to use."},
    {.name = "engenho_redis_command_duration_seconds", .type = METRIC_HISTOGRAM, .labels = {"command"},
     .help = "From a transition's submission to Redis's answer.", .buckets = metric_buckets_rpc},
    {.name = "engenho_redis_reconnects_total", .type = METRIC_COUNTER, .help = "Connections to Redis that were made."},
    {.name = "engenho_redis_errors_total", .type = METRIC_COUNTER, .labels = {"command"},
     .help = "Transitions that Redis did not answer, or was not there for."},
};
const size_t licensor_metrics_count = ARRAY_SIZE(licensor_metrics);
