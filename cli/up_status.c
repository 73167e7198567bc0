/*
 * The files by which others see a running `engenho up`: status.json and endpoint.json. See
 * cli/up.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/up.h"
#include "common/clock.h"
#include "common/memory.h"

static const char *const phases[] = {"starting", "running", "stopping", "stopped"};

char *up_console_url(const struct up *up)
{
    return memory_print("http://%s/#token=%s", up->plan.api, up->token);
}

void up_write_status(struct up *up)
{
    json_t *list = json_array();
    int64_t now_us = clock_mono_us(), unix_us = clock_unix_us();
    for (size_t i = 0; i < up->plan.count; i++) {
        const struct unit *unit = &up->supervisor.units[i];
        const struct up_process *process = &up->processes[i];
        const char *log = process->log.path ? process->log.path : "";
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s}", "name",
                            up->plan.processes[i].name, "pid", (int)process->pid, "state",
                            unit_state_name(unit->state), "restarts", (json_int_t)unit->restarts,
                            "sinceUs", (json_int_t)(unix_us - (now_us - unit->since_us)),
                            "startedUs", (json_int_t)process->started_unix_us, "address",
                            up->plan.processes[i].address ? up->plan.processes[i].address : "",
                            "admin", process->admin, "reason", process->reason, "log", log));
    }
    json_t *json = json_pack("{s:i, s:s, s:I, s:o}", "pid", (int)getpid(), "phase",
                             phases[up->supervisor.phase], "startedUs",
                             (json_int_t)up->started_unix_us, "processes", list);
    /* A disk that is full now may have room at the next change: the table is late, nothing else. */
    (void)!data_directory_write_json(up->data.path, "status.json", json, NULL);
    json_decref(json);
}

int up_write_endpoint(struct up *up, struct error *error)
{
    char *server = memory_print("http://%s", up->plan.api), *console = up_console_url(up);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "server", server, "tokenFile",
                             up->token_file, "console", console, "kafka", up->plan.kafka, "redis",
                             up->plan.redis, "licensor", up->plan.licensor, "pid", (int)getpid());
    json_object_set_new(json, "prefix", json_string(up->options.prefix));
    json_object_set_new(json, "licences", json_string(up->licences));
    int failed = data_directory_write_json(up->data.path, "endpoint.json", json, error);
    json_decref(json);
    free(server);
    free(console);
    return failed;
}
