/*
 * Conditions: a recursive descent into an array of nodes, and their evaluation. Producer, worker.
 */
#include "common/when.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/duration.h"
#include "common/memory.h"

enum token_type {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_NUMBER,
    TOKEN_TEXT,
    TOKEN_OPERATOR,
    TOKEN_OPEN,
    TOKEN_CLOSE
};

enum comparison { EQUAL, DIFFERENT, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

struct token {
    enum token_type type;
    size_t start, bytes;        /* in the source */
    enum comparison comparison; /* TOKEN_OPERATOR */
};

enum node_type { NODE_OR, NODE_AND, NODE_NOT, NODE_COMPARE, NODE_HOLDS };

struct operand {
    bool is_name;
    enum when_name name;
    char *member;            /* owned; payload and fields */
    struct when_value value; /* of a literal; its text is owned */
};

struct node {
    enum node_type type;
    int left, right; /* indexes of nodes: OR, AND, NOT (left only) */
    enum comparison comparison;
    struct operand a, b; /* COMPARE; HOLDS has a only */
};

struct when {
    int count, root;
    struct node nodes[]; /* WHEN_NODES_MAX while it is compiled, then `count` */
};

struct parser {
    const char *source;
    size_t bytes, at;
    struct token token; /* the one to look at */
    int depth;
    struct when *when;
    struct error *error;
    bool failed;
};

static const char *const names[] = {"value", "previous", "quality", "timestamp"};

static int fail(struct parser *parser, size_t start, const char *what, const char *expected)
{
    if (!parser->failed) {
        parser->failed = true;
        error_set(parser->error, -EINVAL, "condition, column %zu: %s; expected %s", start + 1, what,
                  expected);
    }
    return -1;
}

static int fail_at_token(struct parser *parser, const char *expected)
{
    const struct token *token = &parser->token;
    char what[80];
    if (token->type == TOKEN_END) {
        snprintf(what, sizeof what, "it ends here");
    } else {
        int shown = token->bytes > 40 ? 40 : (int)token->bytes;
        snprintf(what, sizeof what, "found '%.*s'", shown, parser->source + token->start);
    }
    return fail(parser, token->start, what, expected);
}

static bool is_word_start(unsigned char byte)
{
    return isalpha(byte) || byte == '_' || byte >= 0x80;
}

static bool is_word(unsigned char byte)
{
    return is_word_start(byte) || isdigit(byte) || byte == '.' || byte == '-';
}

static void next_operator(struct parser *parser)
{
    static const struct {
        const char *text;
        enum comparison comparison;
    } all[] = {{"==", EQUAL},         {"!=", DIFFERENT}, {"<>", DIFFERENT}, {"<=", LESS_EQUAL},
               {">=", GREATER_EQUAL}, {"=", EQUAL},      {"<", LESS},       {">", GREATER}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        size_t length = strlen(all[i].text);
        if (parser->bytes - parser->at >= length &&
            !memcmp(parser->source + parser->at, all[i].text, length)) {
            parser->token.type = TOKEN_OPERATOR;
            parser->token.comparison = all[i].comparison;
            parser->token.bytes = length;
            return;
        }
    }
    char what[40];
    unsigned char byte = (unsigned char)parser->source[parser->at];
    snprintf(what, sizeof what, isprint(byte) ? "found '%c'" : "found the byte 0x%02x", byte);
    fail(parser, parser->at, what,
         "a name, a value, a comparison, 'and', 'or', 'not' or a parenthesis");
    parser->token.type = TOKEN_END;
}

static void next_text(struct parser *parser, char quote)
{
    const char *start = parser->source + parser->at + 1;
    const char *end = memchr(start, quote, parser->bytes - parser->at - 1);
    if (end == NULL) {
        fail(parser, parser->at, "a text begins that does not end", "the closing quote");
        parser->token.type = TOKEN_END;
        return;
    }
    parser->token.type = TOKEN_TEXT;
    parser->token.bytes = (size_t)(end - start) + 2;
}

/* Where the word ends that starts at `end` - 1. */
static size_t end_of_word(const struct parser *parser, size_t end)
{
    while (end < parser->bytes && is_word((unsigned char)parser->source[end])) {
        end++;
    }
    return end;
}

static size_t end_of_number(const struct parser *parser, size_t end)
{
    const char *source = parser->source;
    while (end < parser->bytes) {
        bool sign = source[end] == '-' || source[end] == '+';
        bool exponent = source[end - 1] == 'e' || source[end - 1] == 'E';
        if (!isalnum((unsigned char)source[end]) && source[end] != '.' && !(sign && exponent)) {
            break;
        }
        end++;
    }
    return end;
}

static bool is_number_start(const struct parser *parser)
{
    unsigned char byte = (unsigned char)parser->source[parser->at];
    bool sign = (byte == '-' || byte == '+') && parser->at + 1 < parser->bytes;
    return isdigit(byte) || byte == '.' || sign;
}

static void next_token(struct parser *parser)
{
    while (parser->at < parser->bytes && isspace((unsigned char)parser->source[parser->at])) {
        parser->at++;
    }
    struct token *token = &parser->token;
    *token = (struct token){.type = TOKEN_END, .start = parser->at};
    if (parser->at == parser->bytes || parser->failed) {
        return;
    }
    unsigned char byte = (unsigned char)parser->source[parser->at];
    if (byte == '(' || byte == ')') {
        token->type = byte == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
        token->bytes = 1;
    } else if (byte == '\'' || byte == '"') {
        next_text(parser, (char)byte);
    } else if (is_word_start(byte)) {
        token->type = TOKEN_WORD;
        token->bytes = end_of_word(parser, parser->at + 1) - parser->at;
    } else if (is_number_start(parser)) {
        token->type = TOKEN_NUMBER;
        token->bytes = end_of_number(parser, parser->at + 1) - parser->at;
    } else {
        next_operator(parser);
    }
    parser->at += token->bytes;
}

static bool word_is(const struct parser *parser, const char *word)
{
    return parser->token.type == TOKEN_WORD && parser->token.bytes == strlen(word) &&
           !strncasecmp(parser->source + parser->token.start, word, parser->token.bytes);
}

static int parse_number(struct parser *parser, struct operand *operand)
{
    char text[64], *end;
    if (parser->token.bytes >= sizeof text) {
        return fail_at_token(parser, "a number of at most 63 characters");
    }
    memcpy(text, parser->source + parser->token.start, parser->token.bytes);
    text[parser->token.bytes] = '\0';
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (*end == '\0' && end != text && errno == 0) {
        operand->value = (struct when_value){.type = WHEN_INTEGER, .integer = integer};
        return 0;
    }
    double number = strtod(text, &end);
    if (*end != '\0' || end == text || strpbrk(text, "xXnNiIpP") != NULL || !isfinite(number)) {
        return fail_at_token(parser, "a number such as 100, -2.5 or 1e6");
    }
    operand->value = (struct when_value){.type = WHEN_NUMBER, .number = number};
    return 0;
}

static int parse_name(struct parser *parser, struct operand *operand)
{
    const char *word = parser->source + parser->token.start;
    size_t bytes = parser->token.bytes;
    operand->is_name = true;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strlen(names[i]) == bytes && !memcmp(names[i], word, bytes)) {
            operand->name = (enum when_name)i;
            return 0;
        }
    }
    size_t prefix = bytes > 8 && !memcmp(word, "payload.", 8)  ? 8
                    : bytes > 7 && !memcmp(word, "fields.", 7) ? 7
                                                               : 0;
    if (prefix == 0) {
        return fail_at_token(
            parser,
            "value, previous, quality, timestamp, payload.NAME, fields.NAME, a number, a quoted "
            "text, true, false or null");
    }
    operand->name = prefix == 8 ? WHEN_NAME_PAYLOAD : WHEN_NAME_FIELDS;
    operand->member = memory_copy(word + prefix, bytes - prefix);
    return 0;
}

static int parse_operand(struct parser *parser, struct operand *operand)
{
    int result = 0;
    if (parser->token.type == TOKEN_NUMBER) {
        result = parse_number(parser, operand);
    } else if (parser->token.type == TOKEN_TEXT) {
        size_t bytes = parser->token.bytes - 2;
        operand->value = (struct when_value){
            .type = WHEN_TEXT,
            .text = memory_copy(parser->source + parser->token.start + 1, bytes),
            .text_bytes = bytes};
    } else if (word_is(parser, "true") || word_is(parser, "false")) {
        operand->value =
            (struct when_value){.type = WHEN_BOOLEAN, .integer = word_is(parser, "true")};
    } else if (word_is(parser, "null")) {
        operand->value = (struct when_value){.type = WHEN_NULL};
    } else if (parser->token.type == TOKEN_WORD) {
        result = parse_name(parser, operand);
    } else {
        result = fail_at_token(parser, "a name or a value");
    }
    if (result == 0) {
        next_token(parser);
    }
    return result;
}

static int new_node(struct parser *parser, enum node_type type, int left, int right)
{
    if (parser->when->count == WHEN_NODES_MAX) {
        return fail(parser, parser->token.start, "the condition has too many parts",
                    "at most 256 of them");
    }
    struct node *node = &parser->when->nodes[parser->when->count];
    *node = (struct node){.type = type, .left = left, .right = right};
    return parser->when->count++;
}

/* A text compared with the timestamp is an instant, read once. */
static int settle_timestamp(struct parser *parser, const struct operand *name,
                            struct operand *literal, size_t start)
{
    if (!name->is_name || name->name != WHEN_NAME_TIMESTAMP || literal->is_name ||
        literal->value.type != WHEN_TEXT) {
        return 0;
    }
    int64_t instant_us;
    if (instant_parse(literal->value.text, &instant_us) != 0) {
        return fail(parser, start, "the timestamp is compared with a text that is no instant",
                    "such as '2026-01-31T12:00:00Z'");
    }
    free((char *)literal->value.text);
    literal->value = (struct when_value){.type = WHEN_INTEGER, .integer = instant_us};
    return 0;
}

static int parse_or(struct parser *parser);

static int parse_comparison(struct parser *parser)
{
    size_t start = parser->token.start;
    if (parser->token.type == TOKEN_OPEN) {
        next_token(parser);
        int inner = parse_or(parser);
        if (inner < 0) {
            return -1;
        }
        if (parser->token.type != TOKEN_CLOSE) {
            return fail_at_token(parser, "a closing parenthesis");
        }
        next_token(parser);
        return inner;
    }
    int index = new_node(parser, NODE_HOLDS, -1, -1);
    if (index < 0) {
        return -1;
    }
    struct node *node = &parser->when->nodes[index];
    if (parse_operand(parser, &node->a) != 0) {
        return -1;
    }
    if (parser->token.type == TOKEN_OPERATOR) {
        node->type = NODE_COMPARE;
        node->comparison = parser->token.comparison;
        next_token(parser);
        if (parse_operand(parser, &node->b) != 0 ||
            settle_timestamp(parser, &node->a, &node->b, start) != 0 ||
            settle_timestamp(parser, &node->b, &node->a, start) != 0) {
            return -1;
        }
    }
    return index;
}

static int parse_not(struct parser *parser)
{
    if (++parser->depth > WHEN_DEPTH_MAX) {
        return fail(parser, parser->token.start, "the condition is nested too deeply",
                    "at most 32 levels");
    }
    int index;
    if (word_is(parser, "not")) {
        next_token(parser);
        int inner = parse_not(parser);
        index = inner < 0 ? -1 : new_node(parser, NODE_NOT, inner, -1);
    } else {
        index = parse_comparison(parser);
    }
    parser->depth--;
    return index;
}

static int parse_and(struct parser *parser)
{
    int left = parse_not(parser);
    while (left >= 0 && word_is(parser, "and")) {
        next_token(parser);
        int right = parse_not(parser);
        left = right < 0 ? -1 : new_node(parser, NODE_AND, left, right);
    }
    return left;
}

static int parse_or(struct parser *parser)
{
    int left = parse_and(parser);
    while (left >= 0 && word_is(parser, "or")) {
        next_token(parser);
        int right = parse_and(parser);
        left = right < 0 ? -1 : new_node(parser, NODE_OR, left, right);
    }
    return left;
}

struct when *when_new(const char *text, struct error *error)
{
    struct parser parser = {.source = text, .bytes = strlen(text), .error = error};
    if (parser.bytes > WHEN_BYTES_MAX) {
        error_set(error, -EINVAL, "condition: %zu bytes are more than %d", parser.bytes,
                  WHEN_BYTES_MAX);
        return NULL;
    }
    parser.when = memory_new(1, sizeof *parser.when + WHEN_NODES_MAX * sizeof(struct node));
    next_token(&parser);
    int root = parse_or(&parser);
    if (root >= 0 && !parser.failed && parser.token.type != TOKEN_END) {
        fail_at_token(&parser, "'and', 'or' or the end");
    }
    if (root < 0 || parser.failed) {
        when_free(parser.when);
        return NULL;
    }
    parser.when->root = root;
    /* A service holds thousands of conditions, most of them of a few parts. */
    return memory_resize(parser.when, 1,
                         sizeof *parser.when + (size_t)parser.when->count * sizeof(struct node));
}

static void release_operand(struct operand *operand)
{
    free(operand->member);
    if (!operand->is_name && operand->value.type == WHEN_TEXT) {
        free((char *)operand->value.text);
    }
}

void when_free(struct when *when)
{
    if (when == NULL) {
        return;
    }
    for (int i = 0; i < when->count; i++) {
        release_operand(&when->nodes[i].a);
        release_operand(&when->nodes[i].b);
    }
    free(when);
}

/* -1, 0, 1; 2: no order (NaN). */
static int order_of_doubles(double a, double b)
{
    return isnan(a) || isnan(b) ? 2 : (a > b) - (a < b);
}

/* Exact, where converting the integer to a double would round it. */
static int order_of_integer_and_double(int64_t a, double b)
{
    if (isnan(b)) {
        return 2;
    }
    if (b >= 9223372036854775808.0) {
        return -1;
    }
    if (b < -9223372036854775808.0) {
        return 1;
    }
    int64_t whole = (int64_t)b;
    if (a != whole) {
        return a > whole ? 1 : -1;
    }
    double rest = b - (double)whole;
    return (rest < 0) - (rest > 0);
}

static int order_of_texts(const struct when_value *a, const struct when_value *b)
{
    size_t shorter = a->text_bytes < b->text_bytes ? a->text_bytes : b->text_bytes;
    int order = shorter ? memcmp(a->text, b->text, shorter) : 0;
    if (order == 0) {
        return (a->text_bytes > b->text_bytes) - (a->text_bytes < b->text_bytes);
    }
    return order < 0 ? -1 : 1;
}

static bool is_numeric(const struct when_value *value)
{
    return value->type == WHEN_NUMBER || value->type == WHEN_INTEGER;
}

static int order_of_numbers(const struct when_value *a, const struct when_value *b)
{
    if (a->type == WHEN_INTEGER && b->type == WHEN_INTEGER) {
        return (a->integer > b->integer) - (a->integer < b->integer);
    }
    if (a->type == WHEN_INTEGER) {
        return order_of_integer_and_double(a->integer, b->number);
    }
    if (b->type == WHEN_INTEGER) {
        int order = order_of_integer_and_double(b->integer, a->number);
        return order == 2 ? 2 : -order;
    }
    return order_of_doubles(a->number, b->number);
}

static bool order_satisfies(int order, enum comparison comparison)
{
    switch (comparison) {
    case EQUAL:
        return order == 0;
    case DIFFERENT:
        return order != 0;
    case LESS:
        return order < 0;
    case LESS_EQUAL:
        return order <= 0;
    case GREATER:
        return order > 0;
    case GREATER_EQUAL:
        return order >= 0;
    }
    return false;
}

static bool compare(const struct when_value *a, const struct when_value *b,
                    enum comparison comparison)
{
    if (a->type == WHEN_NULL || b->type == WHEN_NULL) {
        return false;
    }
    if (is_numeric(a) && is_numeric(b)) {
        int order = order_of_numbers(a, b);
        return order != 2 && order_satisfies(order, comparison);
    }
    bool nan = (a->type == WHEN_NUMBER && isnan(a->number)) ||
               (b->type == WHEN_NUMBER && isnan(b->number));
    if (a->type != b->type) {
        return comparison == DIFFERENT && !nan;
    }
    if (a->type == WHEN_TEXT) {
        return order_satisfies(order_of_texts(a, b), comparison);
    }
    return (comparison == EQUAL && a->integer == b->integer) ||
           (comparison == DIFFERENT && a->integer != b->integer);
}

static struct when_value value_of(const struct operand *operand, when_lookup lookup, void *context)
{
    return operand->is_name ? lookup(context, operand->name, operand->member) : operand->value;
}

static bool holds(const struct when *when, int index, when_lookup lookup, void *context)
{
    const struct node *node = &when->nodes[index];
    struct when_value a, b;
    switch (node->type) {
    case NODE_OR:
        return holds(when, node->left, lookup, context) ||
               holds(when, node->right, lookup, context);
    case NODE_AND:
        return holds(when, node->left, lookup, context) &&
               holds(when, node->right, lookup, context);
    case NODE_NOT:
        return !holds(when, node->left, lookup, context);
    case NODE_HOLDS:
        a = value_of(&node->a, lookup, context);
        return a.type == WHEN_BOOLEAN && a.integer != 0;
    case NODE_COMPARE:
        a = value_of(&node->a, lookup, context);
        b = value_of(&node->b, lookup, context);
        return compare(&a, &b, node->comparison);
    }
    return false;
}

bool when_holds(const struct when *when, when_lookup lookup, void *context)
{
    return holds(when, when->root, lookup, context);
}
