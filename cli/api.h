/*
 * Commands that speak to the API: one call each, its refusal said on stderr. The config of each
 * begins with struct client_options. Process: engenho.
 */
#ifndef ENGENHO_CLI_API_H
#define ENGENHO_CLI_API_H

#include "cli/client.h"
#include "cli/command.h"

/* Make the client, call, release the client. Returns EXIT_DONE with an answer to release, or
 * EXIT_FAILED with none. */
int api_call(const struct call *call, const struct http_request *request,
             struct client_answer *ret_answer);
int api_get(const struct call *call, const char *path, struct client_answer *ret_answer);
int api_post(const struct call *call, const char *path, struct client_answer *ret_answer);
int api_post_json(const struct call *call, const char *path, json_t *body,
                  struct client_answer *ret_answer);

/*
 * Read a whole file, "-" for stdin, of at most `bytes_max`. Returns 0 with an owned, NUL-terminated
 * text, or -errno with a sentence.
 */
MUST_CHECK int api_read_file(const char *path, size_t bytes_max, char **ret_data, size_t *ret_bytes,
                             struct error *error);
/* NAME=VALUE words as an object: values that are JSON are taken as that, others as text. NULL with
 * a sentence. */
json_t *api_sets(const struct call *call, struct error *error);

struct apply_options {
    struct client_options client;
    const char *file;
};

struct results_options {
    struct client_options client;
    const char *since;
    int64_t limit;
    bool follow, failed, count;
};

struct run_options {
    struct client_options client;
    const char *set, *at, *agent;
    int64_t wait_limit_us;
    bool wait;
};

struct deploy_options {
    struct client_options client;
    const char *main;
    int64_t origin;
    int64_t bytes_max;
};

struct rollback_options {
    struct client_options client;
    int64_t to;
};

struct replay_options {
    struct client_options client;
    const char *connection, *object, *time, *value, *source, *rate, *speed;
    int64_t batch;
    int64_t give_up_us;
    bool quiet;
};

struct send_options {
    struct client_options client;
    const char *previous, *timestamp;
};

struct dead_letters_options {
    struct client_options client;
    int64_t limit;
    bool latest;
};

struct seats_options {
    struct client_options client;
    const char *pool;
};

struct seats_release_options {
    struct client_options client;
    bool yes;
};

struct seats_audit_options {
    struct client_options client;
    int64_t limit;
};

/* These two ask nobody. */
struct verify_options {
    int64_t output;
    const char *public_key, *customer;
};

struct sign_options {
    const char *key, *key_name, *out;
};

struct usage_options {
    struct client_options client;
    const char *from, *until, *pool;
    int64_t format, by;
};

extern const char *const origins[];       /* of packages; NULL-terminated */
extern const char *const usage_formats[]; /* csv, json; NULL-terminated */
extern const char *const usage_periods[]; /* minute, day; NULL-terminated */

int command_apply(const struct call *call);
int command_diff(const struct call *call);
int command_get(const struct call *call);
int command_delete(const struct call *call);
int command_export(const struct call *call);
int command_start(const struct call *call);
int command_stop(const struct call *call);
int command_deploy(const struct call *call);
int command_packages(const struct call *call);
int command_rollback(const struct call *call);
int command_run(const struct call *call);
int command_results(const struct call *call);
int command_show(const struct call *call);
int command_replay(const struct call *call);
int command_send(const struct call *call);
int command_lag(const struct call *call);
int command_agents(const struct call *call);
int command_workers(const struct call *call);
int command_schedules(const struct call *call);
int command_seats(const struct call *call);
int command_seats_explain(const struct call *call);
int command_seats_release(const struct call *call);
int command_seats_audit(const struct call *call);
int command_licence_show(const struct call *call);
int command_licence_install(const struct call *call);
int command_licence_verify(const struct call *call);
int command_licence_sign(const struct call *call);
int command_licence_master(const struct call *call);
int command_usage_export(const struct call *call);
int command_dead_letters_list(const struct call *call);
int command_dead_letters_show(const struct call *call);
int command_dead_letters_redrive(const struct call *call);
int command_dead_letters_purge(const struct call *call);
int command_version(const struct call *call);

#endif
