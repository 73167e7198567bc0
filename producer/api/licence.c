/*
 * The licence over HTTP: what counts, a file for the licensor, and the Master's state.
 */
#include <jansson.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "producer/api/api_parts.h"

#define FILE_BYTES_MAX (64 * 1024)

static void on_licence(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    if (answer == NULL || answer->body_case != ENGENHO__FROM_LICENSOR__BODY_LICENCE) {
        api_refuse_licensor(call, answer, reason);
        return;
    }
    api_write_licence(&call->json, NULL, answer->licence);
    call_reply(call, 200);
}

void api_licence(struct call *call)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__ShowLicence show = ENGENHO__SHOW_LICENCE__INIT;
    question.body_case = ENGENHO__TO_LICENSOR__BODY_SHOW_LICENCE;
    question.show_licence = &show;
    api_ask_licensor(call, &question, on_licence);
}

static void on_installed(void *context, const Engenho__FromLicensor *answer, const char *reason)
{
    struct call *call = context;
    bool is_done = answer != NULL && answer->body_case == ENGENHO__FROM_LICENSOR__BODY_LICENCE;
    log_info("licence handed to the licensor", LOG_TEXT("who", api_caller(call)),
             LOG_TEXT("outcome", is_done          ? "installed"
                                 : reason != NULL ? reason
                                                  : "the licensor answered something else"));
    on_licence(context, answer, reason);
}

void api_licence_install(struct call *call)
{
    Engenho__ToLicensor question = ENGENHO__TO_LICENSOR__INIT;
    Engenho__InstallLicence install = ENGENHO__INSTALL_LICENCE__INIT;
    if (call->body_bytes == 0 || call->body_bytes > FILE_BYTES_MAX) {
        call_refuse(call, 400, "the body", "send the file as it was given to you",
                    call->body_bytes == 0 ? "a licence file is missing"
                                          : "a licence file has at most 64 KiB");
        return;
    }
    question.body_case = ENGENHO__TO_LICENSOR__BODY_INSTALL_LICENCE;
    question.install_licence = &install;
    install.file.data = (uint8_t *)(uintptr_t)call->body;
    install.file.len = call->body_bytes;
    install.who = (char *)(uintptr_t)api_caller(call);
    api_ask_licensor(call, &question, on_installed);
}

/* The Master's state: kept by the owner of shard 0, which tells it the licensor. */

static const char *const master_words[] = {"licensed", "demo"};

static void on_master(void *context, int result, const char *reason)
{
    struct call *call = context;
    if (result != 0) {
        call_set_header(call, "Retry-After", "1");
        call_refuse(call, 503, "the Master's state", "try again in some seconds", "%s", reason);
        return;
    }
    writer_object(&call->json, NULL);
    writer_text(&call->json, "state", call->extra);
    writer_end(&call->json);
    call_reply(call, 200);
}

/* Returns the state that the body names, or NULL. */
static const char *read_state(const struct call *call)
{
    json_t *body = json_loadb(call->body, call->body_bytes, 0, NULL);
    const char *word = json_string_value(json_object_get(body, "state")), *state = NULL;
    for (size_t i = 0; word != NULL && i < ARRAY_SIZE(master_words); i++) {
        state = strcmp(word, master_words[i]) == 0 ? master_words[i] : state;
    }
    json_decref(body);
    return state;
}

void api_licence_master(struct call *call)
{
    const struct api_services *services = call_services(call);
    const char *state = read_state(call);
    if (state == NULL) {
        call_refuse(call, 400, "state", "send {\"state\": \"demo\"} or {\"state\": \"licensed\"}",
                    "a Master is demo or licensed");
        return;
    }
    if (services->usage == NULL) {
        call_unavailable(call, "the Master's state");
        return;
    }
    if (!usage_is_ours(services->usage)) {
        call_forward(call, SHARD_OF_CATALOG);
        return;
    }
    call->extra = memory_copy_text(state);
    log_info("the Master's licence state was said", LOG_TEXT("who", api_caller(call)),
             LOG_TEXT("state", state));
    usage_set_master(services->usage, strcmp(state, "demo") == 0, api_caller(call), on_master,
                     call);
}
