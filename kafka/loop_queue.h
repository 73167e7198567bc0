/*
 * A queue of librdkafka that wakes a libevent loop: when it stops being empty, and now and then
 * besides, because librdkafka's own timers bring no wake-up. An edge: librdkafka and libevent.
 */
#ifndef ENGENHO_KAFKA_LOOP_QUEUE_H
#define ENGENHO_KAFKA_LOOP_QUEUE_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>

struct loop_queue {
    rd_kafka_queue_t *queue;
    int fd;
    struct event *wake, *tick;
    void (*on_wake)(void *context);
    void *context;
};

/*
 * Takes `queue`. `on_wake` empties it; it is called from the loop, every `every_ms` at the latest.
 */
void loop_queue_open(struct loop_queue *loop_queue, struct event_base *base,
                     rd_kafka_queue_t *queue, int every_ms, void (*on_wake)(void *context),
                     void *context);
/* Call on_wake on the loop's next turn: it stopped before the queue was empty. */
void loop_queue_again(struct loop_queue *loop_queue);
/* Before the client of the queue is destroyed; on_wake is not called any more. */
void loop_queue_close(struct loop_queue *loop_queue);

#endif
