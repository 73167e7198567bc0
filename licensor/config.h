/*
 * Options of engenho-licensor.
 */
#ifndef ENGENHO_LICENSOR_CONFIG_H
#define ENGENHO_LICENSOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"

struct config {
    const char *listen;
    const char *redis;
    const char *redis_password_file;
    const char *redis_sentinel_user, *redis_sentinel_password_file;
    const char *redis_ca_file, *redis_cert_file, *redis_key_file;
    const char *tenant;
    const char *licence_dir;
    const char *customer;
    int64_t lease_us, heartbeat_us, reuse_life_us, memory_us;
    bool allow_unsafe_redis;
    int64_t redis_timeout_us, redis_backoff_us_max, redis_batch_us, redis_pack_min;
    int64_t connections_max, requests_max, store_requests_max, waiting_max, send_bytes_max;
    int64_t client_timeout_us;
    const char *admin_listen;
    const char *ready_file;
    int64_t log_level;
};

extern const struct option_table licensor_options;

#endif
