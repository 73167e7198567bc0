/*
 * What the core's files call of one another, and nobody else does. Worker, core.
 */
#ifndef ENGENHO_WORKER_ENGINE_PARTS_H
#define ENGENHO_WORKER_ENGINE_PARTS_H

#include "worker/engine.h"

/* dispatch.c */
struct line *dispatch_line(struct lane *lane, struct holder *holder, bool ordered,
                           const char *ordering_key, size_t key_bytes);
void dispatch_add(struct execution *execution);
/* One that waits for a seat of its own: the seat came, or it waited in its line and has lost it. */
void dispatch_add_seatless(struct execution *execution);
void dispatch_seat_came(struct execution *execution);
void dispatch_seat_gone(struct execution *execution);
void dispatch_pump(struct engine *engine);
void dispatch_refresh(struct engine *engine, struct holder *holder);
/* A production whose every run takes a seat of its own. */
bool dispatch_takes_own_seats(const struct production *production);
/* Whether what comes of a holder is parked: it is held, or has waited long for its seat. */
bool dispatch_must_wait(const struct holder *holder);
/* Take a waiting execution out of its line; it is the caller's. */
void dispatch_remove(struct execution *execution);
void dispatch_drop_lane(struct lane *lane);
/* Forget what interpreters have of it: their answers are thrown away. */
void dispatch_orphan(struct lane *lane);
/* The lane's lines may run now. */
void dispatch_open_lane(struct lane *lane);
/* Nothing of it starts any more. */
void dispatch_close_lane(struct lane *lane);
void dispatch_free_line(struct line *line); /* if nothing is in it */
/* Its holder must wait: park what waits, once nothing of the line is at work. */
void dispatch_park_line(struct line *line);
/* The end of a walk over the lane's lines: the empty ones go. */
void dispatch_unpin(struct lane *lane);
void execution_free(struct execution *execution);

/* intake.c */
void intake_record(struct record *record);
void intake_unknown(struct engine *engine);
/* A record of `later` was read: if it is parked, it counts. */
void intake_count_parked(struct record *record);
bool intake_is_parked(const struct record *record);
void intake_park(struct execution *execution);
void intake_drop(struct execution *execution);

/* parking.c */
/* Whether something of this line stands in the lane's `later`, not in memory. */
bool parking_has(const struct lane *lane, const struct holder *holder, const char *ordering_key);
/* One more record of it does; one is read to be worked on. */
void parking_add(struct lane *lane, struct holder *holder, const char *ordering_key);
void parking_take(struct lane *lane, struct holder *holder, const char *ordering_key);
void parking_drop_lane(struct lane *lane);
/* Park all that waits of a holder. */
void parking_fill(struct engine *engine, const struct holder *holder);
/* All of it may run again: it is read from `later`. */
void parking_recall(struct engine *engine, const struct holder *holder);
/* The holder's seat was asked for: after park_after_us what waits for it is parked. */
void parking_wait(struct engine *engine, struct holder *holder);
void parking_end_wait(struct engine *engine, struct holder *holder);
/* The same for an execution that waits for a seat of its own; in `later` it waits for ever. */
void parking_wait_own(struct execution *execution);
/* Its seat came: it is kept while what was parked is read, until something of it runs. */
void parking_feed(struct engine *engine, struct holder *holder);
/* Its definition changed: whether it starves is to be seen again. */
void parking_forget(struct engine *engine, struct holder *holder);
int64_t parking_tick(struct engine *engine);

/* lane.c */
struct cache *lane_cache(struct lane *lane, const char *key, size_t key_bytes, bool make);
struct record *lane_record(struct lane *lane, const struct record_view *view, bool from_later);
/* An execution of the record has its outcome. */
void lane_settle_one(struct record *record);
/* An outcome of the execution is in its record: keep the order of its line. */
void lane_order(struct execution *execution);
void record_free(struct engine *engine, struct record *record);
int64_t lanes_tick(struct engine *engine);
/* A record of `later` comes again at this time (unix). */
void lane_wait_again(struct record *record, int64_t due_us);
/* `later` is read from its base again: parked records that wait come again, in their order. */
void lane_recall(struct lane *lane);
/* Whether as many executions wait for seats of their own as may. */
bool lane_seats_full(const struct lane *lane);
/* Whether the completion map can take one record more, wherever it is. */
bool lane_map_fits(const struct lane *lane);

/* isolation.c */
void isolation_begin(struct lane *lane, int64_t input_end);
/* How often in a row the lane was taken unclean, as a commit of this position says it. */
uint32_t isolation_unclean_starts(const struct lane *lane, int64_t position);
/* It may be over. */
void isolation_check(struct lane *lane);
void isolation_forget(struct lane *lane);
/* Whether the lane may take a record into work now. */
bool isolation_allows(const struct lane *lane);
/* Whether the record waits until the commit that names it is done. */
bool isolation_marks(struct record *record);
/* The record is over and committed, or gone. */
void isolation_end(struct record *record);

/* outcome.c */
void outcome_finish(struct execution *execution, const Engenho__Finished *finished);
void outcome_skip(struct execution *execution, const char *why);
void outcome_park(struct execution *execution);
void outcome_republish(struct record *record, struct production *production,
                       Engenho__TriggerKind kind);
void outcome_undecodable(struct record *record, const char *reason);
void outcome_unknown(struct record *record, const char *reason);
void outcome_stop_request(struct engine *engine, struct emit_list *list,
                          const struct holder *holder, const char *reason);
struct emit *outcome_lane_state(const struct lane *lane);
/*
 * Make a result that is too large for the broker small enough. Returns owned, or NULL: it can't be.
 */
struct emit *outcome_shrink(const struct emit *emit);
void emit_free(struct emit *emit);
struct emit *emit_new(enum emit_topic topic, const void *key, size_t key_bytes, size_t value_bytes);

/* publisher.c */
void publisher_init(struct publisher *publisher);
void publisher_add(struct engine *engine, struct record *record);
int64_t publisher_pump(struct engine *engine);
/* Remove what waits of a lane. */
void publisher_drop_lane(struct engine *engine, struct lane *lane);
void publisher_release(struct engine *engine);

#endif
