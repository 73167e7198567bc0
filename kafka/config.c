#include "kafka/config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/secret_file.h"

#define OLDEST_VERSION 0x020e00ff /* 2.14.0 */
#define SECRET_BYTES_MAX 1024

int kafka_check_version(struct error *error)
{
    if (rd_kafka_version() >= (OLDEST_VERSION & ~0xff)) {
        return 0;
    }
    return error_set(
        error, -ENOTSUP,
        "librdkafka %s is too old: it loses offsets and transactions that engenho needs; install 2.14 or newer "
        "(make deps builds it)",
        rd_kafka_version_str());
}

rd_kafka_t *kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *what,
                             struct error *error)
{
    char text[256];
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        error_set(error, -EINVAL, "librdkafka refuses %s: %s", what, text);
    }
    return client;
}

void kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof text);
    assert(result == RD_KAFKA_CONF_OK);
    (void)result;
}

static void write_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    enum log_level ours = level <= LOG_ERR       ? LOG_LEVEL_ERROR
                          : level == LOG_WARNING ? LOG_LEVEL_WARN
                                                 : LOG_LEVEL_INFO;
    /*
     * A broker that is away is said by librdkafka at each attempt, and by us once where it matters.
     */
    if (!strcmp(facility, "FAIL") || strstr(text, "brokers are down") != NULL) {
        ours = LOG_LEVEL_DEBUG;
    }
    log_write(ours, "librdkafka", LOG_TEXT("client", client ? rd_kafka_name(client) : NULL),
              LOG_TEXT("facility", facility), LOG_TEXT("text", text), LOG_END);
}

static void set_consumer(rd_kafka_conf_t *conf)
{
    kafka_conf_set(conf, "enable.auto.commit", "false");
    kafka_conf_set(conf, "enable.auto.offset.store", "false");
    kafka_conf_set(conf, "enable.partition.eof", "true");
    kafka_conf_set(conf, "isolation.level", "read_committed");
    kafka_conf_set(conf, "auto.offset.reset", "earliest");
    kafka_conf_set(conf, "queued.max.messages.kbytes", "8192");
    kafka_conf_set(conf, "queued.min.messages", "1000");
    kafka_conf_set(conf, "fetch.message.max.bytes", "1048576");
    kafka_conf_set(conf, "fetch.queue.backoff.ms", "5");
    kafka_conf_set(conf, "fetch.wait.max.ms", "100");
}

static void set_producer(rd_kafka_conf_t *conf, const char *linger_ms)
{
    kafka_conf_set(conf, "acks", "all");
    kafka_conf_set(conf, "linger.ms", linger_ms);
    kafka_conf_set(conf, "compression.type", "lz4");
    kafka_conf_set(conf, "partitioner", "murmur2_random");
    kafka_conf_set(conf, "queue.buffering.max.kbytes", "65536");
    kafka_conf_set(conf, "enable.idempotence", "true");
}

static void set_role(rd_kafka_conf_t *conf, enum kafka_role role)
{
    switch (role) {
    case KAFKA_ROLE_GROUP:
        set_consumer(conf);
        kafka_conf_set(conf, "partition.assignment.strategy", "cooperative-sticky");
        break;
    case KAFKA_ROLE_READER:
        set_consumer(conf);
        /* librdkafka can't assign without a group name; the broker never hears of it. */
        kafka_conf_set(conf, "group.id", "engenho-reader");
        break;
    case KAFKA_ROLE_PRODUCER:
        set_producer(conf, "5");
        break;
    case KAFKA_ROLE_PROMPT:
        set_producer(conf, "0");
        break;
    case KAFKA_ROLE_TRANSACTIONAL:
        set_producer(conf, "5");
        kafka_conf_set(conf, "transaction.timeout.ms", "10000");
        break;
    case KAFKA_ROLE_ADMIN:
        break;
    }
}

/* key=value;key=value: what people give for every client. */
static int set_raw(rd_kafka_conf_t *conf, const char *raw, struct error *error)
{
    char *copy = memory_copy_text(raw), *rest = copy, *entry;
    int result = 0;
    while (result == 0 && (entry = strsep(&rest, ";")) != NULL) {
        if (entry[0] == '\0') {
            continue;
        }
        char *value = strchr(entry, '='), text[256];
        if (value == NULL) {
            result = error_set(error, -EINVAL, "kafka-config: '%s' is not KEY=VALUE", entry);
            break;
        }
        *value++ = '\0';
        if (rd_kafka_conf_set(conf, entry, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
            result =
                error_set(error, -EINVAL, "kafka-config: librdkafka refuses %s: %s", entry, text);
        }
    }
    free(copy);
    return result;
}

/* The first line of a secret's file becomes a property; its text is in no message. */
static int set_from_file(rd_kafka_conf_t *conf, const char *option, const char *name,
                         const char *path, struct error *error)
{
    char secret[SECRET_BYTES_MAX + 1], text[256];
    int result = secret_file_read(option, path, secret, sizeof secret, error);
    if (result == 0 &&
        rd_kafka_conf_set(conf, name, secret, text, sizeof text) != RD_KAFKA_CONF_OK) {
        result = error_set(error, -EINVAL, "%s: librdkafka refuses what %s holds as %s", option,
                           path, name);
    }
    explicit_bzero(secret, sizeof secret);
    return result;
}

static int set_given(rd_kafka_conf_t *conf, const struct kafka_options *options,
                     struct error *error)
{
    int result = options->config != NULL ? set_raw(conf, options->config, error) : 0;
    if (result == 0 && options->user_file != NULL) {
        result = set_from_file(conf, "kafka-user-file", "sasl.username", options->user_file, error);
    }
    if (result == 0 && options->password_file != NULL) {
        result = set_from_file(conf, "kafka-password-file", "sasl.password", options->password_file,
                               error);
    }
    return result;
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_options *options, enum kafka_role role,
                                struct error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];
    if (rd_kafka_conf_set(conf, "bootstrap.servers", options->servers, text, sizeof text) !=
        RD_KAFKA_CONF_OK) {
        error_set(error, -EINVAL, "kafka: librdkafka refuses the servers '%s': %s",
                  options->servers, text);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    kafka_conf_set(conf, "client.id", options->client != NULL ? options->client : "engenho");
    kafka_conf_set(conf, "socket.nagle.disable", "true");
    kafka_conf_set(conf, "topic.metadata.refresh.interval.ms", "10000");
    kafka_conf_set(conf, "reconnect.backoff.ms", "50");
    kafka_conf_set(conf, "reconnect.backoff.max.ms", "1000");
    kafka_conf_set(conf, "log.connection.close", "false");
    rd_kafka_conf_set_log_cb(conf, write_log);
    set_role(conf, role);
    if (set_given(conf, options, error) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}
