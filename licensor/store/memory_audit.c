/*
 * What operators did and were refused, as the memory store keeps it: newest first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "licensor/store/memory_state.h"

struct audit_entry *memory_audit(struct memory *memory, const char *who, const char *what)
{
    if (memory->audit == NULL) {
        memory->audit = memory_new(AUDIT_ENTRIES_MAX, sizeof(struct audit_entry *));
    }
    if (memory->audit_count == AUDIT_ENTRIES_MAX) {
        free(memory->audit[--memory->audit_count]);
    }
    memmove(memory->audit + 1, memory->audit, memory->audit_count * sizeof(struct audit_entry *));
    memory->audit_count++;
    struct audit_entry *entry = memory->audit[0] = memory_new(1, sizeof(*entry));
    entry->at_ms = memory->now_ms;
    snprintf(entry->who, sizeof(entry->who), "%s", who);
    snprintf(entry->what, sizeof(entry->what), "%s", what);
    return entry;
}

void memory_audit_free(struct memory *memory)
{
    for (size_t i = 0; i < memory->audit_count; i++) {
        free(memory->audit[i]);
    }
    free(memory->audit);
}

void memory_write_audit(struct memory *memory, const struct store_request *request,
                        struct store_answer *answer)
{
    struct audit_entry *entry = memory_audit(memory, request->audit.who, request->audit.what);
    snprintf(entry->detail, sizeof(entry->detail), "%s", request->audit.detail);
    answer->word = STORE_DONE;
}

void memory_list_audit(struct memory *memory, const struct store_request *request,
                       struct store_answer *answer)
{
    size_t count = memory->audit_count < request->max ? memory->audit_count : request->max;
    answer->word = STORE_AUDITED;
    answer->audit = memory_new(count + 1, sizeof(*answer->audit));
    for (size_t i = 0; i < count; i++) {
        answer->audit[i] = *memory->audit[i];
    }
    answer->audit_count = count;
}

void memory_master(struct memory *memory, const struct store_request *request,
                   struct store_answer *answer)
{
    if (memory->demo != request->demo) {
        struct audit_entry *entry = memory_audit(memory, request->audit.who, "master");
        snprintf(entry->detail, sizeof(entry->detail), "%s",
                 request->demo ? "the Master is in demo" : "the Master is licensed");
    }
    memory->demo = request->demo;
    answer->word = STORE_DONE;
}
