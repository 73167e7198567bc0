/*
 * Commands that a function of Redis runs one after the other, packed (packed.h): an array of arrays
 * of words. Pure.
 */
#ifndef ENGENHO_LICENSOR_STORE_COMMANDS_H
#define ENGENHO_LICENSOR_STORE_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/buf.h"
#include "licensor/store/words.h"

#define COMMANDS_KEY_BYTES_MAX 256

/*
 * A command may end with a text that is an argument of the function by itself (words.h): Lua
 * hashes every byte of every text, and what is packed in another twice.
 */
struct commands {
    const char *tenant; /* borrowed */
    struct words words; /* of the one that is being made */
    struct buf made;    /* those before it */
    uint32_t count;
    struct words texts; /* RESP: one for each command, or there are none */
    int error;          /* the first one stays */
};

void commands_init(struct commands *commands, const char *tenant);
void commands_release(struct commands *commands);
/* {tenant}:<name><suffix> */
void commands_key(const struct commands *commands, const char *name, const char *suffix,
                  char key[COMMANDS_KEY_BYTES_MAX]);
/* Another command and its key; more words of it go to `commands->words`. */
void commands_begin(struct commands *commands, const char *command, const char *name,
                    const char *suffix);
/* One more key of the command that has begun. */
void commands_add_key(struct commands *commands, const char *name, const char *suffix);
/* The last word of the command that has begun: an argument by itself. */
void commands_add_text(struct commands *commands, const void *text, size_t bytes);
/* All of them as one more word of `call`, and their texts as as many more. Returns 0, or why not,
 * as buf_append does. */
MUST_CHECK int commands_end(struct commands *commands, struct words *call);

#endif
