/*
 * What `engenho up` finds and makes before it starts anything. See cli/up.h. An edge: files and one
 * run of Kafka's storage tool.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/up.h"
#include "common/child.h"
#include "common/memory.h"
#include "common/random.h"

/* Kafka's first segments and some room to work in. */
#define FREE_BYTES_MIN (INT64_C(256) << 20)
#define TOKEN_BYTES 24
#define FORMAT_LOG_BYTES_MAX 65536

static const char *const our_programs[] = {"engenho-licensor", "engenho-producer",
                                           "engenho-worker"};

static char *find_in_path(const char *name)
{
    const char *at = getenv("PATH");
    at = at ? at : "/usr/local/bin:/usr/bin:/bin";
    while (*at) {
        size_t length = strcspn(at, ":");
        char *candidate = memory_print("%.*s/%s", (int)length, at, name);
        if (length > 0 && access(candidate, X_OK) == 0) {
            return candidate;
        }
        free(candidate);
        at += length + (at[length] == ':');
    }
    return NULL;
}

static int find_java(struct up *up, struct error *error)
{
    const char *home = getenv("JAVA_HOME");
    char *jars = memory_print("%s/libs", up->options.kafka_home);
    DIR *folder = opendir(jars);
    bool found = false;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
        found = strncmp(entry->d_name, "kafka_2.13-", 11) == 0;
    }
    if (folder) {
        closedir(folder);
    }
    int failed = 0;
    if (!found) {
        failed = error_set(
            error, -ENOENT,
            "no Kafka in %s: run `make deps`, name its directory with --kafka-home, or use a broker with "
            "--kafka HOST:PORT",
            jars);
    }
    free(jars);
    if (!failed && home && *home) {
        up->java = memory_print("%s/bin/java", home);
        if (access(up->java, X_OK) != 0) {
            free(up->java);
            up->java = NULL;
        }
    }
    up->java = up->java ? up->java : find_in_path("java");
    if (!failed && !up->java) {
        failed = error_set(
            error, -ENOENT,
            "no java in JAVA_HOME or PATH, and Kafka needs one: run `make deps` (or install "
            "openjdk-17-jre-headless), or use a broker with --kafka HOST:PORT");
    }
    return failed;
}

static int find_programs(struct up *up, struct error *error)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0) {
        return error_set(error, -errno, "can't tell where this program is: %s", strerror(errno));
    }
    self[length] = 0;
    *strrchr(self, '/') = 0;
    up->bin = memory_copy_text(self);
    for (size_t i = 0; i < ARRAY_SIZE(our_programs); i++) {
        char *path = memory_print("%s/%s", up->bin, our_programs[i]);
        bool there = access(path, X_OK) == 0;
        free(path);
        if (!there) {
            return error_set(error, -ENOENT, "no %s beside this program, in %s: run `make build`",
                             our_programs[i], up->bin);
        }
    }
    if (!up->options.redis) {
        up->redis_server = find_in_path("redis-server");
        if (!up->redis_server) {
            return error_set(
                error, -ENOENT,
                "no redis-server in PATH: run `make deps` (or install redis-server), or use a server with "
                "--redis redis://HOST:PORT");
        }
    }
    return up->options.kafka ? 0 : find_java(up, error);
}

/* The token that was made the first time, or a new one. */
static int make_token(struct up *up, struct error *error)
{
    char text[256] = "";
    up->token_file = data_directory_file(up->data.path, "token");
    FILE *file = fopen(up->token_file, "re");
    if (file) {
        if (!fgets(text, sizeof(text), file)) {
            text[0] = 0;
        }
        fclose(file);
        text[strcspn(text, "\r\n")] = 0;
    }
    int failed = 0;
    if (!text[0]) {
        random_hex(text, TOKEN_BYTES);
        failed = data_directory_write(up->data.path, "token", text, error);
    }
    up->token = memory_copy_text(text);
    return failed;
}

/* Development builds trust the test licence: it goes where no licence was ever put. */
static int choose_licences(struct up *up, struct error *error)
{
    if (up->options.licence_dir) {
        up->licences = realpath(up->options.licence_dir, NULL);
        return up->licences
                   ? 0
                   : error_set(error, -errno, "can't read the directory --licence-dir %s: %s",
                               up->options.licence_dir, strerror(errno));
    }
    up->licences = data_directory_file(up->data.path, "licences");
#ifdef ENGENHO_DEVELOPMENT
    DIR *folder = opendir(up->licences);
    bool empty = true;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        empty = empty && entry->d_name[0] == '.';
    }
    if (folder) {
        closedir(folder);
    }
    char text[65536];
    FILE *file = empty ? fopen(ENGENHO_TEST_LICENCE, "re") : NULL;
    if (file) {
        text[fread(text, 1, sizeof(text) - 1, file)] = 0;
        fclose(file);
        return data_directory_write(up->data.path, "licences/test.json", text, error);
    }
#endif
    return 0;
}

static int run_format(struct up *up, const char *properties, struct error *error)
{
    char id[33], *classes = memory_print("%s/libs/*", up->options.kafka_home);
    /* Kafka's cluster id: 16 random bytes as URL-safe base64 without padding; hex digits are such
     * text too. */
    random_hex(id, 11);
    char *argv[] = {up->java,
                    (char *)"-Xmx96m",
                    (char *)"-XX:+UseSerialGC",
                    (char *)"-XX:TieredStopAtLevel=1",
                    (char *)"-cp",
                    classes,
                    (char *)"kafka.tools.StorageTool",
                    (char *)"format",
                    (char *)"-t",
                    id,
                    (char *)"-c",
                    (char *)(intptr_t)properties,
                    (char *)"--ignore-formatted",
                    NULL};
    struct log_file log = {.fd = -1};
    char *path = data_directory_file(up->data.path, "log/kafka-format.log");
    int out[2], status = 0;
    pid_t pid = 0;
    int failed = log_file_open(&log, path, FORMAT_LOG_BYTES_MAX, error);
    if (!failed && pipe2(out, O_CLOEXEC) != 0) {
        failed = error_set(error, -errno, "no pipe: %s", strerror(errno));
    } else if (!failed) {
        struct child_options child = {.path = up->java,
                                      .argv = argv,
                                      .fd3 = -1,
                                      .out_fd = out[1],
                                      .err_fd = out[1],
                                      .own_group = true,
                                      .parent_death_signal = SIGKILL};
        failed = child_start(&child, &pid, error);
        close(out[1]);
        while (!failed && log_file_drain(&log, out[0]) == 0) {
        }
        close(out[0]);
    }
    if (!failed) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (status != 0) {
            failed = error_set(error, -EIO, "Kafka's storage in %s/kafka can't be made: %s; see %s",
                               up->data.path, log.line[0] ? log.line : "it said nothing", path);
        }
    }
    log_file_close(&log);
    free(path);
    free(classes);
    return failed;
}

static int make_kafka_storage(struct up *up, const struct plan_places *places, struct error *error)
{
    char *text = plan_kafka_properties(places);
    int failed = data_directory_write(up->data.path, "kafka/server.properties", text, error);
    free(text);
    char *formatted = data_directory_file(up->data.path, "kafka/formatted");
    if (!failed && access(formatted, F_OK) != 0) {
        char *properties = data_directory_file(up->data.path, "kafka/server.properties");
        failed = run_format(up, properties, error);
        failed =
            failed ? failed : data_directory_write(up->data.path, "kafka/formatted", "", error);
        free(properties);
    }
    free(formatted);
    return failed;
}

int up_prepare(struct up *up, struct error *error)
{
    char *path = data_directory_choose(up->options.data);
    int failed = data_directory_open(&up->data, path, FREE_BYTES_MIN, error);
    free(path);
    failed = failed ? failed : find_programs(up, error);
    if (!failed && !up->options.kafka && strpbrk(up->data.path, ",\\:\n")) {
        failed = error_set(error, -EINVAL,
                           "Kafka can't keep its data in %s: give --data a path without comma, "
                           "colon and backslash",
                           up->data.path);
    }
    if (!failed && up->options.listen) {
        failed = ports_check(up->options.listen, error);
    }
    unsigned moved = 0;
    failed = failed ? failed : ports_choose(&up->ports, up->data.path, &moved, error);
    if (!failed && moved > 0) {
        (void)fprintf(
            stderr,
            "engenho up: %u remembered port(s) are in use by other programs; new ones were chosen\n",
            moved);
    }
    failed = failed ? failed : make_token(up, error);
    failed = failed ? failed : choose_licences(up, error);
    if (failed) {
        return failed;
    }
    struct plan_places places = {.data = up->data.path,
                                 .bin = up->bin,
                                 .java = up->java,
                                 .redis_server = up->redis_server,
                                 .licences = up->licences,
                                 .token_file = up->token_file,
                                 .kafka_port = up->ports.port[PORTS_KAFKA],
                                 .controller_port = up->ports.port[PORTS_CONTROLLER],
                                 .redis_port = up->ports.port[PORTS_REDIS],
                                 .licensor_port = up->ports.port[PORTS_LICENSOR],
                                 .api_port = up->ports.port[PORTS_API]};
    failed = plan_init(&up->plan, &up->options, &places, error);
    if (!failed && !up->options.kafka) {
        failed = make_kafka_storage(up, &places, error);
    }
    return failed;
}

void up_release(struct up *up)
{
    plan_release(&up->plan);
    data_directory_close(&up->data);
    char **texts[] = {&up->bin,      &up->java,       &up->redis_server,
                      &up->licences, &up->token_file, &up->token};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        free(*texts[i]);
        *texts[i] = NULL;
    }
}
