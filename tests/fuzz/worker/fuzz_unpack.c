/*
 * Paths of archives, and archives: what is accepted stays in its folder. The first byte chooses.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "worker/unpack.h"

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    REQUIRE(S_ISDIR(status->st_mode) || (S_ISREG(status->st_mode) && status->st_nlink == 1));
    (void)type;
    (void)place;
    return remove(path);
}

static void try_path(const uint8_t *data, size_t bytes)
{
    char path[UNPACK_PATH_BYTES_MAX];
    size_t depth;
    struct error error;
    char *text = fuzz_text(data, bytes);
    if (unpack_clean_path(text, path, &depth, &error) == 0) {
        REQUIRE(path[0] != '/' && depth <= UNPACK_DEPTH_MAX && strlen(path) <= bytes);
        REQUIRE(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0 &&
                strstr(path, "/../") == NULL);
        REQUIRE(strstr(path, "//") == NULL && strchr(path, '\\') == NULL);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        try_path(data + 1, bytes - 1);
        return 0;
    }
    char folder[] = "/tmp/engenho-fuzz-XXXXXX";
    struct error error;
    REQUIRE(mkdtemp(folder));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    int result = unpack(fd, "p.zip", data + 1, bytes - 1, &error);
    REQUIRE(result == 0 || strstr(error.text, "p.zip") != NULL);
    close(fd);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
