/*
 * The address of Redis: what an option, a file or an environment holds. What is refused is refused
 * with a sentence, what is accepted names a place to connect to.
 */
#include <stdlib.h>
#include <string.h>

#include "licensor/store/redis.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = malloc(bytes + 1);
    REQUIRE(text != NULL);
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    struct redis_address address;
    struct error error = {.text = ""};
    if (redis_address_parse(text, &address, &error) != 0) {
        REQUIRE(error.text[0] != '\0');
    } else {
        REQUIRE(address.host[0] != '\0' && address.port != 0);
        REQUIRE(address.sentinels_count <= REDIS_SENTINELS_MAX);
        REQUIRE((address.sentinels_count > 0) == (address.master[0] != '\0'));
    }
    free(text);
    return 0;
}
