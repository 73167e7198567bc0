/*
 * Replayed sources: batches of events whose position is committed in the same transaction, so that
 * each record of a file becomes one event, whatever is killed on the way. On the owner of the
 * source's shard. An edge: shards.h. Producer.
 */
#ifndef ENGENHO_PRODUCER_SOURCES_REPLAY_H
#define ENGENHO_PRODUCER_SOURCES_REPLAY_H

#include <stdint.h>

#include "common/attributes.h"
#include "producer/shards.h"
#include "producer/sources/push.h"
#include "proto/control.pb-c.h"

struct replay;

/* Returns owned. `shards` is borrowed. */
struct replay *replay_new(struct shards *shards);
void replay_free(struct replay *replay);

/* As shards_callbacks say. */
void replay_state(struct replay *replay, int shard, const char *key,
                  const Engenho__Control *control);
void replay_shard_lost(struct replay *replay, int shard);

int replay_shard(const struct replay *replay, const char *source);
/*
 * The committed position; 0: a new source. Returns 0, or -EAGAIN: the source's shard is not ours,
 * or not read yet.
 */
MUST_CHECK int replay_position(const struct replay *replay, const char *source,
                               uint64_t *ret_position);

/*
 * Committed: result 0 and the new position; or -EAGAIN: it is not known to be: ask for the
 * position, and go on there.
 */
typedef void (*replay_done)(void *context, int result, uint64_t position);

/*
 * Commit a batch that begins at `from`. Borrows `push` for the call. Returns 0 (`done` is called
 * once, later); -ESTALE: `from` is not the committed position, which is in *ret_position; -EBUSY: a
 * batch of this source is on its way; -EAGAIN: not ours; -ENOBUFS.
 */
MUST_CHECK int replay_submit(struct replay *replay, const char *source, uint64_t from,
                             const struct push *push, replay_done done, void *context,
                             uint64_t *ret_position);

/*
 * Event records of a push, for shards_submit or publisher_send. Returns owned: release with
 * push_records_free.
 */
struct shards_record *push_records(const struct push *push);
void push_records_free(struct shards_record *records, size_t count);

#endif
