/*
 * Answers as text.
 */
#include "tests/sim/licensor/answer_text.h"

#include <assert.h>
#include <inttypes.h>

#define PRINT(...)                                                                                 \
    do {                                                                                           \
        int printed = buf_print(out, __VA_ARGS__);                                                 \
        assert(printed == 0);                                                                      \
    } while (0)

static void grant_text(const struct store_grant *g, struct buf *out)
{
    PRINT(" [%s %s token=%" PRIu64 " %s<-%s L%" PRIu64
          " reused=%d escalated=%d waived=%d life=%" PRId64 "]",
          g->session, g->request, g->token, g->pool, g->requested, g->number, g->reused,
          g->escalated, g->waived, g->life_left_ms);
}

static void list_text(const struct store_answer *a, struct buf *out)
{
    for (size_t i = 0; i < a->pools_count; i++) {
        const struct store_pool_row *p = &a->pools[i];
        PRINT("\n  pool %s limit=%u in_use=%u queued=%u waiting=%u peak=%u granted=%" PRIu64
              " reused=%" PRIu64 " waived=%" PRIu64 " escalated=%" PRIu64 " refused=%" PRIu64
              " notified=%" PRIu64,
              p->pool, p->limit, p->in_use, p->queued, p->waiting, p->peak, p->granted, p->reused,
              p->waived, p->escalated, p->refused, p->notified);
    }
    for (size_t i = 0; i < a->seats_count; i++) {
        const struct store_seat_row *s = &a->seats[i];
        PRINT("\n  seat %s<-%s L%" PRIu64
              " %s session=%s production=%s request=%s use=%d since=%" PRId64 " life=%" PRId64
              " token=%" PRIu64,
              s->pool, s->requested, s->number, s->state, s->session, s->production, s->request,
              s->use, s->since_ms, s->life_left_ms, s->token);
    }
    for (size_t i = 0; i < a->processors_count; i++) {
        const struct store_processor_row *p = &a->processors[i];
        PRINT("\n  processor %s %s/%s %s %d slot=%u lease=%" PRId64 " productions=%u", p->session,
              p->agent, p->name, p->host, p->pid, p->slot, p->lease_left_ms, p->productions);
    }
}

static void records_text(const struct store_answer *a, struct buf *out)
{
    for (size_t i = 0; i < a->records_count; i++) {
        const struct usage_record *r = &a->records[i];
        PRINT("\n  record %s %s %" PRId64 "-%" PRId64 " limit=%u peak=%u granted=%" PRIu64
              " reused=%" PRIu64 " waived=%" PRIu64 " escalated=%" PRIu64 " notified=%" PRIu64,
              r->id, r->pool, r->from_ms, r->until_ms, r->limit, r->peak, r->granted, r->reused,
              r->waived, r->escalated, r->notified);
        PRINT(" refused=%" PRIu64 "+%" PRIu64 "+%" PRIu64 " waited=%" PRIu64 " wait=%" PRIu64
              " overrun=%" PRIu64,
              r->refused_pool, r->refused_edition, r->refused_line, r->waited, r->wait_ms,
              r->overrun);
        for (size_t h = 0; h < r->holders_count; h++) {
            PRINT(" %s/%s=%" PRIu64, r->holders[h].processor, r->holders[h].production,
                  r->holders[h].granted);
        }
    }
}

static void story_text(const struct store_story *s, struct buf *out)
{
    PRINT(" story %s %s %s<-%s L%" PRIu64 " token=%" PRIu64 " at=%" PRId64 " %u/%u life=%" PRId64
          " %s",
          s->word, s->name, s->pool, s->requested, s->number, s->token, s->at_ms, s->in_use,
          s->limit, s->life_left_ms, store_reason_word(s->reason));
}

void answer_text(const struct store_answer *a, struct buf *out)
{
    PRINT("error=%d op=%" PRIu64 " now=%" PRId64 " word=%d reason=%s", a->error, a->op, a->now_ms,
          a->word, store_reason_word(a->reason));
    for (size_t i = 0; i < a->full_count; i++) {
        PRINT(" full %s %u/%u", a->full[i].pool, a->full[i].in_use, a->full[i].limit);
    }
    PRINT(" host=%s pid=%d", a->host, a->pid);
    if (a->word == STORE_GRANTED) {
        grant_text(&a->grant, out);
    }
    PRINT(" handed");
    for (size_t i = 0; i < a->handed_count; i++) {
        grant_text(&a->handed[i], out);
    }
    PRINT(" ahead=%u queued=%d life=%" PRId64 " held=%" PRId64
          " pool=%s session=%s slot=%u recovering=%d lost",
          a->ahead, a->queued, a->life_left_ms, a->held_ms, a->pool, a->session, a->slot,
          a->recovering);
    for (size_t i = 0; i < a->lost_count; i++) {
        PRINT(" %" PRIu64, a->lost[i]);
    }
    PRINT(" waited");
    for (size_t i = 0; i < a->waited_count; i++) {
        PRINT(" %s", a->waited[i]);
    }
    PRINT(" steps=%" PRIu64 " latest=%" PRId64 " alive=%u orphans", a->steps, a->latest_ms,
          a->alive);
    for (size_t i = 0; i < a->orphans_count; i++) {
        PRINT(" %s=%u", a->orphans[i].pool, a->orphans[i].seats);
    }
    PRINT(" demo=%d", a->demo);
    for (size_t i = 0; i < a->audit_count; i++) {
        const struct audit_entry *e = &a->audit[i];
        PRINT("\n  audit %" PRId64 " %s %s: %s", e->at_ms, e->who, e->what, e->detail);
    }
    story_text(&a->story, out);
    records_text(a, out);
    list_text(a, out);
}
