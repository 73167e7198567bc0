/*
 * engenho-worker: consume, match, order, ask for a seat, hand to an interpreter, retry, publish
 * results, commit.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/names.h"
#include "common/ready_file.h"
#include "worker/service.h"

static struct service *running;

static void on_stop(evutil_socket_t signal_number, short what, void *context)
{
    static int times;
    (void)signal_number;
    (void)what;
    (void)context;
    if (++times > 1) {
        _exit(1);
    }
    service_stop(running);
}

static int write_ready_file(const struct config *config, const struct service *service,
                            struct error *error)
{
    const struct ready_place place = {
        .name = "admin", .listen = config->admin_listen, .port = admin_port(service->admin)};
    return ready_file_write(config->ready_file, &place, 1, error);
}

static int run(const struct config *config)
{
    struct error error = {{0}};
    struct event_base *base = event_base_new();
    int result = 1;
    running = service_new(base, config, &error);
    if (running == NULL || write_ready_file(config, running, &error) != 0) {
        fprintf(stderr, "engenho-worker: %s\n", error.text);
    } else {
        struct event *term = evsignal_new(base, SIGTERM, on_stop, NULL);
        struct event *interrupt = evsignal_new(base, SIGINT, on_stop, NULL);
        event_add(term, NULL);
        event_add(interrupt, NULL);
        event_base_dispatch(base);
        log_info("stopped");
        event_free(term);
        event_free(interrupt);
        result = 0;
    }
    service_free(running);
    event_base_free(base);
    libevent_global_shutdown();
    return result;
}

static int check(struct config *config, struct error *error)
{
    if (!name_is_agent(config->agent)) {
        return error_set(
            error, -EINVAL,
            "agent: '%s' is not a name of lower-case letters, digits and hyphens, 40 at most",
            config->agent);
    }
    if (!name_is_valid(config->name)) {
        return error_set(error, -EINVAL,
                         "name: 1 to 200 bytes of UTF-8 without control characters");
    }
    config->kafka.client = config->name;
    return kafka_check_version(error);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--metrics-markdown") == 0) {
        metrics_print_markdown("worker", worker_metrics, worker_metrics_count, stdout);
        return 0;
    }
    struct config config = {0};
    struct error error = {{0}};
    int operand;
    enum options_result result =
        options_parse(&worker_options, argc, argv, &config, &operand, &error);
    if (result == OPTIONS_ANSWERED) {
        return 0;
    }
    if (result == OPTIONS_WRONG || check(&config, &error) != 0) {
        fprintf(stderr, "engenho-worker: %s\n", error.text);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    log_start("worker", (enum log_level)config.log_level);
    return run(&config);
}
