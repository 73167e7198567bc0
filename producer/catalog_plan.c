#include "producer/catalog_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "producer/definitions.h"
#include "producer/definitions_reader.h"

struct plan {
    const struct catalog_view *view;
    struct catalog_change *changes;
    size_t count;
};

static const struct catalog_change *find_change(const struct plan *plan, const char *kind,
                                                const char *name)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (!strcmp(plan->changes[i].kind, kind) && !strcmp(plan->changes[i].name, name)) {
            return &plan->changes[i];
        }
    }
    return NULL;
}

/* Whether kind/name is there when all changes are made. */
static bool will_exist(const struct plan *plan, const char *kind, const char *name)
{
    const struct catalog_change *change = find_change(plan, kind, name);
    if (change != NULL) {
        return change->definition != NULL;
    }
    return catalog_view_find(plan->view, kind, name) != NULL;
}

static int refuse(struct catalog_change *change, int code, const char *format, ...)
    PRINTF_LIKE(3, 4);

static int refuse(struct catalog_change *change, int code, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    change->result = CATALOG_REFUSED;
    change->code = code;
    return error_set(&change->error, code, "%s", text);
}

static int check_references(const struct plan *plan, struct catalog_change *change)
{
    const Engenho__Definition *definition = change->definition;
    if (definition->spec_case == ENGENHO__DEFINITION__SPEC_APPLICATION &&
        !will_exist(plan, "package", definition->application->package)) {
        return refuse(
            change, -EINVAL,
            "application '%s' names package '%s', which is not there: deploy it first (engenho deploy %s PATH)",
            change->name, definition->application->package, definition->application->package);
    }
    if (definition->spec_case != ENGENHO__DEFINITION__SPEC_PRODUCTION) {
        return 0;
    }
    const Engenho__Production *production = definition->production;
    if (!will_exist(plan, "application", production->application)) {
        return refuse(change, -EINVAL,
                      "production '%s' names application '%s', which is not there: apply it too",
                      change->name, production->application);
    }
    if (strcmp(production->agent, AGENT_DEFAULT) != 0 &&
        !will_exist(plan, "agent", production->agent)) {
        return refuse(
            change, -EINVAL,
            "production '%s' names agent '%s', which is not defined: apply kind: Agent, name: %s too",
            change->name, production->agent, production->agent);
    }
    if (production->trigger_case == ENGENHO__PRODUCTION__TRIGGER_DATA &&
        !will_exist(plan, "connection", production->data->connection)) {
        return refuse(
            change, -EINVAL,
            "production '%s' names connection '%s', which is not defined: apply kind: Connection, name: %s too",
            change->name, production->data->connection, production->data->connection);
    }
    return 0;
}

/* Whether `user` names kind/name. */
static bool uses(const Engenho__Definition *user, const char *kind, const char *name)
{
    if (user->spec_case == ENGENHO__DEFINITION__SPEC_APPLICATION) {
        return !strcmp(kind, "package") && !strcmp(user->application->package, name);
    }
    if (user->spec_case != ENGENHO__DEFINITION__SPEC_PRODUCTION) {
        return false;
    }
    const Engenho__Production *production = user->production;
    return (!strcmp(kind, "application") && !strcmp(production->application, name)) ||
           (!strcmp(kind, "agent") && !strcmp(production->agent, name)) ||
           (!strcmp(kind, "connection") &&
            production->trigger_case == ENGENHO__PRODUCTION__TRIGGER_DATA &&
            !strcmp(production->data->connection, name));
}

/*
 * Refuse to delete what something uses that stays as it is. Users among the changes are checked by
 * check_references.
 */
static int check_users(const struct plan *plan, struct catalog_change *change)
{
    char users[512] = "";
    size_t found = 0, count;
    const struct catalog_entry **list = catalog_view_list(plan->view, NULL, &count);
    for (size_t i = 0; i < count; i++) {
        const Engenho__Definition *user = list[i]->definition;
        if (!uses(user, change->kind, change->name) ||
            find_change(plan, user->kind, user->name) != NULL) {
            continue;
        }
        if (++found <= 3) {
            size_t length = strlen(users);
            snprintf(users + length, sizeof users - length, "%s%s %s", found > 1 ? ", " : "",
                     user->kind, user->name);
        }
    }
    free(list);
    if (found == 0) {
        return 0;
    }
    size_t length = strlen(users);
    if (found > 3) {
        snprintf(users + length, sizeof users - length, " and %zu more", found - 3);
    }
    return refuse(change, -EBUSY, "%s '%s' is used by %s: delete or change these first",
                  change->kind, change->name, users);
}

static int check_generation(struct catalog_change *change)
{
    if (change->expected == GENERATION_ANY || (uint64_t)change->expected == change->generation) {
        return 0;
    }
    if (change->expected == 0) {
        return refuse(change, -ESTALE, "%s '%s' is there already, generation %llu", change->kind,
                      change->name, (unsigned long long)change->generation);
    }
    return refuse(change, -ESTALE,
                  "%s '%s' has generation %llu now, not %lld: another write came first",
                  change->kind, change->name, (unsigned long long)change->generation,
                  (long long)change->expected);
}

/* The production's state: kept, unless the change says otherwise. */
static void complete_production(struct catalog_change *change, const struct catalog_entry *entry,
                                int64_t now_us)
{
    Engenho__Production *production = change->definition->production;
    const Engenho__Production *before = entry != NULL ? entry->definition->production : NULL;
    bool was_started = before != NULL && before->started;
    production->started = change->started < 0 ? was_started : change->started == 1;
    production->started_us = before != NULL ? before->started_us : 0;
    if (production->started && !was_started) {
        production->started_us = now_us;
    }
    if (!production->started && before != NULL && !before->started &&
        production->stopped_reason[0] == '\0') {
        definition_set_text(&production->stopped_reason, before->stopped_reason);
    }
    if (production->started) {
        definition_set_text(&production->stopped_reason, "");
    }
}

static int plan_one(const struct plan *plan, struct catalog_change *change, const char *who,
                    int64_t now_us)
{
    const struct catalog_entry *entry = catalog_view_find(plan->view, change->kind, change->name);
    change->generation = entry != NULL ? entry->generation : 0;
    if (find_change(plan, change->kind, change->name) != change) {
        return refuse(change, -EINVAL, "%s '%s' is there twice: remove one of the documents",
                      change->kind, change->name);
    }
    int result = check_generation(change);
    if (result != 0) {
        return result;
    }
    if (change->definition == NULL) {
        if (entry == NULL) {
            return refuse(change, -ENOENT, "there is no %s '%s'", change->kind, change->name);
        }
        change->result = CATALOG_DELETED;
        return check_users(plan, change);
    }
    if (change->definition->spec_case == ENGENHO__DEFINITION__SPEC_PRODUCTION) {
        complete_production(change, entry, now_us);
    }
    change->definition->changed_us = now_us;
    definition_set_text(&change->definition->changed_by, who);
    change->result = entry == NULL ? CATALOG_CREATED : CATALOG_CHANGED;
    if (entry != NULL && definition_equal(entry->definition, change->definition)) {
        change->result = CATALOG_UNCHANGED;
    }
    return check_references(plan, change);
}

int catalog_plan(const struct catalog_view *view, struct catalog_change *changes, size_t count,
                 const char *who, int64_t now_us)
{
    const struct plan plan = {view, changes, count};
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].result == CATALOG_REFUSED ||
            plan_one(&plan, &changes[i], who, now_us) != 0) {
            result = -EINVAL;
        }
    }
    return result;
}

void catalog_change_release(struct catalog_change *change)
{
    free(change->kind);
    free(change->name);
    if (change->definition != NULL) {
        engenho__definition__free_unpacked(change->definition, NULL);
    }
    memset(change, 0, sizeof *change);
}

const char *catalog_result_name(enum catalog_result result)
{
    static const char *const names[] = {"created", "changed", "unchanged", "deleted", "refused"};
    return names[result];
}
