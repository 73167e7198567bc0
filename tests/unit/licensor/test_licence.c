/*
 * Licence files: signed, altered, foreign, wrong.
 */
#include "tests/unit/licensor/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "licensor/licence.h"
#include "licensor/licences.h"

static char file[65536];

static size_t load(const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", TEST_KEYS, name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t bytes = fread(file, 1, sizeof(file) - 1, in);
    fclose(in);
    file[bytes] = '\0';
    return bytes;
}

static int read_text(const char *text, size_t bytes, struct licence *licence, struct error *error)
{
    size_t count;
    const struct licence_key *keys = licence_trusted_keys(&count);
    return licence_read(text, bytes, keys, count, licence, error);
}

static void the_test_licence_is_read(void **state)
{
    (void)state;
    struct licence licence;
    struct error error;
    assert_int_equal(read_text(file, load("full-8.json"), &licence, &error), 0);
    assert_string_equal(licence.customer, "Engenho tests");
    assert_int_equal(licence.edition, EDITION_FULL);
    assert_int_equal(licence.keys, 8);
    assert_int_equal(licence.interpreters, 16);
    assert_string_equal(licence.pools[0].pool, "full");
    assert_int_equal(licence.pools[0].cap, 2);
    assert_int_equal(licence.grace_days, 14);
    assert_int_equal(licence.valid_from_us, INT64_C(1577836800000000));
}

static void an_altered_file_is_refused(void **state)
{
    (void)state;
    struct licence licence;
    struct error error;
    assert_int_equal(read_text(file, load("altered.json"), &licence, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "altered"));
}

static void every_changed_byte_of_the_signed_part_is_noticed(void **state)
{
    (void)state;
    size_t bytes = load("enterprise-4.json");
    const char *from = strstr(file, "\"customer\""), *to = strstr(file, "\"key\"");
    for (const char *at = from; at < to; at++) {
        size_t i = (size_t)(at - file);
        char before = file[i];
        if (before == ' ' || before == '\n') {
            continue; /* white space between members is not signed */
        }
        file[i] = before == 'x' ? 'y' : 'x';
        struct licence licence;
        struct error error;
        assert_int_not_equal(read_text(file, bytes, &licence, &error), 0);
        assert_true(error.text[0] != '\0');
        file[i] = before;
    }
}

static void a_key_that_is_not_trusted_is_named(void **state)
{
    (void)state;
    size_t bytes = load("enterprise-4.json");
    struct licence licence;
    struct error error;
    assert_int_equal(licence_read(file, bytes, NULL, 0, &licence, &error), -ENOKEY);
    assert_non_null(strstr(error.text, "engenho-test"));
}

/* What signing a licence with these pools and chains says; it is checked as a file is. */
static void assert_pools(const char *members, const char *sentence)
{
    char json[1000];
    snprintf(json, sizeof(json),
             "{\"customer\": \"c\", \"edition\": \"full\", \"keys\": 1, \"valid_from\": "
             "\"2020-01-01\", \"valid_until\": \"2030-01-01\", %s}",
             members);
    char *signed_file = NULL;
    struct error error;
    int rc = licence_sign(json, "no key", "k", &signed_file, &error);
    assert_int_not_equal(rc, 0);
    if (strstr(error.text, sentence) == NULL) {
        fail_msg("%s: %s", members, error.text);
    }
}

static void wrong_pools_and_chains_have_their_sentence(void **state)
{
    (void)state;
    /* what is right gets as far as the key */
    assert_pools("\"pools\": {\"a\": 5, \"b\": {\"seats\": 5, \"holder\": \"pool\", "
                 "\"reserve\": {\"critical\": 5}}}",
                 "the key to sign with");
    assert_pools("\"pools\": {\"a\": {\"seats\": 5, \"reserve\": {\"x\": 4, \"y\": 2}}}",
                 "reserves 6 seats of pool a, which has 5");
    assert_pools("\"pools\": {\"a\": {\"seats\": 5, \"holder\": \"user\"}}", "the holder of");
    assert_pools("\"pools\": {\"a\": {\"seats\": 5, \"resreve\": {}}}", "says resreve");
    assert_pools("\"pools\": {\"a\": {\"holder\": \"pool\"}}", "a number of seats");
    assert_pools("\"pools\": {\"a\": {\"seats\": 5, \"reserve\": {\"A b\": 1}}}",
                 "names of agents");
    assert_pools("\"pools\": {\"a\": {\"seats\": 5, \"reserve\": {\"x\": -1}}}", "names of agents");
    assert_pools("\"pools\": {\"a\": -1}", "a number of seats");
    assert_pools("\"pools\": {\"a\": 1000000001}", "a number of seats");
    assert_pools("\"pools\": {\"a\": 99999999999999999999}", "");
    assert_pools("\"keys\": -1", "");
    assert_pools("\"productions\": 1e30", "whole number");
    assert_pools("\"grace_days\": 99999999", "from 0 to 3650");
    assert_pools("\"chains\": {\"c\": [\"a\", \"b\", \"a\"]}",
                 "the chain c of the licence loops: pool a");
}

static const char *const wrong[] = {
    "",
    "{",
    "[]",
    "{}",
    "null",
    "{\"licence\": 5}",
    "{\"licence\": {}, \"key\": \"engenho-test\", \"signature\": \"AAAA\"}",
    "{\"licence\": {}, \"licence\": {}}",
};

static void what_is_no_licence_file_is_told_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct licence licence;
        struct error error;
        assert_int_equal(read_text(wrong[i], strlen(wrong[i]), &licence, &error), -EINVAL);
        assert_true(error.text[0] != '\0');
    }
    memset(file, ' ', sizeof(file));
    struct licence licence;
    assert_int_equal(read_text(file, sizeof(file), &licence, NULL), -EINVAL);
}

#define GOOD                                                                                       \
    "\"customer\": \"C\", \"edition\": \"lite\", \"valid_from\": \"2020-01-01\", \"valid_until\": \"2030-01-01\""

static const struct {
    const char *json, *reason;
} unsignable[] = {
    {"{}", "customer"},
    {"{" GOOD ", \"keys\": -1}", "keys"},
    {"{" GOOD ", \"keys\": 1.5}", "keys"},
    {"{" GOOD ", \"keys\": 99999999999}", "keys"},
    {"{" GOOD ", \"grace_days\": \"x\"}", "grace_days"},
    {"{" GOOD ", \"surprise\": 1}", "surprise"},
    {"{" GOOD ", \"upgrade\": 1}", "upgrade"},
    {"{" GOOD ", \"pools\": {\"a b\": 1}}", "pool"},
    {"{" GOOD ", \"pools\": {\"a\": -1}}", "pool"},
    {"{" GOOD ", \"chains\": {\"requests\": []}}", "chain"},
    {"{" GOOD ", \"chains\": {\"requests\": [\"a\", \"b\", \"a\"]}}", "loops"},
    {"{\"customer\": \"C\", \"edition\": \"lite\", \"keys\": 1, \"valid_from\": \"2030-01-01\", \"valid_until\": \"2030-01-01\"}",
     "before it begins"},
    {"{\"customer\": \"C\", \"edition\": \"gold\", \"valid_from\": \"2020-01-01\", \"valid_until\": \"2030-01-01\"}",
     "edition"},
    {"{\"customer\": \"C\", \"edition\": \"lite\", \"valid_from\": \"yesterday\", \"valid_until\": \"2030-01-01\"}",
     "valid_from"},
};

static void a_licence_that_makes_no_sense_is_not_signed(void **state)
{
    (void)state;
    load("engenho-test-key.private.pem");
    for (size_t i = 0; i < ARRAY_SIZE(unsignable); i++) {
        struct error error;
        char *made = NULL;
        assert_int_equal(licence_sign(unsignable[i].json, file, "k", &made, &error), -EINVAL);
        assert_non_null(strstr(error.text, unsignable[i].reason));
        assert_null(made);
    }
}

static void what_is_signed_here_is_read_here(void **state)
{
    (void)state;
    load("engenho-test-key.private.pem");
    char *made = NULL;
    struct error error;
    struct licence licence;
    assert_int_equal(
        licence_sign(
            "{" GOOD
            ", \"keys\": 3, \"contact\": \"São João\", \"chains\": {\"requests\": [\"requests\", "
            "\"full\"]}}",
            file, "engenho-test", &made, &error),
        0);
    assert_int_equal(read_text(made, strlen(made), &licence, &error), 0);
    assert_int_equal(licence.keys, 3);
    assert_string_equal(licence.contact, "São João");
    assert_string_equal(licence.chains[0].pools[1], "full");
    free(made);
    assert_int_equal(licence_sign("{" GOOD "}", "no key", "k", &made, &error), -EINVAL);
    assert_non_null(strstr(error.text, "Ed25519"));
}

static unsigned refusals;

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void count_refusal(void *context, const char *path, const char *reason)
{
    (void)context;
    (void)path;
    assert_true(reason[0] != '\0');
    refusals++;
}

static void a_directory_adds_up_what_is_good_in_it(void **state)
{
    (void)state;
    const struct licences_source source = {
        .directory = TEST_KEYS, .time.now_us = INT64_C(1767225600000000), .refused = count_refusal};
    struct limits limits;
    assert_int_equal(licences_load(&source, &limits, NULL), 0);
    assert_int_equal(limits.edition, EDITION_ENTERPRISE);
    assert_int_equal(limits.keys, 4);
    assert_true(refusals >= 5);
    const struct licences_source nowhere = {.directory = "/does/not/exist",
                                            .refused = count_refusal};
    struct error error;
    assert_int_equal(licences_load(&nowhere, &limits, &error), -ENOENT);
    assert_non_null(strstr(error.text, "--licence-dir"));
}

/* Install the test licence into `directory`, which can't take it. The sentence in `error`. */
/* What was loaded. */
static void refuse_to_install(const char *directory, size_t bytes, struct error *error)
{
    const struct licences_source source = {.directory = directory,
                                           .time.now_us = INT64_C(1767225600000000)};
    assert_int_equal(licences_install(&source, file, bytes, error), -EIO);
}

static void a_directory_that_can_t_be_written_is_told_with_what_to_do(void **state)
{
    (void)state;
    char directory[] = "/tmp/engenho-licences-XXXXXX", beside[4096];
    struct error error;
    assert_non_null(mkdtemp(directory));
    const struct licences_source source = {.directory = directory,
                                           .time.now_us = INT64_C(1767225600000000)};
    size_t bytes = load("enterprise-4.json");
    assert_int_equal(licences_install(&source, file, bytes, &error), 0);

    /* The name that it is written under, as a link to a disk that is always full. */
    struct dirent **entries;
    assert_int_equal(scandir(directory, &entries, is_visible, NULL), 1);
    snprintf(beside, sizeof(beside), "%s/%s.new", directory, entries[0]->d_name);
    assert_int_equal(symlink("/dev/full", beside), 0);
    refuse_to_install(directory, bytes, &error);
    assert_non_null(strstr(error.text, "is full"));
    assert_non_null(strstr(error.text, directory));

    /* Nothing may be written here, by root neither while he is somebody else (who may not read
     * where the tests are, perhaps: the file is loaded). */
    assert_int_equal(chmod(directory, 0555), 0);
    bool is_root = geteuid() == 0;
    assert_int_equal(is_root ? seteuid(65534) : 0, 0);
    refuse_to_install(directory, bytes, &error);
    assert_int_equal(is_root ? seteuid(0) : 0, 0);
    assert_non_null(strstr(error.text, "may not write its licence directory"));
    assert_int_equal(chmod(directory, 0755), 0);

    snprintf(beside, sizeof(beside), "%s/%s", directory, entries[0]->d_name);
    refuse_to_install(beside, bytes, &error); /* a file */
    assert_non_null(strstr(error.text, "Not a directory"));
    assert_int_equal(unlink(beside), 0);
    assert_int_equal(rmdir(directory), 0);
    refuse_to_install(directory, bytes, &error); /* gone */
    assert_non_null(strstr(error.text, "No such file or directory"));
    refuse_to_install(NULL, bytes, &error);
    assert_non_null(strstr(error.text, "--licence-dir"));
    free(entries[0]);
    free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_test_licence_is_read),
        cmocka_unit_test(an_altered_file_is_refused),
        cmocka_unit_test(every_changed_byte_of_the_signed_part_is_noticed),
        cmocka_unit_test(a_key_that_is_not_trusted_is_named),
        cmocka_unit_test(wrong_pools_and_chains_have_their_sentence),
        cmocka_unit_test(what_is_no_licence_file_is_told_so),
        cmocka_unit_test(a_licence_that_makes_no_sense_is_not_signed),
        cmocka_unit_test(what_is_signed_here_is_read_here),
        cmocka_unit_test(a_directory_adds_up_what_is_good_in_it),
        cmocka_unit_test(a_directory_that_can_t_be_written_is_told_with_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
