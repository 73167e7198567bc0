#include "worker/commit_metadata.h"

#include <errno.h>

#include "common/base64.h"

#define PACKED_BYTES_MAX (COMMIT_METADATA_TEXT_MAX / 4 * 3)

int commit_metadata_print(const Engenho__CommitMetadata *metadata, char *text)
{
    uint8_t packed[PACKED_BYTES_MAX];
    size_t bytes = engenho__commit_metadata__get_packed_size(metadata);
    text[0] = '\0';
    if (bytes > sizeof packed) {
        return -EMSGSIZE;
    }
    engenho__commit_metadata__pack(metadata, packed);
    base64_encode(packed, bytes, text);
    return 0;
}

Engenho__CommitMetadata *commit_metadata_parse(const char *text, size_t length)
{
    uint8_t packed[PACKED_BYTES_MAX];
    size_t bytes;
    if (length > COMMIT_METADATA_TEXT_MAX || base64_decode(text, length, packed, &bytes) != 0) {
        return NULL;
    }
    return engenho__commit_metadata__unpack(NULL, bytes, packed);
}
