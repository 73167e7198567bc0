/*
 * `engenho`, the command line: finds the command in the table, parses its options, runs it.
 * Process: engenho.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "common/memory.h"

int command_fail(const struct call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "engenho %s: ", call->command->name);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    return EXIT_FAILED;
}

static void print_help(FILE *out)
{
    const char *group = "";
    (void)fprintf(out, "Engenho runs the Python that keeps a plant's numbers true.\n\n"
                       "Usage: engenho COMMAND [OPTIONS] [WORDS]\n");
    for (size_t i = 0; i < commands_count; i++) {
        char usage[96];
        const struct command *command = &commands[i];
        if (strcmp(group, command->group) != 0) {
            group = command->group;
            (void)fprintf(out, "\n%s\n", group);
        }
        (void)snprintf(usage, sizeof(usage), "%s%s%s", command->name, command->operands ? " " : "",
                       command->operands ? command->operands : "");
        (void)fprintf(out, "  %-34s  %s\n", usage, command->summary);
    }
    (void)fprintf(
        out,
        "\n`engenho COMMAND --help` lists a command's options. The server is found in --server, in\n"
        "ENGENHO_SERVER, or where `engenho up` runs. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.\n");
}

/* How many words `name` has when argv begins with them, else 0. */
static int words_of(const char *name, int argc, char **argv)
{
    int word = 1;
    for (;; word++) {
        size_t length = strcspn(name, " ");
        if (word >= argc || strlen(argv[word]) != length ||
            strncmp(name, argv[word], length) != 0) {
            return 0;
        }
        if (!name[length]) {
            return word;
        }
        name += length + 1;
    }
}

/* The longest name that fits: `seats` is a command, and so is `seats explain`. */
static const struct command *find(int argc, char **argv, int *ret_words)
{
    const struct command *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < commands_count; i++) {
        int words = words_of(commands[i].name, argc, argv);
        if (words > *ret_words) {
            *ret_words = words;
            found = &commands[i];
        }
    }
    return found;
}

/* `engenho dead-letters`: a command of which more is needed. */
static int answer_unknown(int argc, char **argv)
{
    size_t length = strlen(argv[1]);
    const char *before = "";
    bool found = false;
    for (size_t i = 0; i < commands_count; i++) {
        if (strncmp(commands[i].name, argv[1], length) == 0 && commands[i].name[length] == ' ') {
            (void)fprintf(stderr, "%s%s", found ? before : "engenho: ", found ? "" : argv[1]);
            (void)fprintf(stderr, "%s%s",
                          found ? "" : " needs one more word: ", commands[i].name + length + 1);
            before = ", ";
            found = true;
        }
    }
    if (found) {
        (void)fprintf(stderr, "%s\n", argc > 2 ? " (and no other)" : "");
    } else {
        (void)fprintf(stderr, "engenho: there is no command '%s': see engenho --help\n", argv[1]);
    }
    return EXIT_USAGE;
}

static int check_operands(const struct call *call)
{
    const struct command *command = call->command;
    if (call->operand_count < command->operands_min) {
        (void)fprintf(stderr, "engenho %s: it takes %s: see engenho %s --help\n", command->name,
                      command->operands, command->name);
        return EXIT_USAGE;
    }
    if (call->operand_count > command->operands_max) {
        (void)fprintf(stderr, "engenho %s: '%s' is one word too many: it takes %s\n", command->name,
                      call->operands[command->operands_max],
                      command->operands ? command->operands : "options only");
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct error error = {.text = ""};
    char program[64];
    (void)snprintf(program, sizeof(program), "engenho %s", command->name);
    struct option_table table = {.program = program,
                                 .summary = command->summary,
                                 .operands = command->operands,
                                 .options = command->options,
                                 .count = command->option_count};
    struct call call = {.command = command, .config = memory_new(1, command->config_bytes + 1)};
    int operand = 0, code = EXIT_DONE;
    int failed =
        arguments_init(&arguments, command->options, command->option_count, argc, argv, &error);
    enum options_result result = failed ? OPTIONS_WRONG
                                        : options_parse(&table, arguments.argc, arguments.argv,
                                                        call.config, &operand, &error);
    if (result == OPTIONS_WRONG) {
        (void)fprintf(stderr, "%s: %s\n", program, error.text);
        code = EXIT_USAGE;
    } else if (arguments.set_count > COMMAND_SETS_MAX) {
        (void)fprintf(stderr, "%s: more than %d --set\n", program, COMMAND_SETS_MAX);
        code = EXIT_USAGE;
    } else if (result == OPTIONS_RUN) {
        call.operands = arguments.argv + operand;
        call.operand_count = (size_t)(arguments.argc - operand);
        call.set_count = arguments.set_count;
        memcpy(call.sets, arguments.sets, arguments.set_count * sizeof(*call.sets));
        code = check_operands(&call);
        code = code ? code : command->run(&call);
    }
    arguments_release(&arguments);
    free(call.config);
    return code;
}

static int print_markdown(void)
{
    for (size_t i = 0; i < commands_count; i++) {
        char program[64];
        (void)snprintf(program, sizeof(program), "engenho %s", commands[i].name);
        struct option_table table = {.program = program,
                                     .summary = commands[i].summary,
                                     .operands = commands[i].operands,
                                     .options = commands[i].options,
                                     .count = commands[i].option_count};
        options_print_markdown(&table, stdout);
    }
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    int words = 0;
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("engenho %s\n", ENGENHO_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--help-markdown") == 0) {
        return print_markdown();
    }
    const struct command *command = find(argc, argv, &words);
    return command ? run(command, argc - words, argv + words) : answer_unknown(argc, argv);
}
