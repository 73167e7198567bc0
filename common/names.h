/*
 * Which names are allowed (DESIGN section 13). Pure.
 */
#ifndef ENGENHO_COMMON_NAMES_H
#define ENGENHO_COMMON_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_BYTES_MAX 200
#define AGENT_NAME_BYTES_MAX 40

/* Agents: [a-z0-9-]{1,40}. */
bool name_is_agent(const char *text);
/* Everything else: 1 to 200 bytes of UTF-8 without control characters. */
bool name_is_valid(const char *text);
/* Well-formed UTF-8 (no overlong forms, no surrogates). */
bool utf8_is_valid(const void *data, size_t bytes);
/*
 * Whether `name` matches a pattern with * (any run) and ? (one character); everything else stands
 * for itself.
 */
bool name_matches(const char *pattern, const char *name);
bool name_is_pattern(const char *text);

#endif
