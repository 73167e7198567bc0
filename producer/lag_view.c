#include "producer/lag_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static struct lag_topic *find_topic(struct lag_view *view, const char *name)
{
    struct lag_topic *topic;
    HASH_FIND_STR(view->topics, name, topic);
    return topic;
}

static struct lag_topic *watch_topic(struct lag_view *view, const char *name)
{
    struct lag_topic *topic = find_topic(view, name);
    if (topic == NULL) {
        topic = memory_new(1, sizeof *topic);
        snprintf(topic->name, sizeof topic->name, "%s", name);
        HASH_ADD_STR(view->topics, name, topic);
    }
    return topic;
}

static struct lag_end *find_end(struct lag_view *view, const char *name, int32_t partition)
{
    struct lag_topic *topic = find_topic(view, name);
    return topic != NULL && partition >= 0 && partition < topic->count ? &topic->ends[partition]
                                                                       : NULL;
}

static struct lag_part *watch_part(struct lag_agent *agent, const char *topic, int32_t partition)
{
    struct lag_part *part;
    char key[sizeof part->key];
    /* Without a topic's name in front, long names that differ at their end would not differ. */
    snprintf(key, sizeof key, "%" PRId32 " %s", partition, topic);
    HASH_FIND_STR(agent->parts, key, part);
    if (part == NULL) {
        part = memory_new(1, sizeof *part);
        snprintf(part->key, sizeof part->key, "%s", key);
        snprintf(part->topic, sizeof part->topic, "%s", topic);
        part->partition = partition;
        part->committed = -1;
        part->lag = -1;
        HASH_ADD_STR(agent->parts, key, part);
    }
    return part;
}

static void free_agent(struct lag_view *view, struct lag_agent *agent)
{
    struct lag_part *part, *next;
    HASH_ITER (hh, agent->parts, part, next) {
        HASH_DEL(agent->parts, part);
        free(part);
    }
    HASH_DEL(view->agents, agent);
    free(agent->agent);
    free(agent);
}

void lag_view_release(struct lag_view *view)
{
    struct lag_agent *agent, *next_agent;
    struct lag_topic *topic, *next_topic;
    HASH_ITER (hh, view->agents, agent, next_agent) {
        free_agent(view, agent);
    }
    HASH_ITER (hh, view->topics, topic, next_topic) {
        HASH_DEL(view->topics, topic);
        free(topic->ends);
        free(topic);
    }
}

static struct lag_agent *find_agent(const struct lag_view *view, const char *name)
{
    struct lag_agent *agent, *next;
    HASH_ITER (hh, view->agents, agent, next) {
        if (!strcmp(agent->agent, name)) {
            return agent;
        }
    }
    return NULL;
}

void lag_view_agent_added(struct lag_view *view, const char *name)
{
    char topic[TOPIC_NAME_BYTES_MAX];
    if (find_agent(view, name) != NULL) {
        return;
    }
    struct lag_agent *agent = memory_new(1, sizeof *agent);
    agent->agent = memory_copy_text(name);
    topic_name(view->prefix, name, agent->group);
    HASH_ADD_STR(view->agents, group, agent);
    watch_topic(view, topic_name(view->prefix, TOPIC_EVENTS, topic));
    watch_topic(view, topic_of_agent(view->prefix, "triggers", name, topic));
}

struct lag_agent *lag_view_agent_of_group(struct lag_view *view, const char *group)
{
    struct lag_agent *agent;
    HASH_FIND_STR(view->agents, group, agent);
    return agent;
}

void lag_view_begin(struct lag_view *view)
{
    struct lag_agent *agent, *next_agent;
    struct lag_part *part, *next_part;
    HASH_ITER (hh, view->agents, agent, next_agent) {
        agent->members = agent->idle = 0;
        HASH_ITER (hh, agent->parts, part, next_part) {
            part->member[0] = '\0';
            part->committed = -1;
            part->done = 0;
        }
    }
}

void lag_view_topic_size(struct lag_view *view, const char *name, int32_t partitions)
{
    struct lag_topic *topic = find_topic(view, name);
    if (topic == NULL || partitions <= topic->count) {
        return;
    }
    topic->ends = memory_resize(topic->ends, (size_t)partitions, sizeof *topic->ends);
    for (int32_t i = topic->count; i < partitions; i++) {
        topic->ends[i] = (struct lag_end){.low = -1, .end = -1};
    }
    topic->count = partitions;
}

void lag_view_group(struct lag_agent *agent, rd_kafka_consumer_group_state_t state)
{
    agent->state = state;
}

void lag_view_member(struct lag_view *view, struct lag_agent *agent, const char *client,
                     const rd_kafka_topic_partition_list_t *parts)
{
    agent->members++;
    agent->idle += parts == NULL || parts->cnt == 0;
    for (int i = 0; parts != NULL && i < parts->cnt; i++) {
        struct lag_part *part = watch_part(agent, parts->elems[i].topic, parts->elems[i].partition);
        watch_topic(view, part->topic);
        snprintf(part->member, sizeof part->member, "%s", client);
    }
}

void lag_view_committed(struct lag_view *view, struct lag_agent *agent,
                        const rd_kafka_topic_partition_t *committed, int64_t done)
{
    struct lag_part *part = watch_part(agent, committed->topic, committed->partition);
    watch_topic(view, committed->topic);
    part->committed = committed->offset;
    part->done = done;
}

void lag_view_end(struct lag_view *view, const char *topic, int32_t partition, int64_t end,
                  int64_t now_mono_us)
{
    struct lag_end *found = find_end(view, topic, partition);
    if (found != NULL) {
        found->end = end;
        lag_table_add(&found->table, end, now_mono_us);
    }
}

void lag_view_low(struct lag_view *view, const char *topic, int32_t partition, int64_t low)
{
    struct lag_end *found = find_end(view, topic, partition);
    if (found != NULL) {
        found->low = low;
    }
}

int64_t lag_view_low_of(struct lag_view *view, const char *topic, int32_t partition)
{
    const struct lag_end *found = find_end(view, topic, partition);
    return found != NULL ? found->low : -1;
}

rd_kafka_topic_partition_list_t *lag_view_done(struct lag_view *view)
{
    rd_kafka_topic_partition_list_t *done = rd_kafka_topic_partition_list_new(8);
    struct lag_agent *agent, *next_agent;
    struct lag_part *part, *next_part;
    char triggers[TOPIC_NAME_BYTES_MAX];
    HASH_ITER (hh, view->agents, agent, next_agent) {
        topic_of_agent(view->prefix, "triggers", agent->agent, triggers);
        HASH_ITER (hh, agent->parts, part, next_part) {
            int64_t low = lag_view_low_of(view, part->topic, part->partition);
            if (!strcmp(part->topic, triggers) && low >= 0 && part->committed > low) {
                rd_kafka_topic_partition_list_add(done, part->topic, part->partition)->offset =
                    part->committed;
            }
        }
    }
    return done;
}

static void compute_part(struct lag_view *view, struct lag_part *part, int64_t now_mono_us)
{
    const struct lag_end *end = find_end(view, part->topic, part->partition);
    if (end == NULL || end->end < 0) {
        return;
    }
    int64_t low = end->low > 0 ? end->low : 0;
    if (part->committed < 0) {
        lag_history_add(&part->history, -1, end->end - low);
        part->lag = -1;
        part->lost = 0;
        part->age_us = 0;
        part->at_least = false;
    } else {
        part->lost = low > part->committed ? low - part->committed : 0;
        int64_t from = part->committed + part->lost;
        part->lag = end->end > from ? end->end - from : 0;
        part->age_us = lag_table_age_us(&end->table, from, now_mono_us, &part->at_least);
        lag_history_add(&part->history, part->committed, part->lag);
    }
    part->status = lag_status_of(&part->history, part->member[0] != '\0');
}

/* Each agent reads these, whether or not anything was committed for them. */
static void watch_inputs(struct lag_view *view, struct lag_agent *agent)
{
    char names[2][TOPIC_NAME_BYTES_MAX];
    topic_name(view->prefix, TOPIC_EVENTS, names[0]);
    topic_of_agent(view->prefix, "triggers", agent->agent, names[1]);
    for (int i = 0; i < 2; i++) {
        struct lag_topic *topic = watch_topic(view, names[i]);
        for (int32_t partition = 0; partition < topic->count; partition++) {
            watch_part(agent, names[i], partition);
        }
    }
}

void lag_view_compute(struct lag_view *view, int64_t now_mono_us, int64_t now_unix_us)
{
    struct lag_agent *agent, *next_agent;
    struct lag_part *part, *next_part;
    HASH_ITER (hh, view->agents, agent, next_agent) {
        watch_inputs(view, agent);
        HASH_ITER (hh, agent->parts, part, next_part) {
            compute_part(view, part, now_mono_us);
        }
    }
    view->collected_unix_us = now_unix_us;
}

static void remove_part(struct lag_agent *agent, struct lag_part *part, struct metrics *metrics)
{
    char number[16];
    snprintf(number, sizeof number, "%" PRId32, part->partition);
    const char *const labels[] = {agent->group, part->topic, number, NULL};
    metrics_remove(metrics, "engenho_kafka_consumer_group_lag", labels);
    metrics_remove(metrics, "engenho_kafka_consumer_group_lag_seconds", labels);
    metrics_remove(metrics, "engenho_kafka_consumer_group_lost_records", labels);
}

static void remove_status(struct lag_agent *agent, struct lag_part *part, struct metrics *metrics)
{
    char number[16];
    snprintf(number, sizeof number, "%" PRId32, part->partition);
    for (int i = 0; i < LAG_STATUS_COUNT; i++) {
        metrics_remove(metrics, "engenho_kafka_consumer_group_status",
                       METRIC_VALUES(agent->group, part->topic, number, lag_status_names[i]));
    }
}

static const char *const state_names[] = {
    "unknown", "preparing_rebalance", "completing_rebalance", "stable", "dead", "empty"};

void lag_view_agent_removed(struct lag_view *view, const char *name, struct metrics *metrics)
{
    struct lag_agent *agent = find_agent(view, name);
    struct lag_part *part, *next;
    if (agent == NULL) {
        return;
    }
    HASH_ITER (hh, agent->parts, part, next) {
        remove_part(agent, part, metrics);
        remove_status(agent, part, metrics);
        metrics_remove(metrics, "engenho_kafka_consumer_group_lag_sum",
                       METRIC_VALUES(agent->group, part->topic));
        metrics_remove(metrics, "engenho_kafka_consumer_group_max_lag_seconds",
                       METRIC_VALUES(agent->group, part->topic));
    }
    metrics_remove(metrics, "engenho_kafka_consumer_group_members", METRIC_VALUES(agent->group));
    metrics_remove(metrics, "engenho_kafka_consumer_group_idle_members",
                   METRIC_VALUES(agent->group));
    for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
        metrics_remove(metrics, "engenho_kafka_consumer_group_state",
                       METRIC_VALUES(agent->group, state_names[i]));
    }
    free_agent(view, agent);
}

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

static void show_part(struct lag_agent *agent, struct lag_part *part, struct metrics *metrics)
{
    char number[16];
    snprintf(number, sizeof number, "%" PRId32, part->partition);
    const char *const labels[] = {agent->group, part->topic, number, NULL};
    if (part->lag >= 0) {
        metric_set(metrics_series(metrics, "engenho_kafka_consumer_group_lag", labels),
                   (double)part->lag);
        metric_set(metrics_series(metrics, "engenho_kafka_consumer_group_lag_seconds", labels),
                   seconds(part->age_us));
        metric_set(metrics_series(metrics, "engenho_kafka_consumer_group_lost_records", labels),
                   (double)part->lost);
    } else if (part->shown) {
        remove_part(agent, part, metrics);
    }
    part->shown = part->lag >= 0;
    for (int i = 0; i < LAG_STATUS_COUNT; i++) {
        metric_set(
            metrics_series(metrics, "engenho_kafka_consumer_group_status",
                           METRIC_VALUES(agent->group, part->topic, number, lag_status_names[i])),
            (int)part->status == i);
    }
}

static void show_topic(struct lag_view *view, struct lag_topic *topic, struct metrics *metrics)
{
    char number[16];
    (void)view;
    if (topic->count == 0) {
        return;
    }
    metric_set(
        metrics_series(metrics, "engenho_kafka_topic_partitions", METRIC_VALUES(topic->name)),
        topic->count);
    for (int32_t i = 0; i < topic->count; i++) {
        snprintf(number, sizeof number, "%" PRId32, i);
        const char *const labels[] = {topic->name, number, NULL};
        if (topic->ends[i].low >= 0) {
            metric_set(metrics_series(metrics, "engenho_kafka_partition_low_watermark", labels),
                       (double)topic->ends[i].low);
        }
        if (topic->ends[i].end >= 0) {
            metric_set(metrics_series(metrics, "engenho_kafka_partition_high_watermark", labels),
                       (double)topic->ends[i].end);
        }
    }
}

/* The sums of one topic of an agent; false: nothing was committed in it. */
static bool sum_topic(const struct lag_agent *agent, const char *topic, int64_t *ret_lag,
                      int64_t *ret_age_us)
{
    struct lag_part *part, *next;
    bool any = false;
    *ret_lag = *ret_age_us = 0;
    HASH_ITER (hh, agent->parts, part, next) {
        if ((topic == NULL || !strcmp(part->topic, topic)) && part->lag >= 0) {
            any = true;
            *ret_lag += part->lag;
            *ret_age_us = part->age_us > *ret_age_us ? part->age_us : *ret_age_us;
        }
    }
    return any;
}

static void show_agent(struct lag_view *view, struct lag_agent *agent, struct metrics *metrics)
{
    struct lag_part *part, *next_part;
    struct lag_topic *topic, *next_topic;
    HASH_ITER (hh, agent->parts, part, next_part) {
        show_part(agent, part, metrics);
    }
    HASH_ITER (hh, view->topics, topic, next_topic) {
        int64_t lag, age_us;
        if (sum_topic(agent, topic->name, &lag, &age_us)) {
            const char *const labels[] = {agent->group, topic->name, NULL};
            metric_set(metrics_series(metrics, "engenho_kafka_consumer_group_lag_sum", labels),
                       (double)lag);
            metric_set(
                metrics_series(metrics, "engenho_kafka_consumer_group_max_lag_seconds", labels),
                seconds(age_us));
        }
    }
    metric_set(metrics_series(metrics, "engenho_kafka_consumer_group_members",
                              METRIC_VALUES(agent->group)),
               agent->members);
    metric_set(metrics_series(metrics, "engenho_kafka_consumer_group_idle_members",
                              METRIC_VALUES(agent->group)),
               agent->idle);
    for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
        metric_set(metrics_series(metrics, "engenho_kafka_consumer_group_state",
                                  METRIC_VALUES(agent->group, state_names[i])),
                   (size_t)agent->state == i);
    }
}

void lag_view_show(struct lag_view *view, struct metrics *metrics)
{
    struct lag_agent *agent, *next_agent;
    struct lag_topic *topic, *next_topic;
    HASH_ITER (hh, view->topics, topic, next_topic) {
        show_topic(view, topic, metrics);
    }
    HASH_ITER (hh, view->agents, agent, next_agent) {
        show_agent(view, agent, metrics);
    }
}

const char *lag_view_state_name(const struct lag_agent *agent)
{
    return (size_t)agent->state < ARRAY_SIZE(state_names) ? state_names[agent->state] : "unknown";
}

bool lag_view_sum(const struct lag_agent *agent, const char *topic, int64_t *ret_lag,
                  int64_t *ret_age_us)
{
    return sum_topic(agent, topic, ret_lag, ret_age_us);
}
