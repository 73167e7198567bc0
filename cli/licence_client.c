/*
 * One request to the licensor. See the header. An edge: a socket and proto/licensor.proto.
 */
#include "cli/licence_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/data_directory.h"
#include "cli/probe.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/frames.h"
#include "common/memory.h"
#include "proto/licensor.pb-c.h"

#define FRAME_BYTES_MAX ((size_t)1 << 20)
#define ANSWER_US_MAX (10 * SECOND_US)

/* Returns owned, or NULL with a sentence. */
static char *find_licensor(const struct licence_options *options, struct error *error)
{
    if (options->licensor) {
        return memory_copy_text(options->licensor);
    }
    char *data = data_directory_choose(options->data);
    json_t *endpoint =
        data_directory_owner(data) ? data_directory_read_json(data, "endpoint.json") : NULL;
    char *address = memory_copy_text(json_string_value(json_object_get(endpoint, "licensor")));
    if (!address) {
        (void)error_set(
            error, -ENOENT,
            "no licensor: nothing runs on %s; start it with `engenho up`, or name one with --licensor "
            "HOST:PORT",
            data);
    }
    json_decref(endpoint);
    free(data);
    return address;
}

static int wait_for(int fd, short events, int64_t until_us)
{
    int64_t left_ms = (until_us - clock_mono_us()) / 1000;
    struct pollfd wait = {.fd = fd, .events = events};
    return left_ms > 0 && poll(&wait, 1, (int)left_ms) == 1 ? 0 : -ETIMEDOUT;
}

static int send_frame(int fd, const struct buf *frame, int64_t until_us)
{
    size_t sent = 0;
    while (sent < frame->length) {
        ssize_t bytes = wait_for(fd, POLLOUT, until_us) == 0
                            ? send(fd, frame->data + sent, frame->length - sent, MSG_NOSIGNAL)
                            : -1;
        if (bytes <= 0) {
            return -EPIPE;
        }
        sent += (size_t)bytes;
    }
    return 0;
}

/* Read one whole frame. Returns 0 with the payload borrowed from `in`. */
static int read_frame(int fd, struct buf *in, const uint8_t **ret_payload, size_t *ret_bytes,
                      int64_t until_us)
{
    size_t frame_bytes;
    int whole;
    while ((whole = frame_next(in->data, in->length, FRAME_BYTES_MAX, ret_payload, ret_bytes,
                               &frame_bytes)) == 0) {
        uint8_t *room = buf_reserve(in, 4096);
        ssize_t got = room && wait_for(fd, POLLIN, until_us) == 0 ? recv(fd, room, 4096, 0) : -1;
        if (got <= 0) {
            return -EPIPE;
        }
        buf_commit(in, (size_t)got);
    }
    return whole == 1 ? 0 : whole;
}

static int ask(int fd, const struct buf *question, const char *address, struct error *error)
{
    int64_t until_us = clock_mono_us() + ANSWER_US_MAX;
    const uint8_t *payload = NULL;
    size_t bytes = 0;
    struct buf in;
    buf_init(&in, FRAME_BYTES_MAX + FRAME_HEADER_BYTES + 4096);
    int failed = send_frame(fd, question, until_us);
    failed = failed ? failed : read_frame(fd, &in, &payload, &bytes, until_us);
    Engenho__FromLicensor *answer =
        failed ? NULL : engenho__from_licensor__unpack(NULL, bytes, payload);
    if (!answer) {
        failed = error_set(error, -EPROTO, "%s gave no answer: is it Engenho's licensor?", address);
    } else if (answer->refused) {
        failed = error_set(error, -EPERM, "%s", answer->refused->text);
    }
    if (answer) {
        engenho__from_licensor__free_unpacked(answer, NULL);
    }
    buf_release(&in);
    return failed;
}

int licence_install(const struct licence_options *options, const char *file, size_t bytes,
                    struct error *error)
{
    char *address = find_licensor(options, error);
    if (!address) {
        return -ENOENT;
    }
    int fd = probe_connect(address, clock_mono_us() + ANSWER_US_MAX), failed = 0;
    if (fd < 0) {
        failed =
            error_set(error, fd, "the licensor at %s can't be reached: %s", address, strerror(-fd));
    } else {
        Engenho__ToLicensor message = ENGENHO__TO_LICENSOR__INIT;
        Engenho__InstallLicence install = ENGENHO__INSTALL_LICENCE__INIT;
        message.id = 1;
        message.body_case = ENGENHO__TO_LICENSOR__BODY_INSTALL_LICENCE;
        message.install_licence = &install;
        install.file.data = (uint8_t *)(uintptr_t)file;
        install.file.len = bytes;
        size_t packed = engenho__to_licensor__get_packed_size(&message);
        uint8_t *payload = memory_new(packed, 1);
        struct buf frame;
        engenho__to_licensor__pack(&message, payload);
        buf_init(&frame, FRAME_BYTES_MAX);
        failed = frame_append(&frame, payload, packed);
        failed = failed ? error_set(error, failed, "the licence file is too large")
                        : ask(fd, &frame, address, error);
        buf_release(&frame);
        free(payload);
        close(fd);
    }
    free(address);
    return failed;
}
