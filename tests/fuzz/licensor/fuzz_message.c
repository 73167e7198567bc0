/*
 * A frame of the licensor's protocol: bytes from anybody who reaches the port. What can be read can
 * be written, and says the same when it is read again. (With fields that nobody knows it may not be
 * readable: protobuf-c takes the field 0 in a long spelling and refuses it in the short one.)
 */
#include <stdlib.h>

#include "proto/licensor.pb-c.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    Engenho__ToLicensor *message = engenho__to_licensor__unpack(NULL, bytes, data);
    if (message == NULL) {
        return 0;
    }
    size_t size = engenho__to_licensor__get_packed_size(message);
    uint8_t *once = malloc(size + 1);
    REQUIRE(once != NULL);
    REQUIRE(engenho__to_licensor__pack(message, once) == size);
    Engenho__ToLicensor *again = engenho__to_licensor__unpack(NULL, size, once);
    REQUIRE(again == NULL || (again->id == message->id && again->body_case == message->body_case));
    engenho__to_licensor__free_unpacked(message, NULL);
    if (again != NULL) {
        engenho__to_licensor__free_unpacked(again, NULL);
    }
    free(once);
    return 0;
}
