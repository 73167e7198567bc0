/*
 * The worker's view of the catalog: definitions as the log gives them, resolved into productions of
 * this agent for the engine, and the codes that interpreters load. What did not change keeps its
 * production, so that its code stays loaded.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/names.h"
#include "proto/definition.pb-c.h"
#include "worker/package_scan.h"
#include "worker/service.h"

struct entry {
    Engenho__Definition *definition;
    uint64_t generation;
    UT_hash_handle hh;
    char key[]; /* kind/name */
};

/* What a production was made from: the same again makes the same. */
struct made {
    uint64_t production, application, version;
    bool epm_method, held, started;
    struct production *result; /* one reference; NULL: it can't be made */
    bool seen;
    UT_hash_handle hh;
    char name[]; /* as the holder's: p/... or d/... */
};

/* The edge's side of a code. */
struct code_io {
    struct pool_code pool;
    struct code *code;
    Engenho__Load load;
    /* borrowed from `application` and `production` */
    Engenho__Parameter **parameters, **session_parameters;
    Engenho__Definition *application, *production; /* owned copies; production may be NULL */
    char *directory, *main;
    UT_hash_handle hh; /* by pool.number */
};

/* A package's content that is not in the cache, or was not. */
struct content {
    struct catalog_view *view;
    bool asked;
    char *failure; /* why it can't be had; NULL: nothing is wrong so far */
    UT_hash_handle hh;
    uint8_t sha256[PACKAGE_SHA256_BYTES];
};

struct catalog_view {
    struct service *service;
    struct content *contents;
    struct entry *entries;
    struct made *made;
    struct code_io *codes;
    uint32_t numbers;
    bool dirty;
};

struct catalog_view *catalog_view_new(struct service *service)
{
    struct catalog_view *view = memory_new(1, sizeof *view);
    view->service = service;
    return view;
}

static void free_entry(struct entry *entry)
{
    if (entry->definition != NULL) {
        engenho__definition__free_unpacked(entry->definition, NULL);
    }
    free(entry);
}

static struct entry *find_entry(const struct catalog_view *view, const char *kind, const char *name)
{
    char key[NAME_BYTES_MAX + 32];
    struct entry *entry = NULL;
    int length = snprintf(key, sizeof key, "%s/%s", kind, name);
    if (length > 0 && (size_t)length < sizeof key) {
        HASH_FIND_STR(view->entries, key, entry);
    }
    return entry;
}

void catalog_view_record(struct catalog_view *view, const rd_kafka_message_t *message)
{
    struct entry *entry;
    Engenho__Definition *definition = NULL;
    if (message->payload != NULL) {
        definition = engenho__definition__unpack(NULL, message->len, message->payload);
        if (definition == NULL) {
            log_error("a record of the catalog is no definition; it is passed over",
                      LOG_INT("offset", message->offset));
            return;
        }
    }
    HASH_FIND(hh, view->entries, message->key, message->key_len, entry);
    if (entry != NULL) {
        HASH_DEL(view->entries, entry);
        free_entry(entry);
    }
    if (definition != NULL) {
        entry = memory_new(1, sizeof *entry + message->key_len + 1);
        memcpy(entry->key, message->key, message->key_len);
        entry->definition = definition;
        entry->generation = (uint64_t)message->offset + 1;
        HASH_ADD_KEYPTR(hh, view->entries, entry->key, message->key_len, entry);
    }
    view->dirty = true;
    service_wake(view->service);
}

static const Engenho__Package *find_package(const struct catalog_view *view, const char *name)
{
    const struct entry *entry = find_entry(view, "package", name);
    return entry != NULL ? entry->definition->package : NULL;
}

static uint64_t active_version(const Engenho__Package *package)
{
    if (package == NULL || package->n_versions == 0) {
        return 0;
    }
    return package->active != 0 ? package->active
                                : package->versions[package->n_versions - 1]->version;
}

static const Engenho__PackageVersion *find_version(struct catalog_view *view, const char *name,
                                                   uint64_t version)
{
    const Engenho__Package *package = find_package(view, name);
    for (size_t i = 0; package != NULL && i < package->n_versions; i++) {
        if (package->versions[i]->version == version) {
            return package->versions[i];
        }
    }
    return NULL;
}

/* Contents. */

static void on_fetched(void *context, const char *folder, bool again, const char *reason)
{
    struct content *content = context;
    content->asked = false;
    if (folder == NULL && again) {
        log_warn("package can't be had yet; trying on", LOG_TEXT("reason", reason));
    } else if (folder == NULL) {
        content->failure = memory_copy_text(reason);
    }
    content->view->dirty = true;
    service_wake(content->view->service);
}

/*
 * The folder of a version, or NULL: then it is fetched, or *ret_failure (borrowed) says why it
 * never will be.
 */
static const char *want_content(struct catalog_view *view, const Engenho__PackageVersion *version,
                                const char **ret_failure)
{
    *ret_failure = NULL;
    if (version->sha256.len != PACKAGE_SHA256_BYTES) {
        *ret_failure = "its manifest has no hash; deploy it again";
        return NULL;
    }
    const char *folder = packages_find(view->service->packages, version->sha256.data);
    if (folder != NULL) {
        return folder;
    }
    struct content *content;
    HASH_FIND(hh, view->contents, version->sha256.data, PACKAGE_SHA256_BYTES, content);
    if (content == NULL) {
        content = memory_new(1, sizeof *content);
        content->view = view;
        memcpy(content->sha256, version->sha256.data, PACKAGE_SHA256_BYTES);
        HASH_ADD(hh, view->contents, sha256, PACKAGE_SHA256_BYTES, content);
    }
    if (content->failure == NULL && !content->asked) {
        content->asked = package_fetch_ask(view->service->fetch, version, on_fetched, content) == 0;
    }
    *ret_failure = content->failure;
    return NULL;
}

/* Codes. */

static Engenho__Definition *copy(const Engenho__Definition *definition)
{
    size_t bytes = engenho__definition__get_packed_size(definition);
    uint8_t *packed = memory_new(1, bytes + 1);
    engenho__definition__pack(definition, packed);
    Engenho__Definition *result = engenho__definition__unpack(NULL, bytes, packed);
    assert(result != NULL);
    free(packed);
    return result;
}

/* The application's parameters, overridden by those of the production with the same name. */
static Engenho__Parameter **merge(Engenho__Parameter **own, size_t own_count,
                                  Engenho__Parameter **others, size_t others_count,
                                  size_t *ret_count)
{
    Engenho__Parameter **merged =
        memory_new(own_count + others_count + 1, sizeof(Engenho__Parameter *));
    size_t count = 0;
    for (size_t i = 0; i < own_count; i++) {
        merged[count++] = own[i];
    }
    for (size_t i = 0; i < others_count; i++) {
        size_t at = 0;
        while (at < own_count && strcmp(own[at]->name, others[i]->name) != 0) {
            at++;
        }
        if (at < own_count) {
            merged[at] = others[i];
        } else {
            merged[count++] = others[i];
        }
    }
    *ret_count = count;
    return merged;
}

static void fill_load(struct code_io *io, const struct service *service)
{
    const struct production *production = io->code->production;
    const Engenho__Application *application = io->application->application;
    const Engenho__Production *own = io->production != NULL ? io->production->production : NULL;
    Engenho__Load *load = &io->load;
    engenho__load__init(load);
    load->code = io->pool.number;
    load->directory = io->directory;
    load->main = io->main;
    load->method = application->method;
    io->parameters =
        merge(application->parameters, application->n_parameters, own ? own->parameters : NULL,
              own ? own->n_parameters : 0, &load->n_parameters);
    load->parameters = io->parameters;
    io->session_parameters =
        merge(application->session_parameters, application->n_session_parameters,
              own ? own->session_parameters : NULL, own ? own->n_session_parameters : 0,
              &load->n_session_parameters);
    load->session_parameters = io->session_parameters;
    load->state = production->stateful;
    load->range_us = own ? own->range_us : 0;
    load->process_interval_us = own ? own->process_interval_us : 0;
    load->output_limit_bytes = production->output_limit_bytes
                                   ? production->output_limit_bytes
                                   : (uint32_t)service->config->output_limit_bytes;
    load->package = production->package;
    load->package_version = io->code->version;
    io->pool.load = load;
    io->pool.time_limit_us =
        production->time_limit_us ? production->time_limit_us : service->config->time_limit_us;
    io->pool.memory_limit_bytes = production->memory_limit_bytes
                                      ? production->memory_limit_bytes
                                      : (uint64_t)service->config->memory_limit_bytes;
}

static void free_code(struct catalog_view *view, struct code_io *io)
{
    if (io->directory != NULL) {
        packages_drop(view->service->packages, io->directory);
    }
    free(io->parameters);
    free(io->session_parameters);
    free(io->directory);
    free(io->main);
    if (io->application != NULL) {
        engenho__definition__free_unpacked(io->application, NULL);
    }
    if (io->production != NULL) {
        engenho__definition__free_unpacked(io->production, NULL);
    }
    free(io);
}

static void on_forget(void *context, struct code *code)
{
    struct catalog_view *view = context;
    struct code_io *io = code->edge;
    if (io == NULL) {
        return;
    }
    HASH_DEL(view->codes, io);
    if (io->pool.load != NULL && view->service->pool != NULL) {
        pool_forget(view->service->pool, &io->pool);
    }
    free_code(view, io);
}

struct code *catalog_view_code(struct catalog_view *view, uint32_t number)
{
    struct code_io *io;
    HASH_FIND(hh, view->codes, &number, sizeof number, io);
    return io != NULL ? io->code : NULL;
}

static void break_with(struct catalog_view *view, struct code *code, const char *error_class,
                       const char *reason, const char *traceback)
{
    struct service *service = view->service;
    struct production *production = code->production;
    char text[600];
    code->state = CODE_BROKEN;
    if (production->name[0] != '\0') {
        snprintf(text, sizeof text, "package %s version %llu can't be loaded: %.300s: %.150s",
                 production->package, (unsigned long long)code->version, error_class, reason);
        engine_hold(&service->engine, engine_holder(&service->engine, 'p', production->name), text);
        return;
    }
    Engenho__Finished finished = ENGENHO__FINISHED__INIT;
    finished.outcome = ENGENHO__OUTCOME__OUTCOME_FAILED;
    finished.error_class = (char *)error_class;
    finished.error = (char *)reason;
    finished.traceback = (char *)traceback;
    finished.not_retryable = true;
    engine_fail_waiting(&service->engine,
                        engine_holder(&service->engine, 'd', production->application), &finished);
}

void catalog_view_break(struct catalog_view *view, struct code *code, const Engenho__Loaded *loaded)
{
    break_with(view, code, loaded->error_class[0] ? loaded->error_class : "PackageError",
               loaded->error, loaded->traceback);
}

/* Its package may be here by now, or never come. */
static void try_code(struct catalog_view *view, struct code_io *io)
{
    struct service *service = view->service;
    struct code *code = io->code;
    if (code->state != CODE_WANTED || io->application == NULL) {
        return;
    }
    const char *package = code->production->package;
    const Engenho__PackageVersion *version = find_version(view, package, code->version);
    if (version == NULL) {
        /*
         * the catalog is behind, or it was deleted: what waits is looked at when the catalog
         * changes
         */
        return;
    }
    const char *failure, *folder = want_content(view, version, &failure);
    if (folder == NULL) {
        if (failure != NULL) {
            log_error("package can't be had", LOG_TEXT("package", package),
                      LOG_INT("version", (int64_t)code->version), LOG_TEXT("reason", failure));
            break_with(view, code, "PackageMissing", failure, "");
        }
        return;
    }
    if (io->directory == NULL && packages_use(service->packages, folder) != 0) {
        view->dirty = true; /* another worker made room just now: it is fetched again */
        return;
    }
    if (io->directory == NULL) {
        io->directory = memory_copy_text(folder);
        io->main = memory_copy_text(version->main);
        fill_load(io, service);
    }
    code->state = CODE_READY;
    engine_code_changed(&service->engine, code);
}

static void port_want_code(void *context, struct code *code)
{
    struct service *service = context;
    struct catalog_view *view = service->catalog;
    struct code_io *io = memory_new(1, sizeof *io);
    const struct entry *application =
        find_entry(view, "application", code->production->application);
    const struct entry *production = find_entry(view, "production", code->production->name);
    code->number = io->pool.number = ++view->numbers;
    code->edge = &io->pool; /* first member: what the runner hands to the pool */
    io->code = code;
    if (application != NULL) {
        io->application = copy(application->definition);
    }
    if (production != NULL && code->production->name[0] != '\0') {
        io->production = copy(production->definition);
    }
    HASH_ADD_KEYPTR(hh, view->codes, &io->pool.number, sizeof io->pool.number, io);
    /* Not from within the engine's own call: on the next turn. */
    view->dirty = true;
    service_wake(service);
}

void catalog_view_fill_port(struct engine_port *port)
{
    port->want_code = port_want_code;
}

/* Productions. */

static struct made *made_of(struct catalog_view *view, const char *name)
{
    struct made *made;
    HASH_FIND_STR(view->made, name, made);
    if (made == NULL) {
        made = memory_new(1, sizeof *made + strlen(name) + 1);
        memcpy(made->name, name, strlen(name));
        HASH_ADD_STR(view->made, name, made);
    }
    return made;
}

/*
 * Whether the method is one of EPM's: known once the package is unpacked; its source says so.
 * *ret_known: false: not here yet.
 */
static bool is_epm_method(struct catalog_view *view, const Engenho__Application *application,
                          uint64_t version, bool *ret_known)
{
    const Engenho__PackageVersion *found = find_version(view, application->package, version);
    const char *failure = NULL,
               *folder = found != NULL ? want_content(view, found, &failure) : NULL;
    *ret_known = folder != NULL || failure != NULL;
    return folder != NULL && package_scan_epm_method(folder, application->method);
}

/* What a production is made from now; version 0: something of it is missing yet. */
struct recipe {
    char kind; /* of its holder */
    const char *name;
    const struct entry *production; /* NULL: an application on demand */
    const struct entry *application;
    uint64_t version;
    bool epm_method;
    bool undecided; /* its package is not here yet: nobody knows whose method it is */
};

static bool complete(struct catalog_view *view, struct recipe *recipe)
{
    if (recipe->application == NULL ||
        recipe->application->definition->spec_case != ENGENHO__DEFINITION__SPEC_APPLICATION) {
        return false;
    }
    const Engenho__Application *spec = recipe->application->definition->application;
    bool known = false;
    recipe->version = active_version(find_package(view, spec->package));
    recipe->epm_method = recipe->version != 0 && is_epm_method(view, spec, recipe->version, &known);
    recipe->undecided = !known;
    return recipe->version != 0;
}

static bool is_made(const struct made *made, const struct recipe *recipe)
{
    return made->result != NULL && made->application == recipe->application->generation &&
           made->production == (recipe->production != NULL ? recipe->production->generation : 0) &&
           made->version == recipe->version && made->epm_method == recipe->epm_method &&
           made->result->undecided == recipe->undecided;
}

static struct production *cook(struct catalog_view *view, const struct recipe *recipe)
{
    struct error error = {{0}};
    struct production_options options = {
        .name = recipe->kind == 'p' ? recipe->name : "",
        .generation = recipe->production != NULL ? recipe->production->generation : 0,
        .definition =
            recipe->production != NULL ? recipe->production->definition->production : NULL,
        .application = recipe->application->definition->application,
        .application_name = recipe->application->definition->name,
        .active_version = recipe->version,
        .epm_method = recipe->epm_method,
        .undecided = recipe->undecided,
        .forget = on_forget,
        .forget_context = view,
    };
    struct production *result = production_new(&options, &error);
    if (result == NULL) {
        log_error("production can't run", LOG_TEXT("production", recipe->name),
                  LOG_TEXT("reason", error.text));
    }
    return result;
}

static void make(struct catalog_view *view, struct recipe *recipe)
{
    struct engine *engine = &view->service->engine;
    char key[NAME_BYTES_MAX + 3];
    snprintf(key, sizeof key, "%c/%s", recipe->kind, recipe->name);
    struct made *made = made_of(view, key);
    made->seen = true;
    /*
     * What is incomplete is looked at again when more of the catalog, or its package, is here;
     * until a new version is, the one before it runs on.
     */
    bool waits =
        !complete(view, recipe) || is_made(made, recipe) ||
        (recipe->undecided && made->result != NULL &&
         made->production == (recipe->production != NULL ? recipe->production->generation : 0));
    struct production *result = waits ? NULL : cook(view, recipe);
    if (result == NULL) {
        return;
    }
    const Engenho__Production *definition =
        recipe->production != NULL ? recipe->production->definition->production : NULL;
    production_drop(made->result);
    made->result = result;
    made->production = result->generation;
    made->application = recipe->application->generation;
    made->version = recipe->version;
    made->epm_method = recipe->epm_method;
    made->started = definition == NULL || definition->started;
    made->held = !made->started && definition->stopped_reason[0] != '\0';
    engine_define(engine, engine_holder(engine, recipe->kind, recipe->name), result,
                  made->started ? HOLDER_STARTED
                  : made->held  ? HOLDER_HELD
                                : HOLDER_STOPPED);
}

static void make_all(struct catalog_view *view)
{
    struct entry *entry, *following;
    HASH_ITER (hh, view->entries, entry, following) {
        const Engenho__Definition *definition = entry->definition;
        struct recipe recipe = {.kind = 'd', .name = definition->name, .application = entry};
        if (!name_is_valid(definition->name)) {
            continue;
        }
        if (definition->spec_case == ENGENHO__DEFINITION__SPEC_PRODUCTION &&
            !strcmp(definition->production->agent, view->service->config->agent)) {
            recipe.kind = 'p';
            recipe.production = entry;
            recipe.application =
                find_entry(view, "application", definition->production->application);
        } else if (definition->spec_case != ENGENHO__DEFINITION__SPEC_APPLICATION) {
            continue;
        }
        make(view, &recipe);
    }
}

static int by_name(const struct made *a, const struct made *b)
{
    return strcmp(a->name, b->name);
}

void catalog_view_apply(struct catalog_view *view)
{
    struct engine *engine = &view->service->engine;
    struct made *made, *following;
    struct code_io *io, *next_io;
    if (!view->dirty) {
        return;
    }
    view->dirty = false;
    make_all(view);
    matcher_clear(engine->matcher);
    HASH_SORT(view->made, by_name);
    HASH_ITER (hh, view->made, made, following) {
        if (!made->seen) {
            engine_define(engine, engine_holder(engine, made->name[0], made->name + 2), NULL,
                          HOLDER_STOPPED);
            production_drop(made->result);
            HASH_DEL(view->made, made);
            free(made);
            continue;
        }
        made->seen = false;
        if (made->result != NULL && made->name[0] == 'p' && (made->started || made->held)) {
            matcher_add(engine->matcher, made->result);
        }
    }
    HASH_ITER (hh, view->codes, io, next_io) {
        try_code(view, io);
    }
    engine_catalog_changed(engine);
}

void catalog_view_free(struct catalog_view *view)
{
    struct made *made, *next_made;
    struct entry *entry, *next_entry;
    struct content *content, *next_content;
    if (view == NULL) {
        return;
    }
    HASH_ITER (hh, view->made, made, next_made) {
        HASH_DEL(view->made, made);
        production_drop(made->result);
        free(made);
    }
    HASH_ITER (hh, view->entries, entry, next_entry) {
        HASH_DEL(view->entries, entry);
        free_entry(entry);
    }
    HASH_ITER (hh, view->contents, content, next_content) {
        HASH_DEL(view->contents, content);
        free(content->failure);
        free(content);
    }
    free(view);
}
