/*
 * How our clients of Kafka are configured: the options that every service with Kafka has, and
 * librdkafka's settings for each role, with the values that PITFALLS found. An edge: librdkafka.
 */
#ifndef ENGENHO_KAFKA_CONFIG_H
#define ENGENHO_KAFKA_CONFIG_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "common/attributes.h"
#include "common/error.h"
#include "common/options.h"

struct kafka_options {
    const char *servers; /* HOST:PORT[,HOST:PORT...] */
    const char *prefix;  /* of all topics, groups and transactional ids: "engenho." */
    const char *config;  /* raw librdkafka settings for every client: key=value;key=value */
    /* what SASL logs in with; files, so that no process list shows them */
    const char *user_file, *password_file;
    const char *client; /* client.id: set by the service, not an option */
};

/* Entries for a service's option table: `member` is the struct kafka_options within `structure`. */
#define KAFKA_OPTIONS(structure, member)                                                           \
    {.name = "kafka",                                                                              \
     .type = OPTION_TEXT,                                                                          \
     .offset = offsetof(structure, member.servers),                                                \
     .required = true,                                                                             \
     .placeholder = "HOST:PORT",                                                                   \
     .help = "Kafka's bootstrap servers, separated by commas"},                                    \
        {.name = "prefix",                                                                         \
         .type = OPTION_TEXT,                                                                      \
         .offset = offsetof(structure, member.prefix),                                             \
         .initial = "engenho.",                                                                    \
         .help = "what the names of topics, groups and transactional ids start with"},             \
        {.name = "kafka-config",                                                                   \
         .type = OPTION_TEXT,                                                                      \
         .offset = offsetof(structure, member.config),                                             \
         .placeholder = "KEY=VALUE;...",                                                           \
         .help = "settings of librdkafka for every client of this process"},                       \
        {.name = "kafka-user-file",                                                                \
         .type = OPTION_TEXT,                                                                      \
         .offset = offsetof(structure, member.user_file),                                          \
         .placeholder = "PATH",                                                                    \
         .help = "file with the user name for SASL"},                                              \
    {                                                                                              \
        .name = "kafka-password-file", .type = OPTION_TEXT,                                        \
        .offset = offsetof(structure, member.password_file), .placeholder = "PATH",                \
        .help = "file with the password for SASL"                                                  \
    }

/*
 * Returns 0, or -ENOTSUP with a sentence when librdkafka is older than 2.14: it has faults in the
 * calls we need.
 */
MUST_CHECK int kafka_check_version(struct error *error);

enum kafka_role {
    /* member of a group: cooperative-sticky, no auto-commit, read_committed, partition EOF */
    KAFKA_ROLE_GROUP,
    KAFKA_ROLE_READER,        /* assigns by itself, never commits: read_committed, partition EOF */
    KAFKA_ROLE_PRODUCER,      /* idempotent, acks all, linger 5 */
    KAFKA_ROLE_PROMPT,        /* the same with linger 0: records that start a script */
    KAFKA_ROLE_TRANSACTIONAL, /* KAFKA_ROLE_PRODUCER; transaction.timeout.ms 10,000 */
    KAFKA_ROLE_ADMIN
};

/*
 * A configuration for a role; the caller adds what is its own (group.id, transactional.id,
 * callbacks) and gives it to rd_kafka_new. log_cb writes to our log. Returns owned
 * (rd_kafka_conf_destroy), or NULL with a sentence for a raw setting that librdkafka refuses.
 */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_options *options, enum kafka_role role,
                                struct error *error);

/*
 * A client with the configuration, which is taken. Returns owned (rd_kafka_destroy), or NULL with a
 * sentence that names `what` it should have become.
 */
rd_kafka_t *kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *what,
                             struct error *error);

/* Set one property that we know to be right; asserts that librdkafka takes it. */
void kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value);

#endif
