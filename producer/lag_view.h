/*
 * What the lag collector knows: agents, topics, partitions; computed after each round, shown as
 * metrics and as JSON. Of the edge only for its types.
 */
#ifndef ENGENHO_PRODUCER_LAG_VIEW_H
#define ENGENHO_PRODUCER_LAG_VIEW_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "common/metrics.h"
#include "kafka/topics.h"
#include "producer/lag_status.h"
#include "producer/lag_table.h"

/* One partition of a topic, whoever reads it. */
struct lag_end {
    int64_t low, end; /* -1: not known; end: the last stable offset */
    struct lag_table table;
};

struct lag_topic {
    char name[TOPIC_NAME_BYTES_MAX]; /* with the prefix */
    struct lag_end *ends;
    int32_t count;
    UT_hash_handle hh;
};

/* One partition as an agent reads it. */
struct lag_part {
    char key[TOPIC_NAME_BYTES_MAX + 16]; /* partition and topic */
    char topic[TOPIC_NAME_BYTES_MAX];
    int32_t partition;
    int64_t committed; /* -1: nothing yet */
    int64_t done;      /* beyond it */
    char member[128];  /* client.id of who has it; empty: nobody */
    int64_t lag;       /* -1: nothing was committed */
    int64_t lost;      /* between the committed offset and the first that is there */
    int64_t age_us;
    bool at_least; /* age_us is a lower bound */
    bool shown;    /* has metrics */
    struct lag_history history;
    enum lag_status status;
    UT_hash_handle hh;
};

struct lag_agent {
    char *agent;
    char group[TOPIC_NAME_BYTES_MAX];
    rd_kafka_consumer_group_state_t state;
    int members, idle;
    struct lag_part *parts;
    UT_hash_handle hh;
};

struct lag_view {
    const char *prefix; /* borrowed */
    struct lag_topic *topics;
    struct lag_agent *agents;
    int64_t collected_unix_us; /* 0: not yet */
};

void lag_view_release(struct lag_view *view);

void lag_view_agent_added(struct lag_view *view, const char *agent);
/* Takes its metrics away too. */
void lag_view_agent_removed(struct lag_view *view, const char *agent, struct metrics *metrics);
struct lag_agent *lag_view_agent_of_group(struct lag_view *view, const char *group);

/* A round begins: forget members and commits. */
void lag_view_begin(struct lag_view *view);
void lag_view_topic_size(struct lag_view *view, const char *topic, int32_t partitions);
void lag_view_group(struct lag_agent *agent, rd_kafka_consumer_group_state_t state);
void lag_view_member(struct lag_view *view, struct lag_agent *agent, const char *client,
                     const rd_kafka_topic_partition_list_t *parts);
/* `done`: how many are finished beyond the committed offset. */
void lag_view_committed(struct lag_view *view, struct lag_agent *agent,
                        const rd_kafka_topic_partition_t *committed, int64_t done);
void lag_view_end(struct lag_view *view, const char *topic, int32_t partition, int64_t end,
                  int64_t now_mono_us);
void lag_view_low(struct lag_view *view, const char *topic, int32_t partition, int64_t low);
/* The first offset that is there, as far as it is known; else -1. */
int64_t lag_view_low_of(struct lag_view *view, const char *topic, int32_t partition);
/* Where `triggers.<agent>` has records below the committed offset. Returns owned. */
rd_kafka_topic_partition_list_t *lag_view_done(struct lag_view *view);
/* The round's answers are complete. */
void lag_view_compute(struct lag_view *view, int64_t now_mono_us, int64_t now_unix_us);

void lag_view_show(struct lag_view *view, struct metrics *metrics);
/* stable, empty, dead ... */
const char *lag_view_state_name(const struct lag_agent *agent);
/* Lag and age of a topic of the agent, or of all (NULL). Returns false when nothing was committed
 * in it. */
bool lag_view_sum(const struct lag_agent *agent, const char *topic, int64_t *ret_lag,
                  int64_t *ret_age_us);
#endif
