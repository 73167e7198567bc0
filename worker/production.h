/*
 * A production as the worker needs it: the definition with its application and package resolved,
 * compiled once, never changed afterwards; a new definition makes a new one, and what was matched
 * before keeps the old. Worker, core.
 */
#ifndef ENGENHO_WORKER_PRODUCTION_H
#define ENGENHO_WORKER_PRODUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/when.h"
#include "proto/definition.pb-c.h"
#include "worker/retry.h"

enum code_state {
    CODE_WANTED, /* its package is not here yet */
    CODE_READY,
    CODE_BROKEN /* it can't be fetched, or does not import */
};

/* What runs: the production's method in one version of its package. */
struct code {
    uint32_t number; /* never used twice in a worker's life */
    enum code_state state;
    uint64_t version;
    struct production *production; /* borrowed: owns this */
    void *edge;                    /* what the edge keeps with it */
    void *account;                 /* what it counts; freed with it */
    struct code *next;
};

struct production {
    unsigned references;
    char *name; /* empty: an application on demand */
    char *application;
    char *package;
    uint64_t generation;     /* of the production's definition */
    uint64_t active_version; /* what new executions take */
    int64_t started_us;      /* unix */
    Engenho__Production__TriggerCase trigger;
    char *connection, *object; /* data: object may be a pattern; named: object is the name */
    char *process, *from_stage, *to_stage;
    struct when *when;          /* NULL: always */
    Engenho__Ordering ordering; /* resolved: never the default */
    Engenho__OverlapPolicy overlap;
    struct retry_policy retry;
    bool abort_on_new_event;
    bool undecided;   /* its package is not here yet: its events wait for what it says */
    bool stateful;    /* a userCache goes in and out */
    bool keeps_state; /* something of each run is written to `state` */
    uint32_t breaker_failures;
    Engenho__SeatKind seat_kind; /* resolved */
    char **pools;
    size_t pool_count;
    int64_t time_limit_us; /* 0: the agent's */
    uint64_t memory_limit_bytes;
    uint32_t output_limit_bytes;
    struct code *codes;
    /* told of each code when the last reference goes */
    void (*forget)(void *context, struct code *code);
    void *forget_context;
};

struct production_options {
    const char *name;
    uint64_t generation;
    const Engenho__Production *definition; /* NULL: an application on demand */
    const Engenho__Application *application;
    const char *application_name;
    uint64_t active_version;
    bool epm_method; /* decides the default ordering, and that there is a userCache */
    bool undecided;  /* whether it is one is not known yet */
    void (*forget)(void *context, struct code *code);
    void *forget_context;
};

/*
 * Copies what it needs. Returns owned with one reference, or NULL with a sentence: its condition
 * does not compile.
 */
struct production *production_new(const struct production_options *options, struct error *error);
struct production *production_use(struct production *production);
/* The last one frees it. */
void production_drop(struct production *production);

/*
 * The code of a version, 0: the active one; made (CODE_WANTED, number 0) when it is new. Lives as
 * long as the production.
 */
struct code *production_code(struct production *production, uint64_t version, bool *ret_new);

#endif
