/*
 * A model of what is around the worker's core: Kafka's logs with transactions, the pool, the
 * licensor, and time. All of it is turned by one seeded stream, so that a run can be repeated.
 */
#ifndef ENGENHO_TESTS_SIM_WORKER_MODEL_H
#define ENGENHO_TESTS_SIM_WORKER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/random.h"
#include "worker/engine.h"

#define MODEL_UNIX_US INT64_C(1700000000000000) /* of the model's time 0 */
#define PARTITIONS 3
#define KEYS 7
#define INTERPRETERS 3
#define ASKED_MAX 1024
#define TOO_LARGE 97 /* every so many'th event is larger than an interpreter takes */
#define MODEL_DUE_MAX 500

/* A record in a log; bytes NULL: a hole (a marker, or a record of an aborted transaction). */
struct logged {
    void *key, *value;
    size_t key_bytes, value_bytes;
    int64_t timestamp_us;
};

struct log {
    struct logged *records;
    size_t count, capacity;
    uint64_t committed; /* records that are no holes */
};

/* What stands in Kafka for one lane. */
struct shelf {
    struct log input, later, state;
    int64_t committed;
    char *metadata; /* NULL: never committed */
};

/* A transaction that one producer fills, or has handed over. */
struct pending {
    bool handed;
    struct written {
        enum emit_topic topic;
        int shelf; /* LATER, STATE */
        struct logged record;
    } * written;
    size_t count, capacity;
    struct promised {
        int shelf;
        int64_t position;
        char *metadata;
    } promised[2 * PARTITIONS];
    size_t promised_count;
};

/* One interpreter's batch. */
struct seat_of_work {
    /* borrowed: only their numbers are used once the lane may be gone */
    struct execution *batch[BATCH_MAX];
    uint64_t numbers[BATCH_MAX];
    size_t count, next;
    bool cancelled;
};

struct model {
    struct random random;
    struct shelf shelves[2 * PARTITIONS]; /* events, then triggers */
    struct log results, letters, requests;
    struct pending pending[2];
    unsigned order[2]; /* producers that were handed over, oldest first */
    size_t order_count;
    struct seat_of_work interpreters[INTERPRETERS];
    uint64_t asked[ASKED_MAX]; /* requests of seats that were not answered */
    size_t asked_count;
    const char *refused; /* a production that gets no seat; NULL: none */
    int64_t now_us;
    bool calm; /* nothing fails any more */
    struct engine engine;
    bool up;
    struct lane *lanes[2 * PARTITIONS];
    size_t read_input[2 * PARTITIONS], read_later[2 * PARTITIONS];
    struct production *productions[8];
    size_t production_count;
    uint64_t runs, aborts, crashes, worker_kills, revokes, parks;
    uint64_t lives; /* processes that ended */
    uint64_t holds;
};

void model_init(struct model *model, uint64_t seed);
void model_release(struct model *model);
/* Whether a chance of one in `n` came up. */
bool model_chance(struct model *model, unsigned n);
void model_append(struct log *log, const void *key, size_t key_bytes, const void *value,
                  size_t bytes, int64_t now_us);
/* model_pool.c: one execution of an interpreter ends; a seat that was asked for is granted. */
void model_run_one(struct model *model, struct seat_of_work *interpreter);
void model_grant_one(struct model *model);
void model_fill_pool_port(struct model *model, struct engine_port *port);
/* Start a worker over what is in Kafka; kill it; one step of the world. */
void model_start(struct model *model);
void model_kill(struct model *model);
void model_step(struct model *model);
/* Whether there is nothing left to do. */
bool model_is_quiet(struct model *model);

#endif
