/*
 * Options of engenho-worker.
 */
#ifndef ENGENHO_WORKER_CONFIG_H
#define ENGENHO_WORKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"
#include "kafka/config.h"

enum delivery { DELIVERY_EXACTLY_ONCE, DELIVERY_AT_LEAST_ONCE };

struct config {
    struct kafka_options kafka;
    const char *agent, *name, *licensor;
    int64_t interpreters;
    const char *interpreter, *python_library, *cache_dir, *work_dir;
    int64_t delivery;
    int64_t commit_interval_us, results_per_commit, open_max;
    int64_t seat_linger_us, park_after_us, drain_us, revoke_us, catalog_wait_us;
    int64_t time_limit_us, memory_limit_bytes, output_limit_bytes, cache_bytes;
    int64_t recycle_executions, recycle_age_us, recycle_rss_bytes;
    bool static_membership;
    int64_t session_timeout_us, stall_us;
    const char *admin_listen, *ready_file;
    int64_t log_level;
};

extern const struct option_table worker_options;

#endif
