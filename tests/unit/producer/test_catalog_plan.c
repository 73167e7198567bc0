/*
 * Sets of writes checked against the catalog: references, generations, users, and the state of
 * productions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "producer/catalog_plan.h"
#include "producer/definitions.h"
#include "producer/document.h"

static int good(const char *text, struct error *error)
{
    (void)text;
    (void)error;
    return 0;
}

static const struct definition_checks checks = {good, good};

struct set {
    struct catalog_view *view;
    struct catalog_change changes[8];
    size_t count;
    uint64_t generation;
};

static void add(struct set *set, const char *yaml)
{
    struct node *documents;
    struct error error;
    struct catalog_change *change = &set->changes[set->count++];
    int line;
    *change = (struct catalog_change){.expected = GENERATION_ANY};
    assert_int_equal(document_parse_yaml(yaml, strlen(yaml), &documents, &error), 0);
    assert_int_equal(definition_parse(documents->first, NULL, NULL, &checks, &change->definition,
                                      &change->started, &line, &error),
                     0);
    change->kind = memory_copy_text(change->definition->kind);
    change->name = memory_copy_text(change->definition->name);
    node_free(documents);
}

static void add_delete(struct set *set, const char *kind, const char *name)
{
    set->changes[set->count++] = (struct catalog_change){
        .kind = memory_copy_text(kind), .name = memory_copy_text(name), .expected = GENERATION_ANY};
}

static void clear(struct set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        catalog_change_release(&set->changes[i]);
    }
    set->count = 0;
}

/* Plan, and make the changes in the view when all are good. */
static int write_all(struct set *set, int64_t now_us)
{
    int result = catalog_plan(set->view, set->changes, set->count, "me", now_us);
    for (size_t i = 0; result == 0 && i < set->count; i++) {
        struct catalog_change *change = &set->changes[i];
        if (change->result == CATALOG_DELETED) {
            catalog_view_delete(set->view, change->kind, change->name);
        } else if (change->result != CATALOG_UNCHANGED) {
            catalog_view_put(set->view, definition_copy(change->definition), ++set->generation);
        }
    }
    return result;
}

#define APPLICATION "kind: Application\nname: a\nspec: {package: p, method: M}\n"
#define CONNECTION "kind: Connection\nname: c\nspec: {type: push}\n"
#define PRODUCTION                                                                                 \
    "kind: Production\nname: x\nspec: {application: a, trigger: {data: {connection: c, object: o}}%s}\n"

static void add_production(struct set *set, const char *more)
{
    char text[400];
    snprintf(text, sizeof text, PRODUCTION, more);
    add(set, text);
}

static int set_up(void **state)
{
    struct set *set = memory_new(1, sizeof *set);
    set->view = catalog_view_new();
    Engenho__Definition *package = memory_new(1, sizeof *package);
    engenho__definition__init(package);
    package->kind = memory_copy_text("package");
    package->name = memory_copy_text("p");
    package->spec_case = ENGENHO__DEFINITION__SPEC_PACKAGE;
    package->package = memory_new(1, sizeof *package->package);
    engenho__package__init(package->package);
    catalog_view_put(set->view, package, ++set->generation);
    *state = set;
    return 0;
}

static int tear_down(void **state)
{
    struct set *set = *state;
    clear(set);
    catalog_view_free(set->view);
    free(set);
    return 0;
}

static void references_may_point_forward_within_a_set(void **state)
{
    struct set *set = *state;
    add_production(set, "");
    add(set, APPLICATION);
    add(set, CONNECTION);
    assert_int_equal(write_all(set, 10), 0);
    assert_int_equal(set->changes[0].result, CATALOG_CREATED);
    assert_int_equal(catalog_view_count(set->view), 4);
}

static void a_missing_reference_refuses_the_set_and_names_it(void **state)
{
    struct set *set = *state;
    add(set, APPLICATION);
    add_production(set, ", agent: hot");
    assert_int_equal(write_all(set, 10), -EINVAL);
    assert_int_equal(set->changes[1].result, CATALOG_REFUSED);
    assert_string_equal(
        set->changes[1].error.text,
        "production 'x' names agent 'hot', which is not defined: apply kind: Agent, name: hot too");
    clear(set);
    add(set, APPLICATION);
    add_production(set, "");
    assert_int_equal(write_all(set, 10), -EINVAL);
    assert_non_null(strstr(set->changes[1].error.text, "connection 'c'"));
    assert_int_equal(catalog_view_count(set->view), 1);
}

static void the_same_again_is_unchanged(void **state)
{
    struct set *set = *state;
    for (int i = 0; i < 2; i++) {
        clear(set);
        add(set, CONNECTION);
        add(set, APPLICATION);
        add_production(set, ", started: true");
        assert_int_equal(write_all(set, 10 + i), 0);
        assert_int_equal(set->changes[2].result, i == 0 ? CATALOG_CREATED : CATALOG_UNCHANGED);
    }
}

static void a_write_that_lost_a_race_is_refused_with_the_current_generation(void **state)
{
    struct set *set = *state;
    add(set, CONNECTION);
    assert_int_equal(write_all(set, 10), 0);
    clear(set);
    add(set, CONNECTION);
    set->changes[0].expected = 77;
    assert_int_equal(write_all(set, 11), -EINVAL);
    assert_int_equal(set->changes[0].code, -ESTALE);
    assert_int_equal(set->changes[0].generation, 2);
    clear(set);
    add(set, CONNECTION);
    set->changes[0].expected = 0;
    assert_int_equal(write_all(set, 11), -EINVAL);
    assert_int_equal(set->changes[0].code, -ESTALE);
}

static void what_is_used_is_not_deleted_unless_its_users_go_too(void **state)
{
    struct set *set = *state;
    add(set, CONNECTION);
    add(set, APPLICATION);
    add_production(set, "");
    assert_int_equal(write_all(set, 10), 0);
    clear(set);
    add_delete(set, "package", "p");
    assert_int_equal(write_all(set, 11), -EINVAL);
    assert_int_equal(set->changes[0].code, -EBUSY);
    assert_string_equal(set->changes[0].error.text,
                        "package 'p' is used by application a: delete or change these first");
    clear(set);
    add_delete(set, "production", "x");
    add_delete(set, "application", "a");
    add_delete(set, "connection", "c");
    assert_int_equal(write_all(set, 11), 0);
    assert_int_equal(catalog_view_count(set->view), 1);
    clear(set);
    add_delete(set, "connection", "c");
    assert_int_equal(write_all(set, 12), -EINVAL);
    assert_int_equal(set->changes[0].code, -ENOENT);
}

static const Engenho__Production *production_of(const struct set *set)
{
    return catalog_view_find(set->view, "production", "x")->definition->production;
}

static void started_at_moves_only_when_a_production_is_started(void **state)
{
    struct set *set = *state;
    static const struct {
        const char *more;
        bool started;
        int64_t started_us;
    } steps[] = {
        {"", false, 0}, /* a new one is stopped */
        {", started: true", true, 11},
        /* changed while started: it sees all events since then */
        {", started: true, timeLimit: 5s", true, 11},
        {", timeLimit: 6s", true, 11}, /* not said: as it is */
        {", started: false, timeLimit: 6s", false, 11},
        {", started: true, timeLimit: 6s", true, 15},
    };
    add(set, CONNECTION);
    add(set, APPLICATION);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        add_production(set, steps[i].more);
        assert_int_equal(write_all(set, 10 + (int64_t)i), 0);
        assert_int_equal(production_of(set)->started, steps[i].started);
        assert_int_equal(production_of(set)->started_us, steps[i].started_us);
        clear(set);
    }
}

static void two_documents_of_one_name_are_refused(void **state)
{
    struct set *set = *state;
    add(set, CONNECTION);
    add(set, CONNECTION);
    assert_int_equal(write_all(set, 10), -EINVAL);
    assert_non_null(strstr(set->changes[1].error.text, "is there twice"));
}

static void the_active_version_is_the_chosen_one_or_the_newest(void **state)
{
    struct set *set = *state;
    assert_null(catalog_view_active(set->view, "p"));
    assert_null(catalog_view_active(set->view, "q"));
    Engenho__Definition *package =
        definition_copy(catalog_view_find(set->view, "package", "p")->definition);
    package->package->versions = memory_new(2, sizeof *package->package->versions);
    for (uint64_t i = 0; i < 2; i++) {
        Engenho__PackageVersion *version = memory_new(1, sizeof *version);
        engenho__package_version__init(version);
        version->version = i + 1;
        version->sha256.data = memory_new(32, 1);
        version->sha256.data[0] = (uint8_t)(i + 1);
        version->sha256.len = 32;
        package->package->versions[package->package->n_versions++] = version;
    }
    catalog_view_put(set->view, package, 9);
    assert_int_equal(catalog_view_active(set->view, "p")->version, 2);
    package->package->active = 1;
    assert_int_equal(catalog_view_active(set->view, "p")->version, 1);
    uint8_t sha256[32] = {2};
    assert_int_equal(catalog_view_content(set->view, sha256)->version, 2);
    sha256[0] = 3;
    assert_null(catalog_view_content(set->view, sha256));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(references_may_point_forward_within_a_set, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_missing_reference_refuses_the_set_and_names_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_same_again_is_unchanged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_write_that_lost_a_race_is_refused_with_the_current_generation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_used_is_not_deleted_unless_its_users_go_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(started_at_moves_only_when_a_production_is_started, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(two_documents_of_one_name_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_active_version_is_the_chosen_one_or_the_newest, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
