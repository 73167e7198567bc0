/*
 * A frame of the licensor's protocol: bytes from anybody who reaches the port. What can be read can
 * be written, and is the same when it is read again.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/licensor.pb-c.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    Engenho__ToLicensor *message = engenho__to_licensor__unpack(NULL, bytes, data);
    if (message == NULL) {
        return 0;
    }
    size_t size = engenho__to_licensor__get_packed_size(message);
    uint8_t *once = malloc(size + 1), *twice = malloc(size + 1);
    REQUIRE(once != NULL && twice != NULL);
    REQUIRE(engenho__to_licensor__pack(message, once) == size);
    Engenho__ToLicensor *again = engenho__to_licensor__unpack(NULL, size, once);
    REQUIRE(again != NULL && again->id == message->id && again->body_case == message->body_case);
    REQUIRE(engenho__to_licensor__get_packed_size(again) == size);
    REQUIRE(engenho__to_licensor__pack(again, twice) == size && memcmp(once, twice, size) == 0);
    engenho__to_licensor__free_unpacked(message, NULL);
    engenho__to_licensor__free_unpacked(again, NULL);
    free(once);
    free(twice);
    return 0;
}
