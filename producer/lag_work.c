#include "producer/lag_work.h"

#include <stdbool.h>

#include "common/base64.h"
#include "proto/lane.pb-c.h"

#define METADATA_BYTES_MAX 4096

/* Run lengths as varints: not done, done, not done, ... */
static int64_t sum_of_done(const uint8_t *data, size_t bytes)
{
    int64_t sum = 0;
    uint64_t value = 0;
    unsigned shift = 0;
    bool done = false;
    for (size_t i = 0; i < bytes; i++) {
        if (shift > 35) {
            return 0;
        }
        value |= (uint64_t)(data[i] & 0x7f) << shift;
        shift += 7;
        if (!(data[i] & 0x80)) {
            sum += done ? (int64_t)value : 0;
            done = !done;
            value = 0;
            shift = 0;
        }
    }
    return sum;
}

int64_t lag_work_done(const char *metadata, size_t length)
{
    uint8_t packed[METADATA_BYTES_MAX];
    size_t bytes;
    if (metadata == NULL || length == 0 || length > METADATA_BYTES_MAX ||
        base64_decode(metadata, length, packed, &bytes) != 0) {
        return 0;
    }
    Engenho__CommitMetadata *commit = engenho__commit_metadata__unpack(NULL, bytes, packed);
    if (commit == NULL) {
        return 0;
    }
    int64_t done = sum_of_done(commit->done.data, commit->done.len);
    engenho__commit_metadata__free_unpacked(commit, NULL);
    return done;
}
