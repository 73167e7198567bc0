/*
 * Answers of the store as messages of the protocol. Core: pure.
 */
#ifndef ENGENHO_LICENSOR_ANSWERS_H
#define ENGENHO_LICENSOR_ANSWERS_H

#include "licensor/limits.h"
#include "licensor/refusal.h"
#include "licensor/store.h"
#include "proto/licensor.pb-c.h"

/* Where a packed message goes; the bytes are borrowed for the call. */
typedef void (*answers_sink)(void *context, const uint8_t *payload, size_t bytes);

/* What every answer carries. */
struct answers {
    const struct limits *limits;
    int64_t lease_us, heartbeat_us, reuse_us;
    uint64_t licence_generation;
    uint64_t highest_op;
    answers_sink sink;
    void *context;
};

/* The answer to the request `id` of the connection, whatever its word is. */
void answers_send(const struct answers *answers, uint64_t id, const struct store_request *request,
                  const struct store_answer *answer);
/* A grant to one that waited. */
void answers_push_grant(const struct answers *answers, const struct store_grant *grant);
void answers_push_notice(const struct answers *answers, const char *waited_pool, bool store_down);
/* A refusal that the store did not decide. */
void answers_refuse(const struct answers *answers, uint64_t id, Engenho__RefusalReason reason,
                    const struct refusal_text *text, int64_t retry_after_us);
/* The heartbeat's answer while the store is down: leases do not run. */
void answers_store_down(const struct answers *answers, uint64_t id);
/* An explanation; `holders` (a list of the story's pool) may be NULL. */
void answers_explain(const struct answers *answers, uint64_t id, const char *request,
                     const struct store_story *story, const struct store_answer *holders);
void answers_licence(const struct answers *answers, uint64_t id, uint32_t keys_used,
                     const char *warning);

#endif
