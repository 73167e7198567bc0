#include "producer/licensor_client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/address.h"
#include "common/frames.h"
#include "common/memory.h"

#define ANSWER_SECONDS 3
#define FRAME_BYTES_MAX (64 * 1024 * 1024) /* of answers: a list of a hundred thousand seats */

struct question {
    uint64_t id;
    licensor_answered done;
    void *context;
    TAILQ_ENTRY(question) next;
};

struct licensor_client {
    struct event_base *base;
    struct address address;
    char text[300];
    struct bufferevent *connection; /* NULL: none now */
    uint64_t last_id;
    size_t waiting;
    TAILQ_HEAD(questions, question) questions;
};

static void answer_question(struct licensor_client *client, struct question *question,
                            const Engenho__FromLicensor *answer, const char *reason)
{
    TAILQ_REMOVE(&client->questions, question, next);
    client->waiting--;
    question->done(question->context, answer, reason);
    free(question);
}

static void disconnect(struct licensor_client *client, const char *why)
{
    struct question *question;
    char reason[512];
    if (client->connection != NULL) {
        bufferevent_free(client->connection);
        client->connection = NULL;
    }
    snprintf(reason, sizeof reason, "the licensor at %s %s", client->text, why);
    /* Those asked from within these callbacks wait for the next connection. */
    size_t count = client->waiting;
    while (count-- > 0 && (question = TAILQ_FIRST(&client->questions)) != NULL) {
        answer_question(client, question, NULL, reason);
    }
}

static int handle_frame(struct licensor_client *client, const uint8_t *payload, size_t bytes)
{
    Engenho__FromLicensor *answer = engenho__from_licensor__unpack(NULL, bytes, payload);
    struct question *question;
    if (answer == NULL) {
        return -EBADMSG;
    }
    TAILQ_FOREACH (question, &client->questions, next) {
        if (question->id == answer->id) {
            answer_question(client, question, answer,
                            answer->refused != NULL ? answer->refused->text : NULL);
            break;
        }
    }
    engenho__from_licensor__free_unpacked(answer, NULL);
    return 0;
}

/* Whether a whole frame is there, without moving what has come of a long one at each part of it. */
static bool is_whole(struct evbuffer *input)
{
    uint8_t header[FRAME_HEADER_BYTES];
    size_t bytes = evbuffer_get_length(input);
    if (bytes < sizeof header) {
        return false;
    }
    evbuffer_copyout(input, header, sizeof header);
    uint32_t frame = (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 |
                     (uint32_t)header[2] << 8 | header[3];
    return frame > FRAME_BYTES_MAX || bytes - sizeof header >= frame;
}

static void on_read(struct bufferevent *connection, void *context)
{
    struct licensor_client *client = context;
    struct evbuffer *input = bufferevent_get_input(connection);
    const uint8_t *payload;
    size_t payload_bytes, frame_bytes;
    int result;
    while (client->connection == connection && is_whole(input)) {
        result = frame_next(evbuffer_pullup(input, -1), evbuffer_get_length(input), FRAME_BYTES_MAX,
                            &payload, &payload_bytes, &frame_bytes);
        if (result <= 0 || handle_frame(client, payload, payload_bytes) != 0) {
            disconnect(client, "speaks another protocol: check --licensor");
            return;
        }
        if (client->connection == connection) {
            evbuffer_drain(input, frame_bytes);
        }
    }
}

static void on_event(struct bufferevent *connection, short events, void *context)
{
    struct licensor_client *client = context;
    (void)connection;
    if (events & BEV_EVENT_TIMEOUT && TAILQ_EMPTY(&client->questions)) {
        bufferevent_free(client->connection); /* idle */
        client->connection = NULL;
    } else if (events & (BEV_EVENT_ERROR | BEV_EVENT_EOF | BEV_EVENT_TIMEOUT)) {
        disconnect(client, events & BEV_EVENT_TIMEOUT
                               ? "does not answer"
                               : "can't be reached: is it running, and is --licensor right?");
    }
}

struct licensor_client *licensor_client_new(struct event_base *base, const char *address,
                                            struct error *error)
{
    struct licensor_client *client = memory_new(1, sizeof *client);
    client->base = base;
    snprintf(client->text, sizeof client->text, "%s", address);
    TAILQ_INIT(&client->questions);
    if (address_parse(address, &client->address, error) != 0) {
        free(client);
        return NULL;
    }
    return client;
}

void licensor_client_free(struct licensor_client *client)
{
    if (client == NULL) {
        return;
    }
    disconnect(client, "is not asked any more: this process stops");
    free(client);
}

static void connect_now(struct licensor_client *client)
{
    const struct timeval wait = {ANSWER_SECONDS, 0};
    client->connection =
        bufferevent_socket_new(client->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    bufferevent_setcb(client->connection, on_read, NULL, on_event, client);
    bufferevent_set_timeouts(client->connection, &wait, &wait);
    bufferevent_enable(client->connection, EV_READ | EV_WRITE);
    /*
     * A name is resolved here and blocks: give an address where the resolver is slow. A failure
     * comes as an event.
     */
    bufferevent_socket_connect_hostname(client->connection, NULL, AF_UNSPEC, client->address.host,
                                        client->address.port);
}

int licensor_client_ask(struct licensor_client *client, Engenho__ToLicensor *question,
                        licensor_answered done, void *context)
{
    uint8_t header[FRAME_HEADER_BYTES];
    if (client->waiting >= LICENSOR_QUESTIONS_MAX) {
        return -ENOBUFS;
    }
    if (client->connection == NULL) {
        connect_now(client);
    }
    struct question *waiting = memory_new(1, sizeof *waiting);
    *waiting = (struct question){.id = ++client->last_id, .done = done, .context = context};
    TAILQ_INSERT_TAIL(&client->questions, waiting, next);
    client->waiting++;
    question->id = waiting->id;
    size_t bytes = engenho__to_licensor__get_packed_size(question);
    uint8_t *packed = memory_new(bytes + 1, 1);
    engenho__to_licensor__pack(question, packed);
    frame_header(header, (uint32_t)bytes);
    bufferevent_write(client->connection, header, sizeof header);
    bufferevent_write(client->connection, packed, bytes);
    free(packed);
    return 0;
}
