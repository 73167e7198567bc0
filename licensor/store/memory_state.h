/*
 * The state of the memory store, and what its files do for each other. Nobody else includes it.
 */
#ifndef ENGENHO_LICENSOR_STORE_MEMORY_STATE_H
#define ENGENHO_LICENSOR_STORE_MEMORY_STATE_H

#include <sys/queue.h>
#include <uthash.h>

#include "licensor/store/memory.h"

struct member;

/* One request's place in the line of one pool. */
struct place {
    struct ask *ask;
    TAILQ_ENTRY(place) next;
};
TAILQ_HEAD(line, place);

/* A freed seat with life left. */
struct queued {
    uint64_t number;
    int64_t life_end_ms, freed_ms;
};

/* What is counted of a pool until its minute is closed. */
struct minute {
    int64_t opened_ms; /* 0: not open */
    int64_t last;      /* minute of the newest record */
    struct usage_record counts;
};

struct pool {
    char name[POOL_BYTES_MAX + 1];
    bool listed; /* it ever had a seat, a line or a limit */
    bool licensed;
    uint32_t cap;
    bool shared; /* all productions of a session share a seat */
    struct reservation reserved[RESERVATIONS_MAX];
    size_t reserved_count;
    uint32_t used; /* busy and queued */
    /* how far `used` may be above the cap: it was lowered, or workers claimed what they hold */
    uint32_t over;
    uint64_t seq;
    /* soonest to die first; those that die together by number */
    struct queued *queue;
    size_t queue_count, queue_room;
    struct line line; /* by arrival */
    uint32_t line_count;
    struct store_pool_row totals; /* only peak and the counters */
    struct minute minute;
    UT_hash_handle hh;
};

/* A busy seat. */
struct seat {
    char *request; /* that took it */
    char *production, *user;
    enum seat_use use;
    struct pool *pool;
    char requested[POOL_BYTES_MAX + 1];
    uint64_t number, token;
    int64_t since_ms, life_end_ms;
    bool reused;
    uint32_t others;    /* waived requests that hang on it */
    bool ended;         /* its own request is over */
    bool shared;        /* by all productions of its session */
    uint32_t used, cap; /* of the pool, right after it was granted */
    UT_hash_handle hh;
};

/* A production that runs on a held seat, with how many requests. */
struct holding {
    char *production;
    struct seat *seat;
    uint32_t requests;
    UT_hash_handle hh;
};

/* A waived request. */
struct waived {
    char *request, *production;
    struct seat *seat;
    UT_hash_handle hh;
};

/* A request that waits. */
struct ask {
    struct member *member;
    char *request;
    char *production, *user;
    enum seat_use use;
    struct pool *pools[CHAIN_POOLS_MAX];
    struct place places[CHAIN_POOLS_MAX];
    size_t pools_count;
    int64_t reuse_ms, since_ms;
    UT_hash_handle hh;
};

/* A session of a processor. */
struct member {
    char id[SESSION_BYTES_MAX + 1];
    char *name, *agent, *host, *connection;
    int32_t pid;
    int64_t began_us; /* of the process that registered, and the number of its registration */
    uint64_t sequence;
    uint32_t slot;
    int64_t beat_ms, lease_end_ms;
    uint64_t claimed;         /* the recovery it took part in */
    struct seat *seats;       /* by request */
    struct holding *holdings; /* productions that run */
    struct waived *waived;
    struct ask *asks;
    UT_hash_handle hh;
};

/* The answer that a request already got. */
struct memo {
    char *request;
    char session[SESSION_BYTES_MAX + 1];
    int64_t at_ms, dies_ms; /* it still lives in the millisecond dies_ms, */
    uint64_t generation;    /* and while this is the newest or the one before it */
    bool has_seat;
    struct store_grant grant; /* life_left_ms is the end of life */
    bool waived;
    int64_t since_ms, life_left_ms, held_ms;
    uint32_t used, cap;
    enum store_reason reason;
    struct store_full full[CHAIN_POOLS_MAX];
    size_t full_count;
    char first_pool[POOL_BYTES_MAX + 1];
    UT_hash_handle hh;
};

struct memory {
    struct store store;
    int64_t now_ms;
    uint64_t op;
    uint32_t processors, productions; /* the licence's */
    struct pool *pools;
    struct member *members;
    struct memo *memos;
    uint64_t memo_generation;
    int64_t memo_since_ms;         /* of the generation */
    bool demo;                     /* the Master is in demo */
    struct usage_record **records; /* of closed minutes, by minute and pool */
    size_t records_count;
    struct audit_entry **audit; /* newest first */
    size_t audit_count;
    int64_t recover_ms; /* no new grants before it */
    uint64_t epoch;     /* recoveries */
    bool ticked;
    int64_t last_tick_ms, latest_ms;
    uint64_t steps;
    struct store_grant *handed; /* of the transition that is going on */
    size_t handed_count, handed_room;
};

/* memory_pool.c */
struct pool *pool_find(struct memory *memory, const char *name);
struct pool *pool_get(struct memory *memory, const char *name); /* made when new */
void pool_purge(struct memory *memory, struct pool *pool);
/*
 * Consume or re-use a seat for somebody of this agent. Returns whether there was one; then number,
 * life_end_ms, reused, used and cap of `seat` are set.
 */
MUST_CHECK bool pool_take(struct memory *memory, struct pool *pool, const char *agent,
                          int64_t reuse_ms, struct seat *seat);
/* Give a seat back; returns the life left in ms, 0: gone. */
int64_t pool_give(struct memory *memory, struct pool *pool, uint64_t number, int64_t life_end_ms,
                  bool may_queue);
/* Whether any seat is free, whoever may have it. */
bool pool_has_seat(struct memory *memory, struct pool *pool);
/* Whether one is free that this agent may take: others' reservations are left alone. */
bool pool_has_room(struct memory *memory, struct pool *pool, const char *agent);
uint32_t pool_busy(const struct pool *pool);
/* Take a number out of the queue. Returns whether it was there. */
bool pool_unqueue(struct pool *pool, uint64_t number);
void pool_sort_queue(struct pool *pool);
int pool_by_name(const struct pool *a, const struct pool *b);

/* memory_seat.c */
void memory_acquire(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer);
void memory_release(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer);
void memory_operator_release(struct memory *memory, const struct store_request *request,
                             struct store_answer *answer);
/* A seat ends; it is freed. Returns the life left in ms. */
int64_t memory_end_seat(struct memory *memory, struct member *member, struct seat *seat,
                        bool may_queue);
/* Grant a seat that was taken into `taken` (number, life, used ...). */
struct seat *memory_grant_seat(struct memory *memory, struct member *member, const struct ask *ask,
                               struct pool *pool, const struct seat *taken);
/* The asker has the seat already: shown, not counted. */
void memory_waive(struct memory *memory, struct member *member, const struct ask *ask,
                  struct seat *seat, struct store_grant *ret_grant);
void memory_add_seat(struct member *member, struct seat *seat);
/* A request hangs on the seat from now on; it is not counted anywhere. */
void memory_add_waived(struct member *member, struct seat *seat, const char *request,
                       const char *production);
/* It is over, and its production as far as it was its last request. */
void memory_end_waived(struct member *member, struct waived *waived);
/* The request that took the seat is over. */
void memory_end_own(struct member *member, struct seat *seat);
bool memory_recovering(const struct memory *memory);
uint64_t memory_next_op(struct memory *memory);
void memory_refuse(struct store_answer *answer, enum store_reason reason);
void memory_grant_of(const struct memory *memory, const struct member *member, const char *request,
                     const struct seat *seat, struct store_grant *ret_grant);

/* memory_line.c */
void memory_stand_in_line(struct memory *memory, struct member *member, const struct ask *template,
                          struct store_answer *answer);
void memory_leave_line(struct ask *ask);
/* How many are before it. */
uint32_t memory_rank_of(const struct ask *ask);
bool memory_line_is_full(const struct ask *ask, uint32_t line_max);
/* Serve the line of a pool, or of all pools in the order of their names. */
void memory_hand_over(struct memory *memory, struct pool *pool);
void memory_hand_over_all(struct memory *memory);
/* What waits although its holder has a seat, which did not come by the line, is waived. */
void memory_join(struct memory *memory, struct member *member);

/* memory_hold.c */
/* Who has the seat that this production would share; NULL: nobody. */
struct seat *hold_of_production(const struct member *member, const char *production);
struct seat *hold_of_pool(const struct member *member, const struct pool *pool);
uint32_t hold_productions(const struct member *member);
void hold_begin(struct member *member, struct seat *seat, const char *production);
void hold_end(struct member *member, const struct seat *seat, const char *production);
/* No production runs on the seat any more. */
void hold_end_all(struct member *member, const struct seat *seat);

/* memory_memo.c */
struct memo *memory_memo(struct memory *memory, const char *request);
/* A new one; what the request had is forgotten. */
struct memo *memory_remember(struct memory *memory, const struct store_request *request);
void memory_forget_memo(struct memory *memory, struct memo *memo);
/* A generation begins once the newest is `memo_ms` old. */
void memory_turn_memos(struct memory *memory, int64_t memo_ms);

/* memory_usage.c */
/* The counters of the pool's minute; open from now on. */
struct usage_record *usage_of(struct memory *memory, struct pool *pool);
void usage_peak(struct memory *memory, struct pool *pool);
void memory_count_holders(struct memory *memory, const struct store_request *request);
/* Close the minutes of all pools that are over. */
void memory_close_minutes(struct memory *memory);
void memory_usage(struct memory *memory, const struct store_request *request,
                  struct store_answer *answer);
void memory_acknowledge(struct memory *memory, const struct store_request *request,
                        struct store_answer *answer);

/* memory_audit.c */
/* A new entry, borrowed until the next; its detail is empty. */
struct audit_entry *memory_audit(struct memory *memory, const char *who, const char *what);
void memory_audit_free(struct memory *memory);
void memory_write_audit(struct memory *memory, const struct store_request *request,
                        struct store_answer *answer);
void memory_list_audit(struct memory *memory, const struct store_request *request,
                       struct store_answer *answer);
void memory_master(struct memory *memory, const struct store_request *request,
                   struct store_answer *answer);

/* memory_session.c */
struct member *memory_member(const struct memory *memory, const char *session);
void memory_register(struct memory *memory, const struct store_request *request,
                     struct store_answer *answer);
void memory_heartbeat(struct memory *memory, const struct store_request *request,
                      struct store_answer *answer);
void memory_disconnect(struct memory *memory, const struct store_request *request,
                       struct store_answer *answer);
void memory_goodbye(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer);
/* The session is over. `orphans`, when not NULL, counts its seats by pool. */
void memory_end_session(struct memory *memory, struct member *member, struct store_answer *orphans);
/* Writes were lost, if `highest` is above our number. */
void memory_recover(struct memory *memory, uint64_t highest, int64_t lease_ms);
/* Sessions by end of lease, then id. */
int member_by_lease(const struct member *a, const struct member *b);

/* memory_clock.c */
void memory_tick(struct memory *memory, const struct store_request *request,
                 struct store_answer *answer);
void memory_limits(struct memory *memory, const struct store_request *request,
                   struct store_answer *answer);

/* memory_list.c */
void memory_list(struct memory *memory, const struct store_request *request,
                 struct store_answer *answer);
void memory_explain(struct memory *memory, const struct store_request *request,
                    struct store_answer *answer);
/* The rows of pools: of `only`, or all when it is "". */
void memory_list_pools(struct memory *memory, const char *only, struct store_answer *answer);

#endif
