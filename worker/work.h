/*
 * The nouns that the worker's core passes around: records, executions, lines, lanes, holders, and
 * what is to be written. Ownership: a lane owns its records, lines and caches; a record owns its
 * outcomes; a waiting execution belongs to its line, one that an interpreter has to the dispatch.
 * Worker, core.
 */
#ifndef ENGENHO_WORKER_WORK_H
#define ENGENHO_WORKER_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "proto/trigger.pb-c.h"
#include "worker/breaker.h"
#include "worker/event_view.h"
#include "worker/offsets.h"
#include "worker/production.h"
#include "worker/seats.h"

struct engine;

/*
 * Where something that an outcome writes goes. LATER and STATE: the topics and partition of the
 * record's lane.
 */
enum emit_topic {
    EMIT_RESULTS,
    EMIT_DEAD_LETTERS,
    EMIT_LATER,
    EMIT_STATE,
    EMIT_REQUESTS,
    EMIT_TRIGGERS
};

struct emit_header {
    const char *name; /* without our prefix */
    char *value;      /* owned */
};
#define EMIT_HEADERS_MAX 20
#define ORDERING_KEY_BYTES_MAX 511

/* One record to write. */
struct emit {
    STAILQ_ENTRY(emit) next;
    enum emit_topic topic;
    int32_t partition; /* RESULTS, DEAD_LETTERS, REQUESTS, TRIGGERS: -1: by the key's hash */
    const void *key;   /* in `data`, or borrowed from the record */
    size_t key_bytes;
    const void *value; /* NULL: a tombstone */
    size_t value_bytes;
    int64_t timestamp_ms; /* 0: now */
    /* a dead letter: the record's message, whose headers go along; else NULL */
    void *original;
    struct emit_header *headers; /* owned, ended by a name that is NULL; NULL: none */
    uint8_t data[];
};
STAILQ_HEAD(emit_list, emit);

/* A record of a lane's input or of its `later`, until its outcomes are committed. */
struct record {
    struct lane *lane; /* NULL: something to write that belongs to no lane */
    bool from_later;
    bool stale;  /* waits to run alone, and comes again from `later` */
    bool urgent; /* its transaction closes soon */
    int64_t offset;
    int64_t timestamp_us;    /* the broker's, unix */
    const void *key, *value; /* borrowed from message */
    size_t key_bytes, value_bytes;
    void *message;             /* the edge's; given back when the record goes */
    Engenho__Trigger *trigger; /* owned; NULL: an event in place */
    const uint8_t *event; /* a packed Event: in value or owned; NULL: none, or in the trigger */
    size_t event_bytes;
    uint8_t *event_owned;
    struct event_view view;  /* of `event` */
    const char *undecodable; /* why it is no event; owned by the message or constant */
    unsigned open;           /* executions without an outcome */
    struct follower
        *followers; /* what is published after this record, and lines that wait for that */
    struct emit_list emits;
    struct emit *emitting;     /* next one to fill, while its transaction is being filled */
    int64_t due_us;            /* unix: of `later`, in the lane's heap until then */
    int64_t known_until_us;    /* monotonic: how long the catalog is waited for */
    LIST_ENTRY(record) all;    /* of the lane */
    STAILQ_ENTRY(record) next; /* of the publisher */
};
STAILQ_HEAD(record_list, record);

enum execution_state {
    EXECUTION_SEATLESS, /* waits for a request seat of its own */
    EXECUTION_WAITING,  /* in its line */
    EXECUTION_RUNNING   /* an interpreter has it */
};

/* One run of one record for one production. */
struct execution {
    enum execution_state state;
    struct record *record;         /* NULL: its lane is gone; its answer is thrown away */
    struct production *production; /* one reference */
    struct holder *holder;
    struct line *line; /* NULL: its lane is gone */
    struct code *code; /* lives as long as the production */
    uint64_t number;   /* RUNNING */
    uint32_t attempt;
    Engenho__TriggerKind kind;
    int64_t time_event_us, nominal_us, first_failure_us;
    bool waived;
    bool cancelled;        /* asked to stop: replaced */
    uint64_t sequence;     /* of arrival: the order within its line */
    struct seat *own_seat; /* owned: a request seat; NULL: the holder's */
    int64_t park_us;       /* SEATLESS: monotonic: until then it waits in its input's record */
    TAILQ_ENTRY(execution) next; /* of the line, or of the lane's seatless ones */
    char id[];
};
TAILQ_HEAD(execution_list, execution);

/*
 * Executions of one production with one ordering key, in order; or those of one production without
 * order.
 */
struct line {
    struct lane *lane;
    struct holder *holder;
    bool ordered;
    bool ready; /* in its holder's list */
    /* the last record with an outcome in this line, while it waits for others: what follows is
     * published after it */
    struct record *last;
    unsigned kept; /* reasons to keep it though it is empty */
    unsigned running;
    unsigned waiting_count;
    struct execution_list waiting;
    TAILQ_ENTRY(line) next;   /* of the holder's ready ones */
    UT_hash_handle hh;        /* of the lane */
    size_t key_bytes;         /* production NUL ordering key */
    const char *ordering_key; /* in `key` */
    char key[];
};
TAILQ_HEAD(line_list, line);

enum holder_state {
    HOLDER_STARTED,
    HOLDER_HELD,   /* by its breaker, or because its package is broken: its backlog is kept */
    HOLDER_STOPPED /* by a person, or deleted: what was not dispatched gets no outcome */
};

/*
 * Who holds a seat: a production (or an application on demand) of this processor, through all its
 * definitions.
 */
struct holder {
    enum holder_state state;
    struct production *production; /* the newest; one reference; NULL: not known any more */
    struct seat seat;
    struct breaker breaker;
    struct line_list ready; /* lines that may run but for the seat */
    bool in_ring;           /* it may run: seat, code and all */
    /* HELD by this worker: the definition that was seen; 0: by the catalog */
    uint64_t held_generation;
    struct code *waits_for; /* not NULL: a code that is not ready yet */
    unsigned running, waiting;
    double mean_us;  /* moving mean of what a run takes; 0: not known */
    uint64_t parked; /* its records in the `later` of all lanes, not in memory */
    bool starved;    /* it has waited long for its seat: what comes of it is parked */
    bool feeding;    /* the seat came: it is kept while what was parked is read */
    bool watched;
    int64_t watch_us; /* monotonic: when it has waited long, or was kept long enough */
    TAILQ_ENTRY(holder) watch;
    TAILQ_ENTRY(holder) ring;
    UT_hash_handle hh;
    char name[]; /* d/<application> on demand, p/<production> */
};
TAILQ_HEAD(holder_list, holder);

/* What `state` keeps of one production and ordering key. */
struct cache {
    char *user_cache_json, *last_executed_json; /* owned; NULL: none */
    int64_t newest_event_us;
    UT_hash_handle hh;
    size_t key_bytes;
    char key[]; /* cache/<production>/<ordering key> */
};

/* How many parked records of one line stand in the lane's `later`, not in memory. */
struct parked {
    struct holder *holder;
    uint64_t count;
    UT_hash_handle hh;
    size_t key_bytes;
    char key[]; /* the holder's name, NUL, the ordering key */
};

enum lane_state {
    LANE_TAKING,   /* the edge reads offsets, state and later */
    LANE_CLAIMING, /* its first commit is on the way */
    LANE_RUNNING,
    LANE_CLOSING, /* given away or stopping: what runs may finish */
    LANE_CLOSED   /* its last commit is done */
};

/* One input partition of the agent, and what is left behind by its executions. */
struct lane {
    struct engine *engine;
    enum lane_state state;
    char *topic; /* input's, without prefix: events, triggers.default */
    bool is_triggers;
    int32_t partition;
    struct offsets input, later;
    /* parked records of `later` below it have been counted when they were first read */
    int64_t later_counted;
    struct cache *caches;
    struct line *lines;
    unsigned pinned; /* walks over `lines`: none is freed meanwhile */
    struct parked *parked;
    LIST_HEAD(, record) records;
    struct record_list unknown; /* wait for the catalog */
    size_t undecided;           /* of them, events: what follows them waits too */
    struct execution_list seatless;
    unsigned seatless_count;
    int64_t park_us; /* monotonic: when to look whether one of them is to be parked */
    /* parked records of `later` were left there for want of room: it is read again */
    bool passed_over;
    /* and so were those from unseen_offset on, which the map of `later` can not take yet */
    bool later_unseen;
    int64_t unseen_offset;
    struct record **due; /* heap by due_us */
    size_t due_count, due_capacity;
    unsigned running;        /* executions that an interpreter has */
    unsigned open;           /* records without all outcomes */
    bool dirty;              /* its offset is to be committed, even if nothing is written */
    bool urgent;             /* and soon */
    bool later_dirty;        /* so is its position in `later` */
    struct record_list held; /* finished, but its completion map can't take them yet */
    int64_t committed;       /* the input offset of the last commit that happened */
    int64_t later_committed; /* the same of `later` */
    uint32_t unclean_starts;
    int64_t unclean_at;       /* the committed offset it was taken from */
    int64_t later_unclean_at; /* the same of `later`; -1: nothing waited there */
    bool one_by_one;
    int64_t alone_until, later_alone_until; /* offsets at which it ends */
    struct record *suspect;                 /* one by one: marked in the metadata, or about to be */
    bool suspect_committed;
    /* the record that took the last owner down; -1: none */
    int64_t crashed_offset, crashed_later_offset;
    bool close_wanted;     /* given away before it was claimed */
    bool touched[2];       /* the transaction writes for it */
    bool later_touched[2]; /* and for its `later` */
    size_t queued;         /* its records that wait for a transaction */
    void *edge;
    TAILQ_ENTRY(lane) next;
};
TAILQ_HEAD(lane_list, lane);

#endif
