/*
 * Licence files as JSON.
 */
#include "licensor/licence.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/duration.h"
#include "common/names.h"

#define KEYS_MAX 1000000
#define CAP_MAX 1000000000

static int bad(struct error *error, const char *what)
{
    return error_set(error, -EINVAL, "not a licence file of Engenho: %s; ask for the file again",
                     what);
}

/* A text without control characters, so that JSON has one way to write it. */
static int get_text(const json_t *object, const char *member, char *text, size_t bytes,
                    struct error *error)
{
    const char *string = json_string_value(json_object_get(object, member));
    if (string == NULL || strlen(string) >= bytes || !name_is_valid(string)) {
        return error_set(
            error, -EINVAL,
            "not a licence file of Engenho: its %s must be a text of at most %zu bytes", member,
            bytes - 1);
    }
    snprintf(text, bytes, "%s", string);
    return 0;
}

static int get_number(const json_t *object, const char *member, int64_t max, uint32_t *ret_value,
                      struct error *error)
{
    const json_t *value = json_object_get(object, member);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > max) {
        return error_set(
            error, -EINVAL,
            "not a licence file of Engenho: its %s must be a whole number from 0 to %lld", member,
            (long long)max);
    }
    *ret_value = (uint32_t)json_integer_value(value);
    return 0;
}

static int get_instant(const json_t *object, const char *member, int64_t *ret_us,
                       struct error *error)
{
    const char *text = json_string_value(json_object_get(object, member));
    if (text == NULL || instant_parse(text, ret_us) != 0) {
        return error_set(error, -EINVAL,
                         "not a licence file of Engenho: its %s must be a date such as 2026-12-31",
                         member);
    }
    return 0;
}

static int get_switch(const json_t *object, const char *member, bool *ret_value,
                      struct error *error)
{
    const json_t *value = json_object_get(object, member);
    if (value != NULL && !json_is_boolean(value)) {
        return error_set(error, -EINVAL,
                         "not a licence file of Engenho: its %s must be true or false", member);
    }
    *ret_value = json_is_true(value);
    return 0;
}

static bool is_pool_name(const char *name)
{
    return name != NULL && strlen(name) <= POOL_BYTES_MAX && name_is_valid(name) &&
           strpbrk(name, ": {}") == NULL;
}

static bool is_seats(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           json_integer_value(value) <= CAP_MAX;
}

/* {"agent": seats} */
static int get_reservations(const json_t *reserve, struct pool_limit *row, struct error *error)
{
    if (reserve != NULL &&
        (!json_is_object(reserve) || json_object_size(reserve) > RESERVATIONS_MAX)) {
        return bad(error, "what a pool reserves must be an object of at most 8 agents with seats");
    }
    const char *agent;
    json_t *value;
    int64_t sum = 0;
    json_object_foreach((json_t *)(uintptr_t)reserve, agent, value)
    {
        if (!name_is_agent(agent) || !is_seats(value)) {
            return bad(error,
                       "what a pool reserves must be names of agents with a number of seats");
        }
        struct reservation *reserved = &row->reserved[row->reserved_count++];
        snprintf(reserved->agent, sizeof(reserved->agent), "%s", agent);
        reserved->seats = (uint32_t)json_integer_value(value);
        sum += reserved->seats;
    }
    if (sum > row->cap) {
        return error_set(error, -EINVAL, "the licence reserves %lld seats of pool %s, which has %u",
                         (long long)sum, row->pool, row->cap);
    }
    return 0;
}

/* {"seats": N, "holder": "production" or "pool", "reserve": {...}} */
static int get_pool_rules(const json_t *object, struct pool_limit *row, struct error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (strcmp(name, "seats") != 0 && strcmp(name, "holder") != 0 &&
            strcmp(name, "reserve") != 0) {
            return error_set(error, -EINVAL,
                             "pool %s of the licence says %s, which this version does not know; "
                             "update Engenho",
                             row->pool, name);
        }
    }
    const json_t *seats = json_object_get(object, "seats");
    const json_t *holder = json_object_get(object, "holder");
    const char *word = holder != NULL ? json_string_value(holder) : "production";
    if (!is_seats(seats)) {
        return bad(error, "a pool must say a number of seats");
    }
    if (word == NULL || (strcmp(word, "pool") != 0 && strcmp(word, "production") != 0)) {
        return bad(error, "the holder of a pool's seats must be production or pool");
    }
    row->cap = (uint32_t)json_integer_value(seats);
    row->shared = strcmp(word, "pool") == 0;
    return get_reservations(json_object_get(object, "reserve"), row, error);
}

static int get_pools(const json_t *object, struct licence *licence, struct error *error)
{
    json_t *pools = json_object_get(object, "pools");
    if (pools != NULL && (!json_is_object(pools) || json_object_size(pools) > LICENCE_POOLS_MAX)) {
        return bad(error, "its pools must be an object of at most 32 names with their seats");
    }
    const char *name;
    json_t *value;
    json_object_foreach(pools, name, value)
    {
        if (!is_pool_name(name) || (!is_seats(value) && !json_is_object(value))) {
            return bad(
                error,
                "a pool must have a name without ':', spaces or braces and a number of seats");
        }
        struct pool_limit *row = &licence->pools[licence->pools_count++];
        snprintf(row->pool, sizeof(row->pool), "%s", name);
        int rc = 0;
        if (json_is_object(value)) {
            rc = get_pool_rules(value, row, error);
        } else {
            row->cap = (uint32_t)json_integer_value(value);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int get_chain(struct licence_chain *chain, const char *name, const json_t *pools,
                     struct error *error)
{
    if (!is_pool_name(name) || !json_is_array(pools) || json_array_size(pools) == 0 ||
        json_array_size(pools) > CHAIN_POOLS_MAX) {
        return bad(error, "a chain must be a list of one to eight pools");
    }
    snprintf(chain->name, sizeof(chain->name), "%s", name);
    size_t i;
    json_t *pool;
    json_array_foreach(pools, i, pool)
    {
        const char *text = json_string_value(pool);
        if (!is_pool_name(text)) {
            return bad(error, "a chain must be a list of one to eight pools");
        }
        for (size_t before = 0; before < i; before++) {
            if (strcmp(chain->pools[before], text) == 0) {
                return error_set(error, -EINVAL,
                                 "the chain %s of the licence loops: pool %s is in it twice", name,
                                 text);
            }
        }
        snprintf(chain->pools[chain->count++], POOL_BYTES_MAX + 1, "%s", text);
    }
    return 0;
}

static int get_chains(const json_t *object, struct licence *licence, struct error *error)
{
    json_t *chains = json_object_get(object, "chains");
    if (chains != NULL &&
        (!json_is_object(chains) || json_object_size(chains) > LICENCE_CHAINS_MAX)) {
        return bad(error, "its chains must be an object of at most 16 names");
    }
    const char *name;
    json_t *value;
    json_object_foreach(chains, name, value)
    {
        int rc = get_chain(&licence->chains[licence->chains_count++], name, value, error);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int check_members(const json_t *object, struct error *error)
{
    static const char *const known[] = {
        "customer",   "edition",     "keys",       "interpreters", "productions", "pools", "chains",
        "valid_from", "valid_until", "grace_days", "contact",      "upgrade",     "strict"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
            found = found || strcmp(name, known[i]) == 0;
        }
        if (!found) {
            return error_set(
                error, -EINVAL,
                "the licence says %s, which this version does not know; update Engenho", name);
        }
    }
    return 0;
}

static int get_texts(const json_t *object, struct licence *licence, struct error *error)
{
    char word[16] = "";
    int rc = get_text(object, "customer", licence->customer, sizeof(licence->customer), error);
    rc = rc != 0 ? rc : get_text(object, "edition", word, sizeof(word), error);
    if (rc == 0 && edition_parse(word, &licence->edition) != 0) {
        rc = bad(error, "its edition must be demo, lite, enterprise or full");
    }
    if (rc == 0 && json_object_get(object, "contact") != NULL) {
        rc = get_text(object, "contact", licence->contact, sizeof(licence->contact), error);
    }
    return rc;
}

static int get_numbers(const json_t *object, struct licence *licence, struct error *error)
{
    int rc = get_number(object, "keys", KEYS_MAX, &licence->keys, error);
    rc = rc != 0 ? rc : get_number(object, "interpreters", 64, &licence->interpreters, error);
    rc = rc != 0 ? rc : get_number(object, "productions", CAP_MAX, &licence->productions, error);
    rc = rc != 0 ? rc : get_number(object, "grace_days", 3650, &licence->grace_days, error);
    rc = rc != 0 ? rc : get_instant(object, "valid_from", &licence->valid_from_us, error);
    rc = rc != 0 ? rc : get_instant(object, "valid_until", &licence->valid_until_us, error);
    if (rc == 0 && licence->valid_until_us <= licence->valid_from_us) {
        return error_set(error, -EINVAL,
                         "the licence ends (valid_until) before it begins (valid_from)");
    }
    return rc;
}

static int get_licence(const json_t *object, struct licence *licence, struct error *error)
{
    int rc = check_members(object, error);
    rc = rc != 0 ? rc : get_texts(object, licence, error);
    rc = rc != 0 ? rc : get_numbers(object, licence, error);
    rc = rc != 0 ? rc : get_switch(object, "upgrade", &licence->upgrade, error);
    rc = rc != 0 ? rc : get_switch(object, "strict", &licence->strict, error);
    rc = rc != 0 ? rc : get_pools(object, licence, error);
    rc = rc != 0 ? rc : get_chains(object, licence, error);
    return rc;
}

static char *canonical(const json_t *object)
{
    return json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
}

static int check_signature(const json_t *file, const json_t *object, const struct licence_key *keys,
                           size_t keys_count, struct error *error)
{
    const char *name = json_string_value(json_object_get(file, "key"));
    const char *text = json_string_value(json_object_get(file, "signature"));
    uint8_t signature[LICENCE_SIGNATURE_BYTES + 8];
    size_t bytes = 0;
    if (name == NULL || text == NULL || strlen(text) > 88 ||
        base64_decode(text, strlen(text), signature, &bytes) != 0 ||
        bytes != LICENCE_SIGNATURE_BYTES) {
        return bad(error, "it has no signature");
    }
    for (size_t i = 0; i < keys_count; i++) {
        if (strcmp(keys[i].name, name) != 0) {
            continue;
        }
        char *signed_text = canonical(object);
        int rc = signed_text == NULL ? -EBADMSG
                                     : licence_signature_check(keys[i].bytes, signed_text,
                                                               strlen(signed_text), signature);
        free(signed_text);
        if (rc != 0) {
            return error_set(
                error, -EBADMSG,
                "the licence was altered: its signature does not fit; use the file as it was sent");
        }
        return 0;
    }
    return error_set(
        error, -ENOKEY,
        "the licence is signed with the key \"%.64s\", which this build does not trust", name);
}

int licence_read(const void *file, size_t bytes, const struct licence_key *keys, size_t keys_count,
                 struct licence *ret_licence, struct error *error)
{
    if (bytes > LICENCE_FILE_BYTES_MAX) {
        return bad(error, "it is larger than 64 KiB");
    }
    json_error_t where;
    json_t *root = json_loadb(file, bytes, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        return error_set(error, -EINVAL,
                         "not a licence file of Engenho: line %d: %s; ask for the file again",
                         where.line, where.text);
    }
    struct licence licence = {0};
    const json_t *object = json_object_get(root, "licence");
    int rc = json_is_object(object) ? 0 : bad(error, "it has no member licence");
    rc = rc != 0 ? rc : check_signature(root, object, keys, keys_count, error);
    rc = rc != 0 ? rc : get_licence(object, &licence, error);
    if (rc == 0) {
        snprintf(licence.signature, sizeof(licence.signature), "%s",
                 json_string_value(json_object_get(root, "signature")));
        *ret_licence = licence;
    }
    json_decref(root);
    return rc;
}

int licence_sign(const char *licence_json, const char *private_key_pem, const char *key_name,
                 char **ret_file, struct error *error)
{
    json_error_t where;
    json_t *object = json_loads(licence_json, JSON_REJECT_DUPLICATES, &where);
    if (object == NULL) {
        return error_set(error, -EINVAL, "the licence to sign is not JSON: line %d: %s", where.line,
                         where.text);
    }
    struct licence licence = {0};
    uint8_t signature[LICENCE_SIGNATURE_BYTES];
    char text[BASE64_TEXT_BYTES(LICENCE_SIGNATURE_BYTES)];
    char *signed_text = NULL;
    json_t *root = NULL;
    int rc = get_licence(object, &licence, error);
    if (rc != 0) {
        goto out;
    }
    signed_text = canonical(object);
    rc = licence_signature_make(private_key_pem, signed_text, strlen(signed_text), signature);
    if (rc != 0) {
        error_set(error, rc,
                  "the key to sign with is not an Ed25519 private key in PEM; make one with "
                  "openssl genpkey -algorithm ed25519");
        goto out;
    }
    base64_encode(signature, sizeof(signature), text);
    root = json_pack("{sOssss}", "licence", object, "key", key_name, "signature", text);
    *ret_file = json_dumps(root, JSON_INDENT(2));
out:
    json_decref(root);
    json_decref(object);
    free(signed_text);
    return rc;
}
