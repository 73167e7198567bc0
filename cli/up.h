/*
 * `engenho up`: its state and what its parts do to it. Process: engenho up only.
 */
#ifndef ENGENHO_CLI_UP_H
#define ENGENHO_CLI_UP_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/data_directory.h"
#include "cli/log_file.h"
#include "cli/plan.h"
#include "cli/ports.h"
#include "cli/supervisor.h"
#include "common/attributes.h"
#include "common/error.h"

struct up_process {
    pid_t pid;   /* 0: does not run */
    int pipe_fd; /* what it prints; -1: none */
    struct log_file log;
    int64_t started_unix_us; /* its last start */
    char admin[64];          /* HOST:PORT of its admin server, once its ready file is there */
    char reason[512];        /* why it is not ready, or how it died */
};

struct up {
    struct up_options options;
    struct data_directory data;
    struct ports ports;
    char *bin, *java, *redis_server, *licences, *token_file, *token;
    struct plan plan;
    struct supervisor supervisor;
    struct up_process processes[SUPERVISOR_UNITS_MAX];
    int64_t started_unix_us, started_mono_us;
    int ready_fd; /* a byte into it tells the waiting parent of --detach; -1: none */
    bool failed;
    char said[512]; /* the last thing that was told about a death: not told again and again */
};

/*
 * Find Java, the jars, redis-server and our programs; lock the data directory; choose ports; make
 * the token and Kafka's storage; put the test licence where there is none (development builds);
 * make the plan.
 *
 * Returns 0, or -Exxx with a sentence. up_release() in both cases.
 */
MUST_CHECK int up_prepare(struct up *up, struct error *error);
void up_release(struct up *up);

/* Write status.json; remove it and endpoint.json when the system is stopped. */
void up_write_status(struct up *up);
/* Write endpoint.json. Returns 0, or -errno with a sentence. */
MUST_CHECK int up_write_endpoint(struct up *up, struct error *error);
/* The console's address with the token in its fragment, which a browser keeps to itself. Returns
 * owned. */
char *up_console_url(const struct up *up);

#endif
