/*
 * Commands of a function. See commands.h.
 */
#include "licensor/store/commands.h"

#include <stdio.h>
#include <string.h>

#include "licensor/store/packed.h"

#define COMMANDS_BYTES_MAX (8 * 1024 * 1024)

void commands_init(struct commands *commands, const char *tenant)
{
    memset(commands, 0, sizeof(*commands));
    commands->tenant = tenant;
    words_init_packed(&commands->words);
    buf_init(&commands->made, COMMANDS_BYTES_MAX);
    words_init(&commands->texts);
}

void commands_release(struct commands *commands)
{
    if (commands != NULL) {
        words_release(&commands->words);
        buf_release(&commands->made);
        words_release(&commands->texts);
    }
}

void commands_key(const struct commands *commands, const char *name, const char *suffix,
                  char key[COMMANDS_KEY_BYTES_MAX])
{
    snprintf(key, COMMANDS_KEY_BYTES_MAX, "{%s}:%s%s", commands->tenant, name, suffix);
}

static void end_command(struct commands *commands)
{
    if (commands->words.count > 0) {
        int rc = words_write(&commands->words, &commands->made);
        commands->error = commands->error != 0 ? commands->error : rc;
        commands->count++;
    }
    words_clear(&commands->words);
}

void commands_add_key(struct commands *commands, const char *name, const char *suffix)
{
    char key[COMMANDS_KEY_BYTES_MAX];
    commands_key(commands, name, suffix, key);
    words_add(&commands->words, key);
}

void commands_begin(struct commands *commands, const char *command, const char *name,
                    const char *suffix)
{
    end_command(commands);
    words_add(&commands->words, command);
    commands_add_key(commands, name, suffix);
}

void commands_add_text(struct commands *commands, const void *text, size_t bytes)
{
    words_add_bytes(&commands->texts, text, bytes);
}

int commands_end(struct commands *commands, struct words *call)
{
    struct buf packed;
    buf_init(&packed, COMMANDS_BYTES_MAX);
    end_command(commands);
    int rc = commands->error;
    rc = rc != 0 ? rc : pack_array_header(&packed, commands->count);
    rc = rc != 0 ? rc : buf_append(&packed, commands->made.data, commands->made.length);
    words_add_bytes(call, packed.data, rc == 0 ? packed.length : 0);
    words_add_all(call, &commands->texts);
    buf_release(&packed);
    return rc;
}
