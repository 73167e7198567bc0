#include "producer/token.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/random.h"

#define TOKEN_RANDOM_BYTES 32
#define TOKEN_BYTES_MAX 1000
#define TOKEN_BYTES_MIN 16

static int make(const char *path, char **ret_token, struct error *error)
{
    char text[2 * TOKEN_RANDOM_BYTES + 1];
    random_hex(text, TOKEN_RANDOM_BYTES);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set(
            error, -errno,
            "the token file %s can't be made (%s): choose another place with --token-file", path,
            strerror(errno));
    }
    bool good = write(fd, text, strlen(text)) == (ssize_t)strlen(text) && write(fd, "\n", 1) == 1 &&
                fsync(fd) == 0;
    close(fd);
    if (!good) {
        unlink(path);
        return error_set(error, -EIO, "the token file %s can't be written: is the disk full?",
                         path);
    }
    *ret_token = memory_copy_text(text);
    return 0;
}

int token_load(const char *path, char **ret_token, struct error *error)
{
    char text[TOKEN_BYTES_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return make(path, ret_token, error);
    }
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof text);
    int code = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (bytes < 0) {
        return error_set(error, -code, "the token file %s can't be read: %s", path, strerror(code));
    }
    while (bytes > 0 && isspace((unsigned char)text[bytes - 1])) {
        bytes--;
    }
    if (bytes < TOKEN_BYTES_MIN || bytes > TOKEN_BYTES_MAX ||
        memchr(text, '\n', (size_t)bytes) != NULL) {
        return error_set(
            error, -EINVAL,
            "the token file %s must hold one line of %d to %d characters: remove it, and a new one is made",
            path, TOKEN_BYTES_MIN, TOKEN_BYTES_MAX);
    }
    *ret_token = memory_copy(text, (size_t)bytes);
    return 0;
}
