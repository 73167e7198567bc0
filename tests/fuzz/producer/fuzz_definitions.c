/*
 * Documents as people send them: read, checked, written as YAML, and read again as the same.
 */
#include "producer/definitions.h"
#include "producer/document.h"
#include "tests/fuzz/fuzz.h"

static int good(const char *text, struct error *error)
{
    (void)text;
    (void)error;
    return 0;
}

static const struct definition_checks checks = {good, good};

static void check(const struct node *document)
{
    struct error error = {""};
    Engenho__Definition *definition;
    int started, line = 0;
    if (definition_parse(document, NULL, NULL, &checks, &definition, &started, &line, &error) !=
        0) {
        REQUIRE(error.text[0] != '\0');
        return;
    }
    Engenho__Definition *copy = definition_copy(definition);
    REQUIRE(definition_equal(definition, copy));
    engenho__definition__free_unpacked(copy, NULL);
    engenho__definition__free_unpacked(definition, NULL);
}

static void write_and_read(const struct node *document)
{
    struct buf yaml, first, second;
    struct node *again;
    struct error error;
    buf_init(&yaml, 1 << 20);
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    if (node_write_yaml(document, &yaml) == 0 && node_write_json(document, &first) == 0) {
        REQUIRE(document_parse_yaml((const char *)yaml.data, yaml.length, &again, &error) == 0);
        REQUIRE(again->count == 1);
        REQUIRE(node_write_json(again->first, &second) == 0);
        REQUIRE(first.length == second.length &&
                memcmp(first.data, second.data, first.length) == 0);
        node_free(again);
    }
    buf_release(&yaml);
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct error error = {""};
    struct node *documents;
    char *text = fuzz_text(data, bytes);
    if (document_parse_yaml(text, bytes, &documents, &error) == 0) {
        for (const struct node *document = documents->first; document != NULL;
             document = document->next) {
            check(document);
            write_and_read(document);
        }
        node_free(documents);
    } else {
        REQUIRE(error.text[0] != '\0');
    }
    free(text);
    return 0;
}
