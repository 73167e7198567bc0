/*
 * An Execution as it stands in its frame: numbers decoded, texts and the event still there.
 * Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_REQUEST_H
#define ENGENHO_WORKER_INTERPRETER_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "worker/interpreter/wire.h"

struct request {
    uint64_t number;
    uint32_t code;
    uint32_t attempt;       /* from 1 */
    int kind;               /* TriggerKind */
    int64_t time_us;        /* of the event, else the nominal one */
    struct wire_span event; /* a packed Event; data is NULL: none */
    struct wire_span execution_id, user_cache, last_executed;
    struct wire_span message; /* all of it, for request_parameter */
    size_t parameter_count;
};

/* Spans borrow from `message`. Returns 0, or -EBADMSG: it is not an Execution. */
MUST_CHECK int request_read(struct wire_span message, struct request *ret_request);
/* The parameters of this run: name and JSON. Returns 1, 0: none of this index, -EBADMSG. */
MUST_CHECK int request_parameter(const struct request *request, size_t index,
                                 struct wire_span *ret_name, struct wire_span *ret_json);

#endif
