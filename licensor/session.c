/*
 * Requests of a connection that wait.
 */
#include "licensor/session.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/memory.h"

struct waiting {
    char *request;
    uint8_t *frame;
    size_t bytes;
    int64_t since_mono_us;
    bool in_line;              /* answered "waiting" */
    struct store_grant *early; /* granted before that */
    UT_hash_handle hh;
};

static struct waiting *find(const struct session *session, const char *request)
{
    struct waiting *waiting;
    HASH_FIND_STR(session->waiting, request, waiting);
    return waiting;
}

static void forget(struct session *session, struct waiting *waiting)
{
    HASH_DEL(session->waiting, waiting);
    free(waiting->request);
    free(waiting->frame);
    free(waiting->early);
    free(waiting);
}

void session_release(struct session *session)
{
    struct waiting *waiting, *next;
    HASH_ITER (hh, session->waiting, waiting, next) {
        forget(session, waiting);
    }
    session->id[0] = '\0';
}

void session_ask(struct session *session, const char *request, const uint8_t *frame, size_t bytes,
                 int64_t now_mono_us)
{
    if (find(session, request) != NULL) {
        return;
    }
    struct waiting *waiting = memory_new(1, sizeof(*waiting));
    waiting->request = memory_copy_text(request);
    waiting->frame = memory_copy(frame, bytes);
    waiting->bytes = bytes;
    waiting->since_mono_us = now_mono_us;
    HASH_ADD_KEYPTR(hh, session->waiting, waiting->request, strlen(waiting->request), waiting);
}

bool session_waits(struct session *session, const char *request, struct store_grant *ret_grant)
{
    struct waiting *waiting = find(session, request);
    if (waiting == NULL) {
        return false;
    }
    waiting->in_line = true;
    if (waiting->early == NULL) {
        return false;
    }
    *ret_grant = *waiting->early;
    forget(session, waiting);
    return true;
}

void session_forget(struct session *session, const char *request)
{
    struct waiting *waiting = find(session, request);
    if (waiting != NULL) {
        forget(session, waiting);
    }
}

bool session_granted(struct session *session, const struct store_grant *grant, int64_t now_mono_us,
                     int64_t *ret_waited_us)
{
    struct waiting *waiting = find(session, grant->request);
    if (waiting == NULL) {
        return false;
    }
    if (!waiting->in_line) {
        if (waiting->early == NULL) {
            waiting->early = memory_copy(grant, sizeof(*grant));
        }
        return false;
    }
    *ret_waited_us = now_mono_us - waiting->since_mono_us;
    forget(session, waiting);
    return true;
}

const uint8_t *session_frame(const struct session *session, const char *request, size_t *ret_bytes)
{
    const struct waiting *waiting = find(session, request);
    *ret_bytes = waiting != NULL ? waiting->bytes : 0;
    return waiting != NULL ? waiting->frame : NULL;
}

void session_each_waiting(const struct session *session,
                          void (*visit)(void *context, const uint8_t *frame, size_t bytes),
                          void *context)
{
    struct waiting *waiting, *next;
    HASH_ITER (hh, session->waiting, waiting, next) {
        if (waiting->in_line) {
            visit(context, waiting->frame, waiting->bytes);
        }
    }
}
