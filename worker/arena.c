/*
 * A bump allocator for protobuf-c: blocks that double, of which a reset keeps the largest. Worker
 * only.
 */
#include "worker/arena.h"

#include <stdlib.h>

#define FIRST_BLOCK_BYTES (64 * 1024)
#define KEEP_BYTES (1024 * 1024)
#define ALIGNMENT 16

struct arena_block {
    _Alignas(ALIGNMENT) struct arena_block *older;
    size_t bytes;
    _Alignas(ALIGNMENT) unsigned char data[];
};

static void *arena_allocate(void *context, size_t bytes)
{
    struct arena *arena = context;
    size_t wanted = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (wanted < bytes) {
        return NULL;
    }
    if (arena->first == NULL || wanted > arena->first->bytes - arena->used) {
        size_t room = arena->first != NULL ? arena->first->bytes * 2 : FIRST_BLOCK_BYTES;
        room = room > wanted ? room : wanted;
        struct arena_block *block = malloc(sizeof(*block) + room);
        if (block == NULL) {
            return NULL;
        }
        block->older = arena->first;
        block->bytes = room;
        arena->first = block;
        arena->used = 0;
    }
    void *memory = arena->first->data + arena->used;
    arena->used += wanted;
    return memory;
}

static void arena_free(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

void arena_init(struct arena *arena)
{
    *arena = (struct arena){
        .allocator = {.alloc = arena_allocate, .free = arena_free, .allocator_data = arena}};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
}

void arena_release(struct arena *arena)
{
    free_blocks(arena->first);
    arena->first = NULL;
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    if (arena->first != NULL && arena->first->bytes > KEEP_BYTES) {
        arena_release(arena);
    } else if (arena->first != NULL) {
        free_blocks(arena->first->older);
        arena->first->older = NULL;
    }
    arena->used = 0;
}
