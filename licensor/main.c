/*
 * engenho-licensor: keys and seats by licence, on Redis. One thread, one loop.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "licensor/config.h"
#include "licensor/metrics_table.h"
#include "licensor/service.h"

static void on_stop(evutil_socket_t signal_number, short what, void *context)
{
    (void)signal_number;
    (void)what;
    static int times;
    if (++times > 1) {
        _exit(1);
    }
    event_base_loopbreak(context);
}

static int run(const struct config *config)
{
    struct error error;
    /* Requests are collected for parts of a millisecond. */
    struct event_config *precise = event_config_new();
    event_config_set_flag(precise, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = event_base_new_with_config(precise);
    event_config_free(precise);
    struct event *term = evsignal_new(base, SIGTERM, on_stop, base);
    struct event *interrupt = evsignal_new(base, SIGINT, on_stop, base);
    event_add(term, NULL);
    event_add(interrupt, NULL);
    struct service *service = service_new(base, config, &error);
    if (service != NULL) {
        event_base_dispatch(base);
        log_info("stopping");
    } else {
        fprintf(stderr, "engenho-licensor: %s\n", error.text);
    }
    service_free(service);
    event_free(term);
    event_free(interrupt);
    event_base_loop(base, EVLOOP_NONBLOCK); /* lets go of connections that a callback was due for */
    event_base_free(base);
    libevent_global_shutdown();
    return service != NULL ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--metrics-markdown") == 0) {
        metrics_print_markdown("licensor", licensor_metrics, licensor_metrics_count, stdout);
        return 0;
    }
    struct config config = {0};
    struct error error;
    int operand;
    enum options_result result =
        options_parse(&licensor_options, argc, argv, &config, &operand, &error);
    if (result == OPTIONS_ANSWERED) {
        return 0;
    }
    if (result == OPTIONS_WRONG) {
        fprintf(stderr, "engenho-licensor: %s\n", error.text);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    log_start("licensor", (enum log_level)config.log_level);
    return run(&config);
}
