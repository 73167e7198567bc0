/*
 * The store of keys and seats: a port. Redis is one store of the rules, memory another;
 * tests/sim/licensor compares them, operation by operation.
 *
 * A store takes a transition and answers it once, later, by the callback that came with it.
 * Transitions of one store are applied in the order they were submitted. Times are the store's own
 * wall clock, in milliseconds.
 */
#ifndef ENGENHO_LICENSOR_STORE_H
#define ENGENHO_LICENSOR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/names.h"

#define SESSION_BYTES_MAX 32
#define REQUEST_BYTES_MAX 120
#define POOL_BYTES_MAX 60
#define HOST_BYTES_MAX 255
#define CHAIN_POOLS_MAX 8
#define CLAIMS_MAX 4096
#define POOLS_MAX 64
#define RESERVATIONS_MAX 8
#define USAGE_ID_BYTES_MAX (POOL_BYTES_MAX + 21)
#define USAGE_HOLDERS_MAX 32 /* by name; the rest are one more, without a name */
#define USAGE_RECORDS_MAX 1000
#define AUDIT_ENTRIES_MAX 1000
#define AUDIT_WHAT_BYTES_MAX 20
#define AUDIT_DETAIL_BYTES_MAX 700

enum store_verb {
    STORE_HELLO,
    STORE_LIMITS,
    STORE_REGISTER,
    STORE_HEARTBEAT,
    STORE_DISCONNECT,
    STORE_GOODBYE,
    STORE_ACQUIRE,
    STORE_RELEASE,
    STORE_OPERATOR_RELEASE,
    STORE_TICK,
    STORE_LIST,
    STORE_EXPLAIN,
    STORE_MASTER,
    STORE_USAGE,
    STORE_ACKNOWLEDGE,
    STORE_AUDIT,
    STORE_LIST_AUDIT
};
#define STORE_VERBS 17

enum seat_use { SEAT_HELD, SEAT_REQUEST, SEAT_NOTIFIED };

enum store_word {
    STORE_DONE,
    STORE_REGISTERED,
    STORE_ALIVE,
    STORE_GRANTED,
    STORE_WAITING,
    STORE_RELEASED,
    STORE_TICKED,
    STORE_LISTED,
    STORE_EXPLAINED,
    STORE_RECORDS,
    STORE_AUDITED,
    STORE_REFUSED
};

enum store_reason {
    STORE_NO_REASON,
    STORE_NO_KEY,
    STORE_NAME_IN_USE,
    STORE_POOL_LIMIT,
    STORE_EDITION_LIMIT,
    STORE_LINE_FULL,
    STORE_UNKNOWN_POOL,
    STORE_UNKNOWN_SESSION,
    STORE_RECOVERING,
    STORE_STALE,
    STORE_LATE, /* a registration or heartbeat that a newer registration overtook */
    STORE_BAD_REQUEST
};

/* Seats that only processors of this agent take. */
struct reservation {
    char agent[AGENT_NAME_BYTES_MAX + 1];
    uint32_t seats;
};

struct pool_limit {
    char pool[POOL_BYTES_MAX + 1];
    uint32_t cap;
    bool shared; /* "holder: pool": all productions of a processor share one seat */
    struct reservation reserved[RESERVATIONS_MAX];
    size_t reserved_count;
};

/* Seats of a pool. */
struct pool_count {
    char pool[POOL_BYTES_MAX + 1];
    uint32_t seats;
};

/* Who was granted how many seats of a pool; borrowed texts. */
struct store_holder {
    const char *pool, *processor, *production;
    uint64_t granted;
};

/* What a worker says it holds. Borrowed texts. */
struct store_claim {
    uint64_t token;
    uint64_t number;
    const char *pool;
    const char *production;
    const char *request;
    enum seat_use use;
};

/*
 * A transition; texts are borrowed for the call of store_submit. Members that a verb does not name
 * are ignored by it.
 */
struct store_request {
    enum store_verb verb;
    const char *session; /* register: the id of a new session; otherwise the session */
    const char *request; /* acquire, release, explain */
    int64_t lease_ms;    /* hello, register, heartbeat, tick */
    int64_t reuse_ms;    /* acquire, tick: life of a seat */
    int64_t memo_ms;     /* acquire, release, tick: how long an answer is remembered */
    uint64_t highest_op; /* hello, register, heartbeat */
    uint64_t token;      /* release, operator release */
    struct {
        const char *name, *agent, *host, *version, *connection, *old_session;
        int32_t pid;
        int64_t began_us;  /* of the process */
        uint64_t sequence; /* of its registrations; 0: not known. Heartbeat: of its connection's */
        const struct store_claim *claims;
        size_t claims_count;
        const char *const *waiting; /* requests that still wait */
        size_t waiting_count;
    } who; /* register; connection and sequence also heartbeat, connection also disconnect */
    struct {
        enum seat_use use;
        const char *production, *user;
        const char *const *pools;
        size_t pools_count;
        bool wait;
        uint32_t line_max;
    } ask; /* acquire */
    struct {
        const char *const *pools;
        const uint64_t *counts;
        const uint64_t *overruns; /* of them, those that went on past the lease */
        size_t count;
    } waived; /* heartbeat: executions waived at the worker, by pool */
    struct {
        uint32_t keys, productions;
        const struct pool_limit *pools;
        size_t pools_count;
    } limits;         /* limits */
    int64_t step_ms;  /* tick: the store's clock stepped by so much */
    uint64_t steps;   /* tick: steps that the store had counted when the caller looked */
    const char *pool; /* list: only this one; "" all */
    const struct store_holder *holders; /* tick: since the last one */
    size_t holders_count;
    bool demo;           /* master: it is in demo */
    uint32_t max;        /* usage: records at most; list audit: entries */
    const char *through; /* acknowledge: id of the last record stored */
    struct {
        const char *who, *what, *detail;
    } audit; /* audit; who also operator release and master */
};

struct store_grant {
    char session[SESSION_BYTES_MAX + 1];
    char request[REQUEST_BYTES_MAX + 1];
    uint64_t token; /* number of the transition; 0: notified */
    char pool[POOL_BYTES_MAX + 1];
    char requested[POOL_BYTES_MAX + 1];
    uint64_t number; /* the L-number */
    bool reused, escalated, waived;
    int64_t life_left_ms;
};

/* What was full, when a request was refused. */
struct store_full {
    char pool[POOL_BYTES_MAX + 1]; /* "": the processor's edition */
    uint32_t in_use, limit;
};

struct store_pool_row {
    char pool[POOL_BYTES_MAX + 1];
    uint32_t limit, in_use, queued, waiting, peak;
    uint64_t granted, reused, waived, escalated, refused, notified;
};

struct store_seat_row {
    char pool[POOL_BYTES_MAX + 1], requested[POOL_BYTES_MAX + 1];
    uint64_t number, token;
    char state[8]; /* busy, waived, queued, waiting */
    char session[SESSION_BYTES_MAX + 1];
    char production[NAME_BYTES_MAX + 1], user[NAME_BYTES_MAX + 1];
    char request[REQUEST_BYTES_MAX + 1];
    enum seat_use use;
    int64_t since_ms; /* queued: when it was freed */
    int64_t life_left_ms;
};

struct store_processor_row {
    char session[SESSION_BYTES_MAX + 1];
    char name[NAME_BYTES_MAX + 1], agent[AGENT_NAME_BYTES_MAX + 1], host[HOST_BYTES_MAX + 1];
    int32_t pid;
    uint32_t slot, productions;
    int64_t lease_left_ms;
};

/* What is known of one request. */
struct store_story {
    char word[10]; /* granted, reused, waived, waiting, released, refused */
    char name[NAME_BYTES_MAX + 1];
    char pool[POOL_BYTES_MAX + 1], requested[POOL_BYTES_MAX + 1];
    uint64_t number; /* waiting: how many are ahead */
    uint64_t token;
    int64_t at_ms;
    uint32_t in_use, limit; /* right after it was answered */
    int64_t life_left_ms;
    enum store_reason reason;
};

struct usage_holder {
    char processor[NAME_BYTES_MAX + 1], production[NAME_BYTES_MAX + 1]; /* "" and "": others */
    uint64_t granted;
};

/* What a pool was used for in one minute. */
struct usage_record {
    char id[USAGE_ID_BYTES_MAX + 1]; /* "<minute since 1970>:<pool>", never twice */
    char pool[POOL_BYTES_MAX + 1];
    int64_t from_ms, until_ms;
    uint32_t limit, peak;
    uint64_t granted, reused, waived, escalated, notified;
    uint64_t refused_pool, refused_edition, refused_line;
    uint64_t waited, wait_ms, overrun;
    struct usage_holder holders[USAGE_HOLDERS_MAX + 1];
    size_t holders_count;
};

/* What an operator did, or was refused. */
struct audit_entry {
    int64_t at_ms;
    char who[NAME_BYTES_MAX + 1]; /* "": not said */
    char what[AUDIT_WHAT_BYTES_MAX + 1];
    char detail[AUDIT_DETAIL_BYTES_MAX + 1]; /* what came of it */
};

struct store_answer {
    /* 0, or -EIO: the store does not answer; then nothing else is set and it may have happened */
    int error;
    uint64_t op; /* number of this transition, or of the newest one */
    int64_t now_ms;
    enum store_word word;
    enum store_reason reason;
    struct store_full full[CHAIN_POOLS_MAX]; /* refused for a limit */
    size_t full_count;
    char host[HOST_BYTES_MAX + 1]; /* name in use: by whom */
    int32_t pid;
    struct store_grant grant;
    struct store_grant *handed; /* granted to those who waited, by this transition */
    size_t handed_count;
    uint32_t ahead; /* waiting: how many are before it */
    bool queued;    /* released with life left */
    int64_t life_left_ms, held_ms;
    char pool[POOL_BYTES_MAX + 1];       /* released: of the seat; "" when it only waited */
    char session[SESSION_BYTES_MAX + 1]; /* registered */
    uint32_t slot;
    uint64_t *lost; /* registered: tokens claimed that are not the session's any more */
    size_t lost_count;
    bool recovering; /* heartbeat: claim what you hold; hello and tick: no new grants now */
    char (*waited)[POOL_BYTES_MAX + 1]; /* heartbeat: pools with a waiting line */
    size_t waited_count;
    uint64_t steps;             /* tick */
    struct pool_count *orphans; /* tick: seats freed of dead sessions, by pool */
    size_t orphans_count;
    int64_t latest_ms;            /* tick: the latest time that the store ever saw */
    uint32_t alive;               /* tick: live sessions */
    bool demo;                    /* tick: the Master is in demo */
    struct store_pool_row *pools; /* list, tick */
    size_t pools_count;
    struct store_seat_row *seats;
    size_t seats_count;
    struct store_processor_row *processors;
    size_t processors_count;
    struct store_story story;     /* explain */
    struct usage_record *records; /* usage */
    size_t records_count;
    struct audit_entry *audit; /* list audit: newest first */
    size_t audit_count;
};

/* The answer is borrowed for the call. */
typedef void (*store_done)(void *context, const struct store_answer *answer);

struct store {
    void (*submit)(struct store *store, const struct store_request *request, store_done done,
                   void *context);
};

static inline void store_submit(struct store *store, const struct store_request *request,
                                store_done done, void *context)
{
    store->submit(store, request, done, context);
}

/* Free what the answer owns. */
void store_answer_release(struct store_answer *answer);

const char *store_reason_word(enum store_reason reason);
const char *seat_use_word(enum seat_use use);
/* Returns 0 or -EINVAL. */
MUST_CHECK int store_reason_parse(const char *word, enum store_reason *ret_reason);
MUST_CHECK int seat_use_parse(const char *word, enum seat_use *ret_use);

#endif
