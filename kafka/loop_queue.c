#include "kafka/loop_queue.h"

#include <assert.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_event(evutil_socket_t fd, short what, void *context)
{
    struct loop_queue *loop_queue = context;
    uint64_t wakes;
    (void)fd;
    (void)what;
    ssize_t got = read(loop_queue->fd, &wakes, sizeof wakes);
    (void)got;
    loop_queue->on_wake(loop_queue->context);
}

void loop_queue_open(struct loop_queue *loop_queue, struct event_base *base,
                     rd_kafka_queue_t *queue, int every_ms, void (*on_wake)(void *context),
                     void *context)
{
    static const uint64_t one = 1;
    loop_queue->queue = queue;
    loop_queue->on_wake = on_wake;
    loop_queue->context = context;
    loop_queue->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(loop_queue->fd >= 0);
    rd_kafka_queue_io_event_enable(queue, loop_queue->fd, &one, sizeof one);
    loop_queue->wake = event_new(base, loop_queue->fd, EV_READ | EV_PERSIST, on_event, loop_queue);
    event_add(loop_queue->wake, NULL);
    loop_queue->tick = event_new(base, -1, EV_PERSIST, on_event, loop_queue);
    event_add(loop_queue->tick,
              &(struct timeval){.tv_sec = every_ms / 1000, .tv_usec = every_ms % 1000 * 1000});
}

void loop_queue_again(struct loop_queue *loop_queue)
{
    event_active(loop_queue->wake, EV_READ, 0);
}

void loop_queue_close(struct loop_queue *loop_queue)
{
    event_free(loop_queue->wake);
    event_free(loop_queue->tick);
    rd_kafka_queue_io_event_enable(loop_queue->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(loop_queue->queue);
    close(loop_queue->fd);
}
