/*
 * Random numbers: xoshiro256** seeded by splitmix64 for simulations, getrandom(2) for the edges.
 * Not for secrets.
 */
#include "common/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void random_init(struct random *random, uint64_t seed)
{
    /*
     * splitmix64: close seeds give streams that have nothing in common, and never the state of all
     * zeros.
     */
    for (size_t i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = z ^ (z >> 31);
    }
}

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    assert(bound > 0);
    /* Values below 2^64 mod bound would make the first remainders likelier than the others. */
    uint64_t least = -bound % bound;
    uint64_t value;
    do {
        value = random_next(random);
    } while (value < least);
    return value % bound;
}

void random_bytes(void *data, size_t bytes)
{
    uint8_t *at = data;
    while (bytes) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            abort();
        }
        at += got;
        bytes -= (size_t)got;
    }
}

void random_hex(char *text, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    /*
     * The bytes go into the upper half and are spread out from the front, so that no second buffer
     * is needed.
     */
    uint8_t *raw = (uint8_t *)text + bytes;
    random_bytes(raw, bytes);
    for (size_t i = 0; i < bytes; i++) {
        uint8_t byte = raw[i];
        text[2 * i] = digits[byte >> 4];
        text[2 * i + 1] = digits[byte & 15];
    }
    text[2 * bytes] = 0;
}
