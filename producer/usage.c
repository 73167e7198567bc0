#include "producer/usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "kafka/topics.h"
#include "producer/usage_steps.h"
#include "proto/usage.pb-c.h"

#define KEY_POSITION "usage/position"
#define KEY_MASTER "master/state"
#define FETCH_MAX 500 /* a record has at most some KiB */

struct usage {
    struct usage_options options;
    struct event *timer;
    struct usage_steps steps;
    char committing[USAGE_ID_BYTES_MAX + 1]; /* the last id of what is in a transaction */
    void *packed;                            /* UsageRecords in it, for counting them */
    size_t packed_bytes;
    bool is_troubled; /* the log has been told */
    enum { MASTER_UNKNOWN, MASTER_LICENSED, MASTER_DEMO } master;
    struct metric *stored, *failures, *last_success;
};

/* What is on its way for one usage_set_master. */
struct saying {
    struct usage *usage;
    bool demo;
    char *who; /* NULL: it is only said again */
    usage_master_said done;
    void *context;
};

static void act(struct usage *usage, enum usage_action action);

/* One line when it begins, one when it is over: it is tried each minute. */
static void trouble(struct usage *usage, const char *reason)
{
    metric_add(usage->failures, 1);
    if (!usage->is_troubled) {
        log_warn(
            "usage records are not fetched: they wait in the licensor's store, and it is tried "
            "again each minute",
            LOG_TEXT("reason", reason));
    }
    usage->is_troubled = true;
}

static void well(struct usage *usage)
{
    metric_set(usage->last_success, (double)clock_unix_us() / (double)SECOND_US);
    if (usage->is_troubled) {
        log_info("usage records are fetched again");
    }
    usage->is_troubled = false;
}

static const char *reason_of(const char *reason)
{
    return reason != NULL ? reason : "the licensor answered something else";
}

static void ask(struct usage *usage, Engenho__ToLicensor *question, licensor_answered done)
{
    if (licensor_client_ask(usage->options.licensor, question, done, usage) != 0) {
        done(usage, NULL, "too many questions wait for the licensor already");
    }
}

static void on_acknowledged(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct usage *usage = context;
    bool is_done = answer != NULL && answer->refused == NULL;
    if (!is_done) {
        trouble(usage, reason_of(reason));
    }
    act(usage, usage_steps_acknowledged(&usage->steps, is_done));
}

static void acknowledge(struct usage *usage)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__AcknowledgeUsage body = ENGENHO__ACKNOWLEDGE_USAGE__INIT;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_ACKNOWLEDGE_USAGE;
    question.acknowledge_usage = &body;
    body.through = usage->steps.position;
    ask(usage, &question, on_acknowledged);
}

/* Who was granted what: from what is on the topic, so that nothing is counted twice. */
static void count_stored(struct usage *usage)
{
    struct metrics *metrics = usage->options.metrics;
    Engenho__UsageRecords *list =
        engenho__usage_records__unpack(NULL, usage->packed_bytes, usage->packed);
    if (list == NULL) {
        return;
    }
    metric_add(usage->stored, (double)list->n_records);
    for (size_t i = 0; i < list->n_records; i++) {
        const Engenho__UsageRecord *record = list->records[i];
        for (size_t j = 0; j < record->n_holders; j++) {
            const Engenho__UsageHolder *holder = record->holders[j];
            bool is_others = holder->processor[0] == '\0';
            metric_add(
                metrics_series(metrics, "engenho_usage_seats_granted_total",
                               METRIC_VALUES(record->pool, is_others ? "others" : holder->processor,
                                             is_others ? "others" : holder->production)),
                (double)holder->granted);
        }
    }
    engenho__usage_records__free_unpacked(list, NULL);
}

static void on_committed(void *context, int result, const struct shards_delivery *deliveries,
                         size_t count)
{
    struct usage *usage = context;
    (void)deliveries;
    (void)count;
    if (result == 0) {
        count_stored(usage);
    } else {
        trouble(usage, "the transaction with them was not committed");
    }
    act(usage, usage_steps_committed(&usage->steps, result == 0, usage->committing));
}

static struct shards_record pack_record(const Engenho__UsageRecord *record)
{
    size_t bytes = engenho__usage_record__get_packed_size(record);
    uint8_t *value = memory_new(bytes + 1, 1);
    engenho__usage_record__pack(record, value);
    return (struct shards_record){.topic = TOPIC_USAGE,
                                  .partition = -1,
                                  .key = record->pool,
                                  .key_bytes = strlen(record->pool),
                                  .value = value,
                                  .value_bytes = bytes};
}

static struct shards_record pack_control(const char *key, const Engenho__Control *control)
{
    size_t bytes = engenho__control__get_packed_size(control);
    uint8_t *value = memory_new(bytes + 1, 1);
    engenho__control__pack(control, value);
    return (struct shards_record){.topic = TOPIC_CONTROL,
                                  .partition = SHARD_OF_CATALOG,
                                  .key = key,
                                  .key_bytes = strlen(key),
                                  .value = value,
                                  .value_bytes = bytes};
}

/* Free the values. */
static void release_records(struct shards_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)records[i].value);
    }
    free(records);
}

/* The records and up to where they go, in one transaction of the shard. */
static void commit(struct usage *usage, const Engenho__UsageRecords *list)
{
    Engenho__UsagePosition position = ENGENHO__USAGE_POSITION__INIT;
    Engenho__Control control = ENGENHO__CONTROL__INIT;
    size_t count = list->n_records;
    struct shards_record *records = memory_new(count + 1, sizeof *records);
    for (size_t i = 0; i < count; i++) {
        records[i] = pack_record(list->records[i]);
    }
    snprintf(usage->committing, sizeof usage->committing, "%s", list->records[count - 1]->id);
    free(usage->packed);
    usage->packed_bytes = engenho__usage_records__get_packed_size(list);
    usage->packed = memory_new(usage->packed_bytes + 1, 1);
    engenho__usage_records__pack(list, usage->packed);
    position.through = usage->committing;
    control.body_case = ENGENHO__CONTROL__BODY_USAGE;
    control.usage = &position;
    records[count] = pack_control(KEY_POSITION, &control);
    int result = shards_submit(usage->options.shards, SHARD_OF_CATALOG, records, count + 1,
                               on_committed, usage);
    release_records(records, count + 1);
    if (result != 0) {
        on_committed(usage, result, NULL, 0);
    }
}

static void on_fetched(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct usage *usage = context;
    const Engenho__UsageRecords *list =
        answer != NULL && answer->body_case == ENGENHO__FROM_LICENSOR__BODY_USAGE ? answer->usage
                                                                                  : NULL;
    const char *last =
        list != NULL && list->n_records > 0 ? list->records[list->n_records - 1]->id : NULL;
    if (list == NULL) {
        trouble(usage, reason_of(reason));
    } else {
        well(usage);
    }
    if (usage_steps_fetched(&usage->steps, last) == USAGE_COMMIT) {
        commit(usage, list);
    }
}

static void fetch(struct usage *usage)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__FetchUsage body = ENGENHO__FETCH_USAGE__INIT;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_FETCH_USAGE;
    question.fetch_usage = &body;
    body.max = FETCH_MAX;
    ask(usage, &question, on_fetched);
}

static void act(struct usage *usage, enum usage_action action)
{
    if (action == USAGE_ACKNOWLEDGE) {
        acknowledge(usage);
    } else if (action == USAGE_FETCH) {
        fetch(usage);
    }
}

/* The Master's state ------------------------------------------------------------------------- */

static void finish_saying(struct saying *saying, int result, const char *reason)
{
    if (saying->done != NULL) {
        saying->done(saying->context, result, reason);
    }
    free(saying->who);
    free(saying);
}

static void on_told(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct saying *saying = context;
    char text[512];
    if (answer != NULL && answer->refused == NULL) {
        finish_saying(saying, 0, NULL);
        return;
    }
    snprintf(text, sizeof text, "it is remembered and said again each minute, but for now: %s",
             reason_of(reason));
    finish_saying(saying, -EAGAIN, text);
}

static void tell_licensor(struct saying *saying)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__SetMaster body = ENGENHO__SET_MASTER__INIT;
    struct licensor_client *licensor = saying->usage->options.licensor;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_SET_MASTER;
    question.set_master = &body;
    body.demo = saying->demo;
    if (saying->who != NULL) {
        body.who = saying->who;
    }
    if (licensor == NULL || licensor_client_ask(licensor, &question, on_told, saying) != 0) {
        on_told(saying, NULL,
                licensor == NULL ? "this producer was started without --licensor"
                                 : "too many questions wait for the licensor already");
    }
}

static void on_master_committed(void *context, int result, const struct shards_delivery *deliveries,
                                size_t count)
{
    struct saying *saying = context;
    (void)deliveries;
    (void)count;
    if (result != 0) {
        finish_saying(saying, -EAGAIN,
                      "it was not remembered: the shard is changing its owner, or Kafka is away");
        return;
    }
    saying->usage->master = saying->demo ? MASTER_DEMO : MASTER_LICENSED;
    tell_licensor(saying);
}

static struct saying *new_saying(struct usage *usage, bool demo, usage_master_said done,
                                 void *context)
{
    struct saying *saying = memory_new(1, sizeof *saying);
    *saying = (struct saying){.usage = usage, .demo = demo, .done = done, .context = context};
    return saying;
}

void usage_set_master(struct usage *usage, bool demo, const char *who, usage_master_said done,
                      void *context)
{
    struct saying *saying = new_saying(usage, demo, done, context);
    saying->who = memory_copy_text(who);
    Engenho__MasterState state = ENGENHO__MASTER_STATE__INIT;
    Engenho__Control control = ENGENHO__CONTROL__INIT;
    state.demo = demo;
    control.body_case = ENGENHO__CONTROL__BODY_MASTER;
    control.master = &state;
    struct shards_record *records = memory_new(1, sizeof *records);
    records[0] = pack_control(KEY_MASTER, &control);
    int result = shards_submit(usage->options.shards, SHARD_OF_CATALOG, records, 1,
                               on_master_committed, saying);
    release_records(records, 1);
    if (result != 0) {
        on_master_committed(saying, result, NULL, 0);
    }
}

/* -------------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short events, void *context)
{
    struct usage *usage = context;
    (void)fd;
    (void)events;
    if (!usage->steps.is_ours) {
        return;
    }
    if (usage->master != MASTER_UNKNOWN) {
        tell_licensor(new_saying(usage, usage->master == MASTER_DEMO, NULL, NULL));
    }
    act(usage, usage_steps_tick(&usage->steps));
}

struct usage *usage_new(struct event_base *base, const struct usage_options *options)
{
    struct usage *usage = memory_new(1, sizeof *usage);
    struct metrics *metrics = options->metrics;
    usage->options = *options;
    usage->stored = metrics_series(metrics, "engenho_usage_records_total", METRIC_VALUES(NULL));
    usage->failures = metrics_series(metrics, "engenho_usage_errors_total", METRIC_VALUES(NULL));
    usage->last_success = metrics_series(metrics, "engenho_usage_last_success_timestamp_seconds",
                                         METRIC_VALUES(NULL));
    /* Since its start: a replica that never owns the shard says nothing worse than one that does.
     */
    metric_set(usage->last_success, (double)clock_unix_us() / (double)SECOND_US);
    usage->timer = event_new(base, -1, EV_PERSIST, on_timer, usage);
    if (options->licensor != NULL) {
        event_add(usage->timer, &(struct timeval){.tv_sec = options->interval_us / SECOND_US,
                                                  .tv_usec = options->interval_us % SECOND_US});
    }
    return usage;
}

void usage_free(struct usage *usage)
{
    if (usage == NULL) {
        return;
    }
    event_free(usage->timer);
    free(usage->packed);
    free(usage);
}

void usage_state(struct usage *usage, int shard, const char *key, const Engenho__Control *control)
{
    if (shard != SHARD_OF_CATALOG || control == NULL) {
        return;
    }
    if (strcmp(key, KEY_POSITION) == 0 && control->body_case == ENGENHO__CONTROL__BODY_USAGE) {
        usage_steps_position(&usage->steps, control->usage->through);
    } else if (strcmp(key, KEY_MASTER) == 0 &&
               control->body_case == ENGENHO__CONTROL__BODY_MASTER && !usage->steps.is_ours) {
        usage->master = control->master->demo ? MASTER_DEMO : MASTER_LICENSED;
    }
}

void usage_shard_taken(struct usage *usage, int shard)
{
    if (shard == SHARD_OF_CATALOG) {
        usage_steps_taken(&usage->steps);
        if (usage->options.licensor != NULL) {
            event_active(usage->timer, EV_TIMEOUT, 0);
        }
    }
}

void usage_shard_lost(struct usage *usage, int shard)
{
    if (shard == SHARD_OF_CATALOG) {
        usage_steps_lost(&usage->steps);
        usage->master = MASTER_UNKNOWN;
    }
}

bool usage_is_ours(const struct usage *usage)
{
    return usage->steps.is_ours;
}
