/*
 * One call of the API: what it asks, and how it is answered, exactly once. Only producer/api.
 */
#ifndef ENGENHO_PRODUCER_API_CALL_H
#define ENGENHO_PRODUCER_API_CALL_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "producer/api/api.h"
#include "producer/kafka_jobs.h"
#include "producer/writer.h"

#define CALL_BODY_BYTES_MAX (8 * 1024 * 1024) /* but packages */
#define CALL_ANSWER_BYTES_MAX (64 * 1024 * 1024)
#define CALL_PARTS_MAX 8

struct call {
    struct api *api;
    struct evhttp_request *request; /* libevent's */
    const char *handler;            /* label of metrics */
    const char *method;
    char *parts[CALL_PARTS_MAX]; /* of the path behind /v1/, decoded */
    int parts_count;
    /* everything behind the first part, decoded at once: names with slashes */
    char *tail;
    struct evkeyvalq query;
    const char *body; /* NUL-terminated copy */
    size_t body_bytes;
    int64_t start_us;
    struct buf out; /* the answer, for `json` */
    struct writer json;
    struct event *timer; /* the handler's; freed with the call; NULL: none */
    void *extra;         /* the handler's; freed with the call */
    LIST_ENTRY(call) next;
};

const struct api_services *call_services(const struct call *call);
const char *call_query(const struct call *call, const char *name); /* NULL: not given */
bool call_flag(const struct call *call, const char *name);         /* given, and not false or 0 */
const char *call_header(const struct call *call, const char *name);
/*
 * A whole number in [0, max]. Returns whether it is one or absent (then `*value` stays); else the
 * call was answered.
 */
bool call_number(struct call *call, const char *name, int64_t max, int64_t *value);

/* Answer what was written into call->json. Ends the call. */
void call_reply(struct call *call, int code);
/* {"error", "where", "fix"}. Ends the call. */
void call_refuse(struct call *call, int code, const char *where, const char *fix,
                 const char *format, ...) PRINTF_LIKE(5, 6);
/* The same with more members: begin, write into call->json, call_reply. */
void call_refuse_begin(struct call *call, const char *where, const char *fix, const char *text);
/* Answer with bytes of any type. Ends the call. */
void call_reply_bytes(struct call *call, int code, const char *type, const void *data,
                      size_t bytes);
void call_set_header(struct call *call, const char *name, const char *value);

/*
 * Kafka has not answered yet, or something of ours is not ready: 503 with the reason. Ends the
 * call.
 */
void call_unavailable(struct call *call, const char *what);
/* Run the job, whose `done` ends the call; 503 about `what` when too many wait. Takes `job`. */
void call_ask_kafka(struct call *call, struct kafka_job *job, const char *what);
/*
 * Hand the call to the replica that owns the shard; 503 with a reason when there is none. Ends the
 * call, at once or later.
 */
void call_forward(struct call *call, int shard);

/* Of libevent's request: handlers use the above. */
struct call *call_new(struct api *api, struct evhttp_request *request);
void call_end(struct call *call);

#endif
