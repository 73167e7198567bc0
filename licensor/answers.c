/*
 * From store_answer to FromLicensor.
 */
#include "licensor/answers.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/explain.h"

#define USAGE_BYTES_MAX ((size_t)512 * 1024)
#define TEXT(value)                                                                                \
    ((char *)(uintptr_t)(value)) /* protobuf-c has no const; nothing is written through it */

static void send_message(const struct answers *answers, Engenho__FromLicensor *message)
{
    message->highest_op = answers->highest_op;
    size_t bytes = engenho__from_licensor__get_packed_size(message);
    uint8_t *payload = memory_new(1, bytes + 1);
    engenho__from_licensor__pack(message, payload);
    answers->sink(answers->context, payload, bytes);
    free(payload);
}

static Engenho__FromLicensor message_of(uint64_t id)
{
    Engenho__FromLicensor message = ENGENHO__FROM_LICENSOR__INIT;
    message.id = id;
    return message;
}

static const Engenho__RefusalReason reasons[] = {
    [STORE_NO_REASON] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN,
    [STORE_NO_KEY] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_NO_KEY,
    [STORE_NAME_IN_USE] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_NAME_IN_USE,
    [STORE_POOL_LIMIT] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_POOL_LIMIT,
    [STORE_EDITION_LIMIT] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_EDITION_LIMIT,
    [STORE_LINE_FULL] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_POOL_LIMIT,
    [STORE_UNKNOWN_POOL] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_POOL,
    [STORE_UNKNOWN_SESSION] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_UNKNOWN_SESSION,
    [STORE_RECOVERING] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_RECOVERING,
    [STORE_STALE] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_STALE,
    [STORE_LATE] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_STALE,
    [STORE_BAD_REQUEST] = ENGENHO__REFUSAL_REASON__REFUSAL_REASON_BAD_REQUEST,
};

void answers_refuse(const struct answers *answers, uint64_t id, Engenho__RefusalReason reason,
                    const struct refusal_text *text, int64_t retry_after_us)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__Refused refused = ENGENHO__REFUSED__INIT;
    refused.reason = reason;
    refused.text = TEXT(text->en);
    refused.text_pt = TEXT(text->pt);
    refused.retry_after_us = retry_after_us;
    message.refused = &refused;
    send_message(answers, &message);
}

static void send_refused(const struct answers *answers, uint64_t id,
                         const struct store_answer *answer)
{
    struct refusal_text text;
    refusal_write(answer, answers->limits, &text);
    int64_t retry_us = 0;
    if (answer->reason == STORE_NO_KEY || answer->reason == STORE_NAME_IN_USE ||
        answer->reason == STORE_LATE) {
        retry_us = answers->heartbeat_us;
    } else if (answer->reason == STORE_RECOVERING) {
        retry_us = answers->lease_us / 4;
    }
    answers_refuse(answers, id, reasons[answer->reason], &text, retry_us);
}

static void send_registered(const struct answers *answers, uint64_t id,
                            const struct store_answer *answer)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__Registered registered = ENGENHO__REGISTERED__INIT;
    const struct limits *limits = answers->limits;
    registered.session = TEXT(answer->session);
    registered.slot = answer->slot;
    registered.edition = TEXT(edition_word(limits->edition));
    registered.interpreters = limits->interpreters;
    registered.productions = limits->productions;
    registered.lease_us = answers->lease_us;
    registered.heartbeat_us = answers->heartbeat_us;
    registered.licence_generation = answers->licence_generation;
    registered.contact = TEXT(limits->contact);
    registered.strict = limits->strict;
    registered.n_lost_tokens = answer->lost_count;
    registered.lost_tokens = answer->lost;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_REGISTERED;
    message.registered = &registered;
    send_message(answers, &message);
}

static void send_heartbeat(const struct answers *answers, uint64_t id,
                           const struct store_answer *answer, bool store_down)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__HeartbeatAnswer body = ENGENHO__HEARTBEAT_ANSWER__INIT;
    char *pools[POOLS_MAX * 2];
    body.store_down = store_down;
    body.edition = TEXT(edition_word(answers->limits->edition));
    body.interpreters = answers->limits->interpreters;
    body.productions = answers->limits->productions;
    body.waited_pools = pools;
    if (answer != NULL) {
        body.reclaim = answer->recovering;
        for (size_t i = 0; i < answer->waited_count && i < ARRAY_SIZE(pools); i++) {
            pools[body.n_waited_pools++] = answer->waited[i];
        }
    }
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_HEARTBEAT;
    message.heartbeat = &body;
    send_message(answers, &message);
}

void answers_store_down(const struct answers *answers, uint64_t id)
{
    send_heartbeat(answers, id, NULL, true);
}

static void send_granted(const struct answers *answers, uint64_t id,
                         const struct store_grant *grant)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__Granted granted = ENGENHO__GRANTED__INIT;
    granted.request = TEXT(grant->request);
    granted.token = grant->token;
    granted.pool = TEXT(grant->pool);
    granted.requested_pool = TEXT(grant->requested);
    granted.number = grant->number;
    granted.reused = grant->reused;
    granted.escalated = grant->escalated;
    granted.waived = grant->waived;
    granted.life_left_us = grant->life_left_ms * 1000;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_GRANTED;
    message.granted = &granted;
    send_message(answers, &message);
}

void answers_push_grant(const struct answers *answers, const struct store_grant *grant)
{
    send_granted(answers, 0, grant);
}

static void send_waiting(const struct answers *answers, uint64_t id, const char *request,
                         uint32_t ahead)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__Waiting waiting = ENGENHO__WAITING__INIT;
    waiting.request = TEXT(request);
    waiting.ahead = ahead;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_WAITING;
    message.waiting = &waiting;
    send_message(answers, &message);
}

static void send_released(const struct answers *answers, uint64_t id, const char *request,
                          const struct store_answer *answer)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__Released released = ENGENHO__RELEASED__INIT;
    released.request = TEXT(request);
    released.queued = answer->queued;
    released.life_left_us = answer->life_left_ms * 1000;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_RELEASED;
    message.released = &released;
    send_message(answers, &message);
}

void answers_explain(const struct answers *answers, uint64_t id, const char *request,
                     const struct store_story *story, const struct store_answer *holders)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__Explanation explanation = ENGENHO__EXPLANATION__INIT;
    char text[EXPLANATION_BYTES];
    explain_write(request, story, answers->limits, text);
    if (holders != NULL) {
        explain_holders(holders, text);
    }
    explanation.text = text;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_EXPLANATION;
    message.explanation = &explanation;
    send_message(answers, &message);
}

/* Rows of a SeatList, each with the pointer that protobuf wants; one allocation for each kind. */
struct list_rows {
    Engenho__PoolState *pools;
    Engenho__PoolState **pool_pointers;
    Engenho__Seat *seats;
    Engenho__Seat **seat_pointers;
    Engenho__ProcessorState *processors;
    Engenho__ProcessorState **processor_pointers;
};

static void fill_pools(struct list_rows *rows, const struct store_answer *answer)
{
    for (size_t i = 0; i < answer->pools_count; i++) {
        const struct store_pool_row *from = &answer->pools[i];
        Engenho__PoolState *to = rows->pool_pointers[i] = &rows->pools[i];
        engenho__pool_state__init(to);
        to->pool = TEXT(from->pool);
        to->limit = from->limit;
        to->in_use = from->in_use;
        to->queued = from->queued;
        to->waiting = from->waiting;
        to->peak = from->peak;
        to->granted = from->granted;
        to->reused = from->reused;
        to->waived = from->waived;
        to->escalated = from->escalated;
        to->refused = from->refused;
        to->notified = from->notified;
    }
}

static const struct store_processor_row *processor_of(const struct store_answer *answer,
                                                      const char *session)
{
    for (size_t i = 0; i < answer->processors_count; i++) {
        if (strcmp(answer->processors[i].session, session) == 0) {
            return &answer->processors[i];
        }
    }
    return NULL;
}

static Engenho__SeatKind kind_of(const struct store_seat_row *row)
{
    switch (row->use) {
    case SEAT_HELD:
        return ENGENHO__SEAT_KIND__SEAT_KIND_HELD;
    case SEAT_REQUEST:
        return ENGENHO__SEAT_KIND__SEAT_KIND_REQUEST;
    case SEAT_NOTIFIED:
        return ENGENHO__SEAT_KIND__SEAT_KIND_NOTIFIED;
    }
    return ENGENHO__SEAT_KIND__SEAT_KIND_DEFAULT;
}

/* What the store does not keep of a queued seat follows from its life, which began with it. */
static int64_t since_of(const struct answers *answers, const struct store_answer *answer,
                        const struct store_seat_row *row)
{
    return strcmp(row->state, "queued") == 0
               ? (answer->now_ms + row->life_left_ms) * 1000 - answers->reuse_us
               : row->since_ms * 1000;
}

/* How long nobody has used it; 0: somebody does. */
static int64_t idle_of(const struct store_answer *answer, const struct store_seat_row *row)
{
    bool idle = strcmp(row->state, "queued") == 0 && answer->now_ms > row->since_ms;
    return idle ? (answer->now_ms - row->since_ms) * 1000 : 0;
}

static void fill_seats(struct list_rows *rows, const struct answers *answers,
                       const struct store_answer *answer)
{
    const struct store_processor_row *processor = NULL;
    for (size_t i = 0; i < answer->seats_count; i++) {
        const struct store_seat_row *from = &answer->seats[i];
        Engenho__Seat *to = rows->seat_pointers[i] = &rows->seats[i];
        engenho__seat__init(to);
        if (processor == NULL || strcmp(processor->session, from->session) != 0) {
            processor = processor_of(answer, from->session); /* seats come session by session */
        }
        if (processor != NULL) {
            to->processor = TEXT(processor->name);
            to->host = TEXT(processor->host);
            to->agent = TEXT(processor->agent);
        }
        to->pool = TEXT(from->pool);
        to->number = from->number;
        to->state = TEXT(from->state);
        to->production = TEXT(from->production);
        to->user = TEXT(from->user);
        to->request = TEXT(from->request);
        to->requested_pool = TEXT(from->requested);
        to->escalated = strcmp(from->pool, from->requested) != 0;
        to->since_us = since_of(answers, answer, from);
        to->idle_us = idle_of(answer, from);
        to->life_left_us = from->life_left_ms * 1000;
        to->token = from->token;
        to->kind = kind_of(from);
    }
}

static void fill_processors(struct list_rows *rows, const struct store_answer *answer)
{
    for (size_t i = 0; i < answer->processors_count; i++) {
        const struct store_processor_row *from = &answer->processors[i];
        Engenho__ProcessorState *to = rows->processor_pointers[i] = &rows->processors[i];
        engenho__processor_state__init(to);
        to->name = TEXT(from->name);
        to->agent = TEXT(from->agent);
        to->host = TEXT(from->host);
        to->pid = from->pid;
        to->slot = from->slot;
        to->session = TEXT(from->session);
        to->lease_left_us = from->lease_left_ms * 1000;
        to->productions = from->productions;
    }
}

static void send_list(const struct answers *answers, uint64_t id, const struct store_answer *answer)
{
    struct list_rows rows = {
        .pools = memory_new(answer->pools_count + 1, sizeof(*rows.pools)),
        .pool_pointers = memory_new(answer->pools_count + 1, sizeof(*rows.pool_pointers)),
        .seats = memory_new(answer->seats_count + 1, sizeof(*rows.seats)),
        .seat_pointers = memory_new(answer->seats_count + 1, sizeof(*rows.seat_pointers)),
        .processors = memory_new(answer->processors_count + 1, sizeof(*rows.processors)),
        .processor_pointers =
            memory_new(answer->processors_count + 1, sizeof(*rows.processor_pointers)),
    };
    fill_pools(&rows, answer);
    fill_seats(&rows, answers, answer);
    fill_processors(&rows, answer);
    Engenho__FromLicensor message = message_of(id);
    Engenho__SeatList list = ENGENHO__SEAT_LIST__INIT;
    list.n_pools = answer->pools_count;
    list.pools = rows.pool_pointers;
    list.n_seats = answer->seats_count;
    list.seats = rows.seat_pointers;
    list.n_processors = answer->processors_count;
    list.processors = rows.processor_pointers;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_SEATS;
    message.seats = &list;
    send_message(answers, &message);
    free(rows.pools);
    free(rows.pool_pointers);
    free(rows.seats);
    free(rows.seat_pointers);
    free(rows.processors);
    free(rows.processor_pointers);
}

/* One record with what it points at: protobuf wants pointers to pointers. */
struct usage_row {
    Engenho__UsageRecord record;
    Engenho__UsageRefusal refusals[3], *refusal_pointers[3];
    Engenho__UsageHolder holders[USAGE_HOLDERS_MAX + 1], *holder_pointers[USAGE_HOLDERS_MAX + 1];
};

static void fill_refusals(struct usage_row *row, const struct usage_record *from)
{
    const struct {
        enum store_reason reason;
        uint64_t count;
    } counts[] = {{STORE_POOL_LIMIT, from->refused_pool},
                  {STORE_EDITION_LIMIT, from->refused_edition},
                  {STORE_LINE_FULL, from->refused_line}};
    row->record.refusals = row->refusal_pointers;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        row->record.refused += counts[i].count;
        if (counts[i].count > 0) {
            Engenho__UsageRefusal *to = &row->refusals[row->record.n_refusals];
            engenho__usage_refusal__init(to);
            to->reason = TEXT(store_reason_word(counts[i].reason));
            to->count = counts[i].count;
            row->refusal_pointers[row->record.n_refusals++] = to;
        }
    }
}

static void fill_record(struct usage_row *row, const struct usage_record *from)
{
    Engenho__UsageRecord *to = &row->record;
    engenho__usage_record__init(to);
    to->id = TEXT(from->id);
    to->pool = TEXT(from->pool);
    to->from_us = from->from_ms * 1000;
    to->until_us = from->until_ms * 1000;
    to->granted = from->granted;
    to->reused = from->reused;
    to->waived = from->waived;
    to->escalated = from->escalated;
    to->notified = from->notified;
    to->peak = from->peak;
    to->limit = from->limit;
    to->waited = from->waited;
    to->wait_us_sum = (int64_t)from->wait_ms * 1000;
    to->overrun = from->overrun;
    fill_refusals(row, from);
    to->n_holders = from->holders_count;
    to->holders = row->holder_pointers;
    for (size_t i = 0; i < from->holders_count; i++) {
        engenho__usage_holder__init(&row->holders[i]);
        row->holders[i].processor = TEXT(from->holders[i].processor);
        row->holders[i].production = TEXT(from->holders[i].production);
        row->holders[i].granted = from->holders[i].granted;
        row->holder_pointers[i] = &row->holders[i];
    }
}

/* As many of the oldest as fit into a frame that any client takes. */
static void send_usage(const struct answers *answers, uint64_t id,
                       const struct store_answer *answer)
{
    struct usage_row *rows = memory_new(answer->records_count + 1, sizeof(*rows));
    Engenho__UsageRecord **pointers = memory_new(answer->records_count + 1, sizeof(*pointers));
    Engenho__FromLicensor message = message_of(id);
    Engenho__UsageRecords list = ENGENHO__USAGE_RECORDS__INIT;
    size_t bytes = 0;
    for (size_t i = 0; i < answer->records_count && bytes < USAGE_BYTES_MAX; i++) {
        fill_record(&rows[i], &answer->records[i]);
        pointers[i] = &rows[i].record;
        bytes += engenho__usage_record__get_packed_size(pointers[i]);
        list.n_records++;
    }
    list.records = pointers;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_USAGE;
    message.usage = &list;
    send_message(answers, &message);
    free(rows);
    free(pointers);
}

static void send_audit(const struct answers *answers, uint64_t id,
                       const struct store_answer *answer)
{
    Engenho__AuditEntry *rows = memory_new(answer->audit_count + 1, sizeof(*rows));
    Engenho__AuditEntry **pointers = memory_new(answer->audit_count + 1, sizeof(*pointers));
    Engenho__FromLicensor message = message_of(id);
    Engenho__AuditList list = ENGENHO__AUDIT_LIST__INIT;
    for (size_t i = 0; i < answer->audit_count; i++) {
        engenho__audit_entry__init(&rows[i]);
        rows[i].at_us = answer->audit[i].at_ms * 1000;
        rows[i].who = TEXT(answer->audit[i].who);
        rows[i].what = TEXT(answer->audit[i].what);
        rows[i].detail = TEXT(answer->audit[i].detail);
        pointers[i] = &rows[i];
    }
    list.n_entries = answer->audit_count;
    list.entries = pointers;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_AUDIT;
    message.audit = &list;
    send_message(answers, &message);
    free(rows);
    free(pointers);
}

/* Nothing but that it is done. */
static void send_done(const struct answers *answers, uint64_t id)
{
    Engenho__FromLicensor message = message_of(id);
    send_message(answers, &message);
}

void answers_send(const struct answers *answers, uint64_t id, const struct store_request *request,
                  const struct store_answer *answer)
{
    switch (answer->word) {
    case STORE_REGISTERED:
        send_registered(answers, id, answer);
        return;
    case STORE_ALIVE:
        send_heartbeat(answers, id, answer, false);
        return;
    case STORE_GRANTED:
        send_granted(answers, id, &answer->grant);
        return;
    case STORE_WAITING:
        send_waiting(answers, id, request->request, answer->ahead);
        return;
    case STORE_RECORDS:
        send_usage(answers, id, answer);
        return;
    case STORE_DONE:
        if (request->verb == STORE_ACKNOWLEDGE || request->verb == STORE_MASTER) {
            send_done(answers, id);
            return;
        }
        send_released(answers, id, request->request, answer);
        return;
    case STORE_TICKED:
    case STORE_RELEASED:
        send_released(answers, id, request->request, answer);
        return;
    case STORE_LISTED:
        send_list(answers, id, answer);
        return;
    case STORE_EXPLAINED:
        answers_explain(answers, id, request->request, &answer->story, NULL);
        return;
    case STORE_AUDITED:
        send_audit(answers, id, answer);
        return;
    case STORE_REFUSED:
        send_refused(answers, id, answer);
        return;
    }
}

void answers_push_notice(const struct answers *answers, const char *waited_pool, bool store_down)
{
    Engenho__FromLicensor message = message_of(0);
    Engenho__Notice notice = ENGENHO__NOTICE__INIT;
    char *pools[1] = {TEXT(waited_pool)};
    notice.n_waited_pools = waited_pool != NULL ? 1 : 0;
    notice.waited_pools = pools;
    notice.store_down = store_down;
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_NOTICE;
    message.notice = &notice;
    send_message(answers, &message);
}

void answers_licence(const struct answers *answers, uint64_t id, uint32_t keys_used,
                     const char *warning)
{
    Engenho__FromLicensor message = message_of(id);
    Engenho__LicenceState state = ENGENHO__LICENCE_STATE__INIT;
    const struct limits *limits = answers->limits;
    state.edition = TEXT(edition_word(limits->edition));
    state.customer = TEXT(limits->customer);
    state.keys = limits->keys;
    state.keys_used = keys_used;
    state.valid_from_us = limits->valid_from_us;
    state.valid_until_us = limits->valid_until_us;
    state.grace_days = limits->grace_days;
    state.in_grace = limits->in_grace;
    state.contact = TEXT(limits->contact);
    state.files = limits->files;
    state.warning = TEXT(warning);
    message.body_case = ENGENHO__FROM_LICENSOR__BODY_LICENCE;
    message.licence = &state;
    send_message(answers, &message);
}
