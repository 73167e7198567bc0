/*
 * Memory for one decoded frame, given back all at once: protobuf-c asks for some pieces an answer
 * otherwise. Worker only.
 */
#ifndef ENGENHO_WORKER_ARENA_H
#define ENGENHO_WORKER_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct arena_block;

struct arena {
    ProtobufCAllocator allocator; /* alloc takes from the arena, free does nothing */
    struct arena_block *first;    /* of the newest, largest block */
    size_t used;                  /* bytes of it */
};

void arena_init(struct arena *arena);
void arena_release(struct arena *arena);
/* Everything that was allocated is gone. */
void arena_reset(struct arena *arena);

#endif
