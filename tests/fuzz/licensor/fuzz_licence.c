/*
 * Licence files: bytes from anybody. Whatever is not accepted is refused with a sentence.
 *
 * The input is one file or more, with a NUL behind each, that are added up; what is no file is
 * tried as what stands in the member `licence` of one. No input can sign, so signatures are this
 * file's, in the place of licence_signature.c: any fits that does not begin with a zero.
 */
#include "licensor/licence.h"

#include <errno.h>
#include <stdio.h>

#include "licensor/store/memory.h"
#include "tests/fuzz/fuzz.h"

#define JANUARY_2026_US INT64_C(1767225600000000)
#define JANUARY_2080_US INT64_C(3471292800000000)

int licence_signature_check(const uint8_t key[LICENCE_KEY_BYTES], const void *data, size_t bytes,
                            const uint8_t signature[LICENCE_SIGNATURE_BYTES])
{
    (void)key;
    REQUIRE(data != NULL && bytes > 0);
    return signature[0] != 0 ? 0 : -EBADMSG;
}

int licence_signature_make(const char *private_key_pem, const void *data, size_t bytes,
                           uint8_t ret_signature[LICENCE_SIGNATURE_BYTES])
{
    (void)private_key_pem;
    (void)data;
    (void)bytes;
    (void)ret_signature;
    return -EINVAL;
}

static int read_file(const char *text, size_t bytes, struct licence *ret_licence)
{
    struct error error = {.text = ""};
    size_t count;
    const struct licence_key *keys = licence_trusted_keys(&count);
    int rc = licence_read(text, bytes, keys, count, ret_licence, &error);
    REQUIRE(rc == 0 || error.text[0] != '\0');
    return rc;
}

static int read_licence(const char *text, size_t bytes, struct licence *ret_licence)
{
    int rc = read_file(text, bytes, ret_licence);
    if (rc == 0) {
        return 0;
    }
    /* 64 bytes in base64 */
    static const char format[] =
        "{\"licence\":%.*s,\"key\":\"engenho-test\",\"signature\":"
        "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAA==\"}";
    char *file = malloc(sizeof(format) + bytes);
    REQUIRE(file != NULL);
    int length = snprintf(file, sizeof(format) + bytes, format, (int)bytes, text);
    REQUIRE(length > 0 && (size_t)length < sizeof(format) + bytes);
    rc = read_file(file, (size_t)length, ret_licence);
    free(file);
    return rc;
}

static void check_limits(const struct limits *limits)
{
    REQUIRE(limits->processors > 0 && limits->productions > 0 && limits->interpreters > 0);
    REQUIRE(limits->pools_count >= 2 && limits->pools_count <= POOLS_MAX);
    REQUIRE(limits->chains_count <= LICENCE_CHAINS_MAX);
    for (size_t i = 0; i < limits->pools_count; i++) {
        const struct pool_limit *pool = &limits->pools[i];
        REQUIRE(pool->pool[0] != '\0' && pool->reserved_count <= RESERVATIONS_MAX);
        uint64_t reserved = 0;
        for (size_t n = 0; n < pool->reserved_count; n++) {
            reserved += pool->reserved[n].seats;
        }
        REQUIRE(reserved <= pool->cap);
    }
    for (size_t i = 0; i < limits->chains_count; i++) {
        REQUIRE(limits->chains[i].count > 0 && limits->chains[i].count <= CHAIN_POOLS_MAX);
        REQUIRE(limits_chain(limits, limits->chains[i].name) == &limits->chains[i]);
    }
}

static void on_done(void *context, const struct store_answer *answer)
{
    int *rc = context;
    *rc = answer->error != 0 || answer->word != STORE_DONE;
}

/* The store takes them, and what must always hold of it does. */
static void give_to_store(const struct limits *limits)
{
    struct memory *memory = memory_store_new();
    struct error error;
    struct store_request request = {.verb = STORE_LIMITS};
    request.limits.keys = limits->processors;
    request.limits.productions = limits->productions;
    request.limits.pools = limits->pools;
    request.limits.pools_count = limits->pools_count;
    int rc = 1;
    memory_store_set_now(memory, JANUARY_2026_US / 1000);
    store_submit(memory_store(memory), &request, on_done, &rc);
    REQUIRE(rc == 0 && memory_store_check(memory, true, &error) == 0);
    memory_store_free(memory);
}

static void add_up(const char *text, size_t bytes, const struct licence_time *time)
{
    struct limits limits;
    limits_init(&limits);
    while (bytes > 0) {
        size_t length = strnlen(text, bytes);
        struct licence licence;
        struct error error = {.text = ""};
        if (read_licence(text, length, &licence) == 0) {
            int rc = limits_add(&limits, &licence, NULL, time, &error);
            REQUIRE(rc == 0 || error.text[0] != '\0');
        }
        size_t step = length < bytes ? length + 1 : length;
        text += step;
        bytes -= step;
    }
    limits_close(&limits);
    check_limits(&limits);
    give_to_store(&limits);
    limits_set_demo(&limits);
    check_limits(&limits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = fuzz_text(data, bytes);
    add_up(text, bytes, &(struct licence_time){.now_us = JANUARY_2026_US});
    add_up(text, bytes,
           &(struct licence_time){.now_us = JANUARY_2026_US, .latest_us = JANUARY_2080_US});
    free(text);
    return 0;
}
