#include "producer/suggest.h"

#include <ctype.h>
#include <string.h>

#define WORD_BYTES_MAX 40

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/*
 * Insertions, deletions and replacements from one to the other; both at most WORD_BYTES_MAX long.
 */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_BYTES_MAX + 1], b_bytes = strlen(b);
    for (size_t j = 0; j <= b_bytes; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_bytes; j++) {
            size_t above = row[j + 1];
            size_t same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]) ? 0 : 1;
            row[j + 1] = least(above + 1, row[j] + 1, diagonal + same);
            diagonal = above;
        }
    }
    return row[b_bytes];
}

const char *suggest(const char *typed, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(typed) / 3 + 2; /* below: near */
    if (strlen(typed) > WORD_BYTES_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(words[i]) > WORD_BYTES_MAX) {
            continue;
        }
        size_t found = distance(typed, words[i]);
        if (found < best_distance) {
            best = words[i];
            best_distance = found;
        }
    }
    return best;
}
