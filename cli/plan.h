/*
 * What `engenho up` runs: one entry for each process with its words, its probe, what it needs and
 * when it stops. Pure: made of options, ports and paths. Also Kafka's configuration.
 */
#ifndef ENGENHO_CLI_PLAN_H
#define ENGENHO_CLI_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/supervisor.h"
#include "common/attributes.h"
#include "common/error.h"

struct up_options {
    const char *data;        /* the data directory; empty: as data_directory_choose says */
    const char *kafka;       /* HOST:PORT,... of a real broker; NULL: our own */
    const char *redis;       /* URL of a real server; NULL: our own */
    const char *prefix;      /* of topics and groups */
    const char *listen;      /* HOST:PORT of the API; NULL: a free port of 127.0.0.1 */
    const char *kafka_home;  /* has libs/ with the jars */
    const char *licence_dir; /* NULL: <data>/licences */
    const char *agents;      /* NAME=N,... besides the agent default; NULL: none */
    int64_t workers;         /* of the agent default */
    int64_t interpreters;    /* of each worker; 0: the worker's own choice */
    int64_t kafka_heap_bytes;
    int64_t log_bytes_max;
    int64_t start_limit_us;
    bool detach;
};

/* Where everything is: paths are absolute. All borrowed. */
struct plan_places {
    const char *data;
    const char *bin;          /* the folder of our programs */
    const char *java;         /* NULL unless Kafka is ours */
    const char *redis_server; /* NULL unless Redis is ours */
    const char *licences;
    const char *token_file;
    uint16_t kafka_port, controller_port, redis_port, licensor_port, api_port;
};

enum plan_probe { PLAN_PROBE_KAFKA, PLAN_PROBE_REDIS, PLAN_PROBE_READYZ };

struct plan_process {
    char *name;  /* kafka, worker default-1: shown to people, and of its log */
    char **argv; /* argv[0] is the program's path; NULL-terminated */
    enum plan_probe probe;
    char *address;    /* where it serves; NULL: only its admin server */
    char *ready_file; /* has the address of its admin server; NULL: probe `address` */
    uint64_t needs;
    int stop_stage;
    int64_t stop_us_max;
};

struct plan {
    struct plan_process processes[SUPERVISOR_UNITS_MAX];
    size_t count;
    char *kafka;    /* HOST:PORT for clients */
    char *redis;    /* URL */
    char *licensor; /* HOST:PORT */
    char *api;      /* HOST:PORT */
};

/* Returns 0, or -EINVAL or -ENOSPC with a sentence (a wrong --agent, too many workers). Release it
 * in both cases. */
MUST_CHECK int plan_init(struct plan *plan, const struct up_options *options,
                         const struct plan_places *places, struct error *error);
void plan_release(struct plan *plan);

/* server.properties of the one-node Kafka. Returns owned. */
char *plan_kafka_properties(const struct plan_places *places);

#endif
