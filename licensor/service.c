/*
 * Joins the edges of the licensor: server, Redis, admin, the tick. See service.h.
 */
#include "licensor/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/names.h"
#include "common/random.h"
#include "common/ready_file.h"
#include "common/secret_file.h"
#include "licensor/metrics_table.h"
#include "licensor/service_private.h"

#define TICK_US SECOND_US
#define TENANT_BYTES_MAX 60

static void on_redis_state(void *context, bool up, bool unsafe, const char *reason)
{
    struct service *service = context;
    metric_set(metrics_series(service->metrics, "engenho_redis_up", METRIC_VALUES("master")),
               up ? 1 : 0);
    service->clock.known = false;
    if (!up) {
        if (unsafe) {
            log_error("redis is not safe to use; nothing is granted", LOG_TEXT("reason", reason));
        } else {
            log_warn("redis is away; nothing is granted, and nothing that runs is touched",
                     LOG_TEXT("reason", reason));
        }
        if (service->server != NULL) {
            requests_notice_store_down(service, true);
        }
        return;
    }
    log_info("redis is there", LOG_TEXT("address", service->config->tenant));
    metric_add(
        metrics_series(service->metrics, "engenho_redis_reconnects_total", METRIC_VALUES(NULL)), 1);
    ticker_send_limits(service);
    ticker_run(service);
    requests_notice_store_down(service, false);
    requests_ask_again(service);
}

static void on_redis_measured(void *context, const char *command, double seconds, bool failed)
{
    struct service *service = context;
    struct metric *errors =
        metrics_series(service->metrics, "engenho_redis_errors_total", METRIC_VALUES(command));
    if (failed) {
        metric_add(errors, 1);
    } else {
        metric_observe(metrics_series(service->metrics, "engenho_redis_command_duration_seconds",
                                      METRIC_VALUES(command)),
                       seconds);
    }
}

static void on_worked_out(void *context, const char *by, size_t operations)
{
    struct service *service = context;
    metric_add(
        metrics_series(service->metrics, "engenho_redis_seat_operations_total", METRIC_VALUES(by)),
        (double)operations);
}

static void on_complaint(void *context, const char *peer, const char *why)
{
    (void)context;
    log_warn("connection closed", LOG_TEXT("peer", peer), LOG_TEXT("reason", why));
}

static void on_tick_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    ticker_run(context);
}

static bool is_live(void *context, struct error *reason)
{
    (void)context;
    (void)reason;
    return true;
}

static bool is_ready(void *context, struct error *reason)
{
    struct service *service = context;
    if (service->stopping) {
        error_set(reason, -ESHUTDOWN, "stopping");
        return false;
    }
    if (!redis_is_up(service->redis)) {
        error_set(reason, -EIO, "%s", redis_reason(service->redis));
        return false;
    }
    return true;
}

static void on_scrape(void *context)
{
    struct service *service = context;
    metric_set(
        metrics_series(service->metrics, "engenho_licensor_connections", METRIC_VALUES(NULL)),
        (double)server_connections(service->server));
}

/* Passwords that do not stand in the address, and what the Sentinels want to know besides. */
static int read_redis_passwords(const struct config *config, struct redis_address *address,
                                struct error *error)
{
    int rc = 0;
    if (config->redis_password_file != NULL) {
        rc = secret_file_read("redis-password-file", config->redis_password_file, address->password,
                              sizeof address->password, error);
    }
    const char *user = config->redis_sentinel_user;
    const char *file = config->redis_sentinel_password_file;
    if (rc != 0 || (user == NULL && file == NULL)) {
        return rc;
    }
    if (address->sentinels_count == 0) {
        return error_set(
            error, -EINVAL,
            "--redis-sentinel-user and --redis-sentinel-password-file are for Sentinels, "
            "and --redis names none; leave them out, or give sentinel://HOST,HOST/MASTER");
    }
    if (file == NULL || (user != NULL && strlen(user) >= sizeof address->sentinel_user)) {
        return error_set(
            error, -EINVAL,
            "--redis-sentinel-user needs --redis-sentinel-password-file beside it, and "
            "has at most %zu bytes",
            sizeof address->sentinel_user - 1);
    }
    snprintf(address->sentinel_user, sizeof address->sentinel_user, "%s", user != NULL ? user : "");
    return secret_file_read("redis-sentinel-password-file", file, address->sentinel_password,
                            sizeof address->sentinel_password, error);
}

static int start_redis(struct service *service, struct error *error)
{
    const struct config *config = service->config;
    struct redis_options options = {
        .tenant = config->tenant,
        .allow_unsafe = config->allow_unsafe_redis,
        .timeout_us = config->redis_timeout_us,
        .batch_us = config->redis_batch_us,
        .pack_min = (size_t)config->redis_pack_min,
        .queue_max = (size_t)config->store_requests_max,
        .lease_ms = config->lease_us / 1000,
        .backoff_us_max = config->redis_backoff_us_max,
    };
    int rc = redis_address_parse(config->redis, &options.address, error);
    if (rc == 0 && (strlen(config->tenant) > TENANT_BYTES_MAX || !name_is_valid(config->tenant) ||
                    strpbrk(config->tenant, "{} :") != NULL)) {
        rc = error_set(error, -EINVAL,
                       "the tenant '%s' is not a name of at most %d bytes without spaces, colons "
                       "or braces; change --tenant",
                       config->tenant, TENANT_BYTES_MAX);
    }
    if (rc == 0) {
        rc = read_redis_passwords(config, &options.address, error);
    }
    if (rc == 0 && options.address.tls) {
        rc = redis_tls_new(config->redis_ca_file, config->redis_cert_file, config->redis_key_file,
                           &options.tls, error);
    }
    if (rc == 0) {
        const struct redis_callbacks callbacks = {.state = on_redis_state,
                                                  .granted = requests_granted,
                                                  .waited = requests_waited,
                                                  .measured = on_redis_measured,
                                                  .worked_out = on_worked_out};
        static const char *const by[] = {"licensor", "redis", "redis_again"};
        for (size_t i = 0; i < ARRAY_SIZE(by); i++) { /* counters begin at zero */
            (void)metrics_series(service->metrics, "engenho_redis_seat_operations_total",
                                 METRIC_VALUES(by[i]));
        }
        service->redis = redis_new(service->base, &options, &callbacks, service);
        service->store = redis_store(service->redis);
    }
    return rc;
}

static int start_servers(struct service *service, struct error *error)
{
    const struct config *config = service->config;
    const struct server_options options = {.listen = config->listen,
                                           .connections_max = (size_t)config->connections_max,
                                           .requests_max = (size_t)config->requests_max,
                                           .send_bytes_max = (size_t)config->send_bytes_max,
                                           .silent_us_max = config->client_timeout_us};
    const struct server_callbacks callbacks = {
        .message = requests_message, .closed = requests_closed, .complained = on_complaint};
    service->server = server_new(service->base, &options, &callbacks, service, error);
    if (service->server == NULL) {
        return -EADDRINUSE;
    }
    const struct admin_options admin = {.address = config->admin_listen,
                                        .metrics = service->metrics,
                                        .before_scrape = on_scrape,
                                        .live = is_live,
                                        .ready = is_ready,
                                        .started = is_live,
                                        .context = service};
    service->admin = admin_new(service->base, &admin, error);
    return service->admin != NULL ? 0 : -EADDRINUSE;
}

/* HOST of HOST:PORT. */
static int write_ready_file(const struct service *service, struct error *error)
{
    const struct config *config = service->config;
    const struct ready_place places[] = {
        {.name = "admin", .listen = config->admin_listen, .port = admin_port(service->admin)},
        {.name = "listen", .listen = config->listen, .port = server_port(service->server)},
    };
    return ready_file_write(config->ready_file, places, ARRAY_SIZE(places), error);
}

struct service *service_new(struct event_base *base, const struct config *config,
                            struct error *error)
{
    struct service *service = memory_new(1, sizeof(*service));
    service->base = base;
    service->config = config;
    random_hex(service->instance, 8);
    service->holders = holders_new();
    service->metrics = metrics_new("licensor", licensor_metrics, licensor_metrics_count);
    metric_set(metrics_series(service->metrics, "engenho_redis_up", METRIC_VALUES("master")), 0);
    service->tick = event_new(base, -1, EV_PERSIST, on_tick_timer, service);
    int rc = start_redis(service, error);
    if (rc == 0) {
        rc = ticker_load_licences(service, error);
    }
    if (rc == 0) {
        rc = start_servers(service, error);
    }
    if (rc == 0) {
        rc = write_ready_file(service, error);
    }
    if (rc != 0) {
        service_free(service);
        return NULL;
    }
    struct timeval every = {.tv_sec = TICK_US / SECOND_US};
    event_add(service->tick, &every);
    log_info("listening", LOG_INT("port", server_port(service->server)),
             LOG_INT("admin_port", admin_port(service->admin)));
    return service;
}

void service_free(struct service *service)
{
    if (service == NULL) {
        return;
    }
    service->stopping = true;
    if (service->config->ready_file != NULL) {
        unlink(service->config->ready_file);
    }
    admin_free(service->admin);
    redis_free(service->redis); /* answers what is on its way, so before the connections go */
    server_free(service->server);
    event_free(service->tick);
    metrics_free(service->metrics);
    holders_free(service->holders);
    free(service);
}
