/*
 * Answers that the memory store remembers, so that a request which comes again gets the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

void memory_forget_memo(struct memory *memory, struct memo *memo)
{
    HASH_DEL(memory->memos, memo);
    free(memo->request);
    free(memo);
}

struct memo *memory_memo(struct memory *memory, const char *request)
{
    struct memo *memo;
    HASH_FIND_STR(memory->memos, request, memo);
    return memo != NULL && memory->now_ms <= memo->dies_ms ? memo : NULL;
}

struct memo *memory_remember(struct memory *memory, const struct store_request *request)
{
    struct memo *memo;
    HASH_FIND_STR(memory->memos, request->request, memo);
    if (memo != NULL) {
        memory_forget_memo(memory, memo);
    }
    memo = memory_new(1, sizeof(*memo));
    memo->request = memory_copy_text(request->request);
    snprintf(memo->session, sizeof(memo->session), "%s", request->session);
    memo->at_ms = memory->now_ms;
    memo->dies_ms = memory->now_ms + request->memo_ms;
    memo->generation = memory->memo_generation;
    HASH_ADD_KEYPTR(hh, memory->memos, memo->request, strlen(memo->request), memo);
    return memo;
}

void memory_turn_memos(struct memory *memory, int64_t memo_ms)
{
    if (memory->now_ms - memory->memo_since_ms < memo_ms &&
        memory->now_ms >= memory->memo_since_ms) {
        return;
    }
    memory->memo_generation++;
    memory->memo_since_ms = memory->now_ms;
    struct memo *memo, *next;
    HASH_ITER (hh, memory->memos, memo, next) {
        if (memo->generation + 1 < memory->memo_generation) {
            memory_forget_memo(memory, memo);
        }
    }
}
