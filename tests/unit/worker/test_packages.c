/*
 * The cache of packages: what is refused leaves nothing behind, what is there is found again.
 */
/* clang-format off: cmocka.h needs the others before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "worker/packages.h"
#include "worker/unpack.h"

#define ARCHIVE_BYTES (16 * 1024 * 1024)

struct cache {
    char directory[64];
    struct packages *packages;
};

static int set_up(void **state)
{
    struct cache *cache = memory_new(1, sizeof(*cache));
    struct error error;
    snprintf(cache->directory, sizeof(cache->directory), "/tmp/engenho-packages-XXXXXX");
    assert_non_null(mkdtemp(cache->directory));
    cache->packages = packages_new(cache->directory, 0, &error);
    assert_non_null(cache->packages);
    *state = cache;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int tear_down(void **state)
{
    struct cache *cache = *state;
    packages_free(cache->packages);
    nftw(cache->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(cache);
    return 0;
}

static size_t count_entries(const char *directory)
{
    size_t count = 0;
    DIR *listing = opendir(directory);
    assert_non_null(listing);
    for (struct dirent *found = readdir(listing); found != NULL; found = readdir(listing)) {
        count += strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0;
    }
    closedir(listing);
    return count;
}

static void hash(const void *data, size_t bytes, uint8_t sha256[PACKAGE_SHA256_BYTES])
{
    unsigned length;
    assert_int_equal(EVP_Digest(data, bytes, sha256, &length, EVP_sha256(), NULL), 1);
}

static int store(struct cache *cache, const char *name, const void *data, size_t bytes,
                 const char **ret_folder, struct error *error)
{
    uint8_t sha256[PACKAGE_SHA256_BYTES];
    hash(data, bytes, sha256);
    error->text[0] = '\0';
    return packages_store(cache->packages, sha256, name, data, bytes, ret_folder, error);
}

/* An archive being written. */
struct writing {
    struct archive *archive;
    uint8_t *data;
    size_t bytes;
};

static void begin(struct writing *writing, bool zip)
{
    *writing = (struct writing){.archive = archive_write_new(), .data = malloc(ARCHIVE_BYTES)};
    if (zip) {
        archive_write_set_format_zip(writing->archive);
    } else {
        archive_write_set_format_pax_restricted(writing->archive);
        archive_write_add_filter_gzip(writing->archive);
    }
    assert_int_equal(
        archive_write_open_memory(writing->archive, writing->data, ARCHIVE_BYTES, &writing->bytes),
        ARCHIVE_OK);
}

static struct archive_entry *new_entry(const char *path, unsigned type, size_t bytes)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0777);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    return entry;
}

static void add(struct writing *writing, const char *path, const char *text)
{
    struct archive_entry *entry =
        new_entry(path, text != NULL ? AE_IFREG : AE_IFDIR, text != NULL ? strlen(text) : 0);
    assert_int_equal(archive_write_header(writing->archive, entry), ARCHIVE_OK);
    if (text != NULL) {
        assert_int_equal(archive_write_data(writing->archive, text, strlen(text)),
                         (la_ssize_t)strlen(text));
    }
    archive_entry_free(entry);
}

static void end(struct writing *writing)
{
    assert_int_equal(archive_write_close(writing->archive), ARCHIVE_OK);
    archive_write_free(writing->archive);
}

static void assert_refused(struct cache *cache, struct writing *writing, int code, const char *part)
{
    const char *folder = NULL;
    struct error error;
    end(writing);
    assert_int_equal(store(cache, "p.zip", writing->data, writing->bytes, &folder, &error), code);
    if (strstr(error.text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, error.text);
    }
    assert_null(folder);
    assert_int_equal(count_entries(cache->directory), 0);
    free(writing->data);
}

static void assert_content(const char *folder, const char *file, const char *content)
{
    char *path = memory_print("%s/%s", folder, file);
    char text[256] = {0};
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_true(fread(text, 1, sizeof(text) - 1, in) > 0);
    fclose(in);
    assert_string_equal(text, content);
    free(path);
}

static void a_python_file_is_a_package(void **state)
{
    struct cache *cache = *state;
    const char *folder = NULL;
    struct error error;
    uint8_t sha256[PACKAGE_SHA256_BYTES];
    hash("x = 1\n", 6, sha256);
    assert_null(packages_find(cache->packages, sha256));
    assert_int_equal(store(cache, "plant.py", "x = 1\n", 6, &folder, &error), 0);
    assert_content(folder, "plant.py", "x = 1\n");
    assert_ptr_equal(packages_find(cache->packages, sha256), folder);
    /* A worker that comes later finds it. */
    struct packages *other = packages_new(cache->directory, 0, &error);
    assert_string_equal(packages_find(other, sha256), folder);
    assert_int_equal(packages_store(other, sha256, "plant.py", "x = 1\n", 6, &folder, &error), 0);
    packages_free(other);
    assert_int_equal(count_entries(cache->directory), 1);
    assert_int_equal(store(cache, "my-plant.py", "x = 2\n", 6, &folder, &error), -EINVAL);
    assert_non_null(strstr(error.text, "my-plant.py"));
}

static void a_zip_and_a_tar_gz_are_packages(void **state)
{
    struct cache *cache = *state;
    for (int zip = 0; zip < 2; zip++) {
        const char *folder = NULL;
        struct error error;
        struct writing writing;
        begin(&writing, zip);
        add(&writing, "a.py", "a = 1\n");
        add(&writing, "deep", NULL);
        add(&writing, "./deep/er/b.py", "b = 2\n");
        end(&writing);
        assert_int_equal(store(cache, "p.bin", writing.data, writing.bytes, &folder, &error), 0);
        assert_content(folder, "a.py", "a = 1\n");
        assert_content(folder, "deep/er/b.py", "b = 2\n");
        struct stat status;
        char *path = memory_print("%s/a.py", folder);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777 & ~0644, 0);
        free(path);
        free(writing.data);
    }
}

static void paths_that_leave_the_folder_are_refused(void **state)
{
    static const char *const paths[] = {"../evil.py",   "a/../../evil.py", "a\\..\\..\\evil.py",
                                        "/etc/evil.py", "C:\\evil.py",     ".."};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct writing writing;
        begin(&writing, i % 2 == 0);
        add(&writing, "good.py", "x = 1\n");
        add(&writing, paths[i], "x = 1\n");
        assert_refused(*state, &writing, -EINVAL, "path");
    }
}

static void links_and_devices_are_refused(void **state)
{
    static const unsigned types[] = {AE_IFLNK, AE_IFIFO, AE_IFCHR, AE_IFREG};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct writing writing;
        begin(&writing, false);
        add(&writing, "good.py", "x = 1\n");
        struct archive_entry *entry = new_entry("bad", types[i], 0);
        if (types[i] == AE_IFLNK) {
            archive_entry_set_symlink(entry, "/etc/passwd");
        } else if (types[i] == AE_IFREG) {
            archive_entry_set_hardlink(entry, "good.py");
        }
        assert_int_equal(archive_write_header(writing.archive, entry), ARCHIVE_OK);
        archive_entry_free(entry);
        assert_refused(*state, &writing, -EINVAL, "'bad' is a link or a device");
    }
}

static void an_entry_twice_or_under_a_file_is_refused(void **state)
{
    struct writing writing;
    begin(&writing, false);
    add(&writing, "a.py", "x = 1\n");
    add(&writing, "./a.py", "x = 2\n");
    assert_refused(*state, &writing, -EINVAL, "twice");
    begin(&writing, false);
    add(&writing, "a", "x = 1\n");
    add(&writing, "a/b.py", "x = 2\n");
    assert_refused(*state, &writing, -EINVAL, "twice");
}

static void too_many_files_and_bombs_are_refused(void **state)
{
    struct writing writing;
    begin(&writing, false);
    for (int i = 0; i <= PACKAGE_FILES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "f%d.py", i);
        add(&writing, name, "");
    }
    assert_refused(*state, &writing, -EFBIG, "more than 10000 files");
    begin(&writing, false);
    size_t bytes = (size_t)PACKAGE_UNPACKED_BYTES_MAX + 1;
    struct archive_entry *entry = new_entry("zeros.py", AE_IFREG, bytes);
    assert_int_equal(archive_write_header(writing.archive, entry), ARCHIVE_OK);
    archive_entry_free(entry);
    static const char zeros[1024 * 1024];
    for (size_t left = bytes; left > 0;) {
        size_t part = left < sizeof(zeros) ? left : sizeof(zeros);
        assert_int_equal(archive_write_data(writing.archive, zeros, part), (la_ssize_t)part);
        left -= part;
    }
    assert_refused(*state, &writing, -EFBIG, "larger than 512 MiB");
}

static void what_is_not_an_archive_is_refused(void **state)
{
    static const char *const texts[] = {"hello", "", "PK\x03\x04 nothing of the kind",
                                        "\x1f\x8b\x08"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *folder = NULL;
        struct error error;
        struct cache *cache = *state;
        assert_int_equal(store(cache, "p.zip", texts[i], strlen(texts[i]), &folder, &error),
                         -EINVAL);
        assert_non_null(strstr(error.text, "p.zip"));
        assert_int_equal(count_entries(cache->directory), 0);
    }
}

static void a_cut_archive_is_refused(void **state)
{
    struct cache *cache = *state;
    struct writing writing;
    begin(&writing, true);
    char text[4096];
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        text[i] = (char)('a' + (i * i) % 26);
    }
    text[sizeof(text) - 1] = '\0';
    add(&writing, "a.py", text);
    end(&writing);
    const char *folder = NULL;
    struct error error;
    assert_int_equal(store(cache, "p.zip", writing.data, writing.bytes / 4, &folder, &error),
                     -EINVAL);
    assert_int_equal(count_entries(cache->directory), 0);
    free(writing.data);
}

static void another_hash_is_refused(void **state)
{
    struct cache *cache = *state;
    uint8_t sha256[PACKAGE_SHA256_BYTES] = {1, 2, 3};
    const char *folder = NULL;
    struct error error;
    assert_int_equal(packages_store(cache->packages, sha256, "a.py", "x", 1, &folder, &error),
                     -EBADMSG);
    assert_non_null(strstr(error.text, "0102030000"));
    assert_int_equal(count_entries(cache->directory), 0);
}

static void leftovers_of_a_crash_are_removed_but_not_another_workers(void **state)
{
    struct cache *cache = *state;
    char *dead = memory_print("%s/.unpacking-dead/deep", cache->directory);
    char *live = memory_print("%s/.unpacking-live", cache->directory);
    *strrchr(dead, '/') = '\0';
    assert_int_equal(mkdir(dead, 0755), 0);
    dead[strlen(dead)] = '/';
    assert_int_equal(mkdir(dead, 0755), 0);
    assert_int_equal(mkdir(live, 0755), 0);
    int fd = open(live, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    struct error error;
    struct packages *other = packages_new(cache->directory, 0, &error);
    assert_non_null(other);
    assert_int_equal(access(dead, F_OK), -1);
    assert_int_equal(access(live, F_OK), 0);
    packages_free(other);
    close(fd);
    free(dead);
    free(live);
}

static void a_folder_that_cannot_be_used_is_one_sentence(void **state)
{
    (void)state;
    struct error error;
    assert_null(packages_new("/proc/nowhere/packages", 0, &error));
    assert_non_null(strstr(error.text, "/proc/nowhere/packages"));
}

/* One of 64 KiB, named by `letter`, found last. */
static const char *store_large(struct packages *packages, char letter)
{
    static char text[64 * 1024];
    uint8_t sha256[PACKAGE_SHA256_BYTES];
    const char *folder = NULL;
    struct error error;
    memset(text, ' ', sizeof(text));
    snprintf(text, sizeof(text), "# %c", letter);
    text[3] = '\n';
    hash(text, sizeof(text), sha256);
    assert_int_equal(
        packages_store(packages, sha256, "large.py", text, sizeof(text), &folder, &error), 0);
    /* Times of folders have the kernel's tick. */
    struct timespec times[2] = {{.tv_sec = letter}, {.tv_sec = letter}};
    assert_int_equal(utimensat(AT_FDCWD, folder, times, 0), 0);
    return folder;
}

static void what_is_longest_unused_goes_when_the_cache_is_full(void **state)
{
    struct cache *cache = *state;
    struct error error;
    struct packages *packages = packages_new(cache->directory, 200 * 1024, &error);
    const char *a = store_large(packages, 'a'), *b = store_large(packages, 'b');
    assert_int_equal(packages_evicted(packages), 0);
    const char *c = store_large(packages, 'c');
    assert_int_equal(access(a, F_OK), -1);
    assert_int_equal(access(b, F_OK), 0);
    assert_int_equal(access(c, F_OK), 0);
    assert_int_equal(packages_evicted(packages), 1);
    assert_true(packages_bytes(packages) <= 200 * 1024);
    assert_int_equal(count_entries(cache->directory), 2);
    assert_int_equal(packages_use(packages, a), -ENOENT);
    packages_free(packages);
}

static void what_a_worker_uses_stays_though_the_cache_is_full(void **state)
{
    struct cache *cache = *state;
    struct error error;
    struct packages *packages = packages_new(cache->directory, 1, &error);
    const char *a = store_large(cache->packages, 'a'), *b = store_large(cache->packages, 'b');
    assert_int_equal(packages_use(cache->packages, a), 0);
    assert_int_equal(packages_use(packages, b), 0);
    assert_int_equal(packages_use(packages, b), 0);
    const char *c = store_large(packages, 'c');
    packages_drop(packages, b);
    const char *d = store_large(packages, 'd');
    assert_int_equal(access(c, F_OK), -1);
    assert_int_equal(count_entries(cache->directory), 3);
    packages_drop(packages, b);
    packages_drop(cache->packages, a);
    (void)store_large(packages, 'e');
    assert_int_equal(access(a, F_OK), -1);
    assert_int_equal(access(b, F_OK), -1);
    assert_int_equal(access(d, F_OK), -1);
    assert_int_equal(count_entries(cache->directory), 1);
    packages_free(packages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_python_file_is_a_package, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_zip_and_a_tar_gz_are_packages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_that_leave_the_folder_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_and_devices_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_twice_or_under_a_file_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_many_files_and_bombs_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_an_archive_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cut_archive_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_hash_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leftovers_of_a_crash_are_removed_but_not_another_workers,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_longest_unused_goes_when_the_cache_is_full, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_worker_uses_stays_though_the_cache_is_full, set_up,
                                        tear_down),
        cmocka_unit_test(a_folder_that_cannot_be_used_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
