/*
 * The worker as a process: the edges around the engine, and what they know of one another. Within
 * worker's edges.
 *
 *   licence_client ──► service (registered? slot) ──► publish (two producers) ──► consume (the group) ──► lanes
 *   catalog_view, package_fetch ──► engine ◄── runner (pool)
 */
#ifndef ENGENHO_WORKER_SERVICE_H
#define ENGENHO_WORKER_SERVICE_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "common/admin.h"
#include "kafka/follower.h"
#include "kafka/topics.h"
#include "kafka/txn.h"
#include "worker/config.h"
#include "worker/engine.h"
#include "worker/licence_client.h"
#include "worker/metrics_table.h"
#include "worker/package_fetch.h"
#include "worker/packages.h"
#include "worker/pool.h"

enum phase {
    PHASE_LICENCE,   /* waiting for a key */
    PHASE_PRODUCERS, /* init_transactions, and the catalog is read to its end */
    PHASE_GROUP,     /* member of the group: the normal state */
    PHASE_LEAVING,   /* the group consumer closes, to start over or to end */
    PHASE_STOPPED
};

#define POP_MAX 64
#define ACCOUNT_KINDS_MAX 8
#define ACCOUNT_OUTCOMES_MAX 8

/* Messages of one partition's queue. */
struct inlet {
    rd_kafka_queue_t *queue; /* NULL: not read */
    rd_kafka_message_t *messages[POP_MAX];
    size_t count, next;
    bool may_have; /* the queue may not be empty */
};

enum lane_step { STEP_OFFSETS, STEP_STATE, STEP_LATER, STEP_READY };

/* The edge's side of a lane. */
struct lane_io {
    struct service *service;
    struct lane *lane;
    enum lane_step step;
    char topic[TOPIC_NAME_BYTES_MAX], later_topic[TOPIC_NAME_BYTES_MAX],
        state_topic[TOPIC_NAME_BYTES_MAX];
    int32_t partition;
    struct inlet input, later;
    int64_t committed; /* -1: never */
    char *metadata;
    bool has_offset;              /* the group's stable offset is known */
    bool clear;                   /* no transaction is open on its state and later */
    int64_t earliest, end;        /* of the input; -1: not known yet */
    int64_t later_end, state_end; /* -1: not known yet */
    int64_t assigned_us, fetched_us;
    int64_t trimmed, later_trimmed; /* offsets up to which the topics were trimmed */
    bool following_state, revoked;
    LIST_ENTRY(lane_io) next;
};
LIST_HEAD(lane_io_list, lane_io);

/* Series of one code. */
struct code_account {
    struct metric *outcomes[8], *sum, *count, *last_success;
};

/* The way into the group. */
struct joining {
    bool joined;      /* subscribed */
    bool asked;       /* an answer about the topics is awaited */
    int64_t again_us; /* when to look again */
    int64_t told_us;  /* when it was last told that a topic is missing */
};

struct takeover;
struct catalog_view;

/* What is committed, at-least-once, when the records of one of the two producers have arrived. */
struct plain_commit {
    rd_kafka_topic_partition_list_t *offsets;
    bool handed; /* waits for its records to be delivered */
    bool sent;   /* the commit is under way */
    bool failed; /* one of them will not be */
};

/* Series that every execution needs, looked up once. */
struct account_series {
    struct metric *executions[ACCOUNT_KINDS_MAX][ACCOUNT_OUTCOMES_MAX];
    struct metric *durations[ACCOUNT_KINDS_MAX], *waits[ACCOUNT_KINDS_MAX];
};

struct service {
    struct event_base *base;
    const struct config *config;
    struct metrics *metrics;
    struct admin *admin;
    enum phase phase;
    bool stopping, abandoned; /* SIGTERM came; its drain is over */
    bool remake;              /* to leave and start over: fenced, or the session was lost */
    bool catalog_read;
    int64_t drain_until_us;
    struct event *turn_event, *tick_event, *wake_event;
    int wake_fd;
    char group[128];
    struct engine engine;
    /* the licensor */
    struct licence_client *licence;
    uint32_t slot, interpreters;
    char *session;        /* of the engine's results */
    char unlicensed[512]; /* why; empty: registered */
    /* Kafka */
    rd_kafka_t *group_client, *later_client;
    rd_kafka_queue_t *group_queue, *later_queue, *admin_queue;
    bool closing_group;
    struct joining joining;
    struct lane_io_list lanes;
    struct takeover *takeover;
    char topics[EMIT_TRIGGERS + 1]
               [TOPIC_NAME_BYTES_MAX]; /* of what is written, but for the lanes' own */
    struct txn_thread *txn_thread;
    struct txn *txns[2];
    int64_t handed_us[2];
    unsigned txns_ready;
    rd_kafka_t *plain; /* at-least-once */
    struct plain_commit plain_commits[2];
    uint64_t outstanding[2];
    int64_t ask_again_us;   /* when refused seats are asked for again; 0: none was */
    char seat_refusal[512]; /* the reason that was logged last */
    int64_t seat_refusal_us;
    bool broker_seen, fatal;
    char fatal_reason[256];
    int64_t down_told_us; /* when it was last told that no broker answers */
    int64_t trim_us;      /* when `later` and `triggers` are trimmed next */
    int64_t polled_us, revoke_until_us;
    struct follower *follower; /* catalog and state */
    struct catalog_view *catalog;
    struct package_fetch *fetch;
    struct packages *packages;
    struct pool *pool;
    bool pool_failed;
    struct account_series series;
    bool awake;  /* a turn is due: service_wake was called since the last one */
    bool strict; /* the licence: nothing runs past the end of the lease */
    /* the ends of leases at which what ran was killed, and was recorded: each once */
    int64_t lease_killed_us, lease_overrun_us;
};

/* service.c */
struct service *service_new(struct event_base *base, const struct config *config,
                            struct error *error);
void service_free(struct service *service);
/* Drain and leave; the loop ends by itself. */
void service_stop(struct service *service);
/*
 * Something happened: look at everything on the loop's next turn. The engine knows the time then:
 * of much that happens at once, the time of the first.
 */
void service_wake(struct service *service);
/*
 * The producers are of no use any more: forget what is under way, leave the group, and begin again.
 */
void service_start_over(struct service *service, const char *reason);

/* consume.c: the group and the reader of `later` */
MUST_CHECK int consume_start(struct service *service, struct error *error);
/* Serve librdkafka, pop what the lanes have room for. Returns whether there was something. */
bool consume_turn(struct service *service);
/* Leave the group; consume_left says when that is done. */
void consume_leave(struct service *service);
bool consume_left(struct service *service);
void consume_stop(struct service *service);
/* The partitions of a revoke that are done with are given back. */
void consume_check_revoked(struct service *service);
struct lane_io *consume_find(struct service *service, const char *topic, int32_t partition);
void consume_drop_lane(struct service *service, struct lane_io *io);
MUST_CHECK int consume_read_later(struct lane_io *io);
void consume_assign_input(struct service *service, struct lane_io **ios, size_t count);
void inlet_open(struct inlet *inlet, struct service *service, rd_kafka_t *client, const char *topic,
                int32_t partition);
void inlet_close(struct inlet *inlet);

void consume_fill_port(struct engine_port *port);

/* subscribe.c: waiting for the agent's topics, then joining the group */
void subscribe_begin(struct service *service);
void subscribe_tick(struct service *service);
void subscribe_event(struct service *service, rd_kafka_event_t *event);

/* takeover.c */
struct takeover *takeover_new(struct service *service);
void takeover_free(struct takeover *takeover);
void takeover_tick(struct takeover *takeover);
void takeover_event(struct takeover *takeover, rd_kafka_event_t *event);
void takeover_state_record(struct lane_io *io, const rd_kafka_message_t *message);
void takeover_state_caught_up(struct lane_io *io);
void takeover_later_end(struct lane_io *io);

/* trim.c */
void trim_tick(struct service *service);
void trim_event(rd_kafka_event_t *event);

/* publish.c */
void publish_fill_port(struct engine_port *port);
void publish_start(struct service *service);
void publish_stop(struct service *service);
void publish_turn(struct service *service);

/* runner.c */
void runner_fill_port(struct engine_port *port);
MUST_CHECK int runner_start(struct service *service, struct error *error);

/* lease.c */
void lease_tick(struct service *service);

/* account.c: metrics and log of what the engine does */
/* Counters begin at zero, or the first failure would be no increase that an alert could see. */
void account_begin(struct service *service);
void account_fill_port(struct engine_port *port);
void account_scrape(void *context);
/* An execution began. */
void account_started(struct service *service, const struct execution *execution,
                     int64_t start_unix_us);

/* probes.c */
void probes_fill(struct admin_options *options);
unsigned probes_stalled(const struct service *service);

/* catalog_view.c */
struct catalog_view *catalog_view_new(struct service *service);
void catalog_view_free(struct catalog_view *view);
void catalog_view_record(struct catalog_view *view, const rd_kafka_message_t *message);
/* Bring engine and matcher up to date with what was read. */
void catalog_view_apply(struct catalog_view *view);

/* The code with this number, or NULL: nobody uses it any more. */
struct code *catalog_view_code(struct catalog_view *view, uint32_t number);
/* It does not load: its production is held; an application on demand fails. */
void catalog_view_break(struct catalog_view *view, struct code *code,
                        const Engenho__Loaded *loaded);
void catalog_view_fill_port(struct engine_port *port);

#endif
