/*
 * `engenho completion bash`: a script made of the table of commands. Names come from the server
 * while one completes. Process: engenho.
 */
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands_local.h"

/* Names of a kind, one a line; nothing when the server does not answer: a completion never
 * complains. */
static int print_names(const struct client_options *options, const char *kind)
{
    struct client *client = client_new(options, NULL);
    struct client_path path;
    struct client_answer answer;
    client_path_init(&path, "/v1");
    client_path_piece(&path, strcmp(kind, "package") == 0 ? "packages" : kind);
    struct http_request request = {
        .method = "GET", .path = client_path_text(&path), .limit_ms = 2000};
    if (client && client_call(client, &request, &answer, NULL) == 0) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(answer.json, "items"), i, item)
        {
            const char *name = json_string_value(json_object_get(item, "name"));
            printf("%s\n", name ? name : "");
        }
    }
    if (client) {
        client_answer_release(&answer);
    }
    client_path_release(&path);
    client_free(client);
    return EXIT_DONE;
}

static void print_options(const struct command *command)
{
    for (size_t i = 0; i < command->option_count; i++) {
        printf(" --%s", command->options[i].name);
    }
    printf(" --help");
}

/* The words that may come first, each once. */
static void print_first_words(void)
{
    const char *last = "";
    size_t last_length = 0;
    for (size_t i = 0; i < commands_count; i++) {
        size_t length = strcspn(commands[i].name, " ");
        if (length != last_length || strncmp(commands[i].name, last, length) != 0) {
            printf(" %.*s", (int)length, commands[i].name);
        }
        last = commands[i].name;
        last_length = length;
    }
}

/* The second words of those that share the first with commands[from]. */
static void print_words_behind(size_t from, const char *between)
{
    size_t first = strcspn(commands[from].name, " ");
    for (size_t i = from;
         i < commands_count && strncmp(commands[i].name, commands[from].name, first + 1) == 0;
         i++) {
        printf("%s%s", i > from ? between : "", commands[i].name + first + 1);
    }
}

static bool is_first_word(const char *name, const char *of, size_t bytes)
{
    return strlen(name) == bytes && strncmp(name, of, bytes) == 0;
}

static void print_second_words(void)
{
    printf("    case \"${words[1]}\" in\n");
    for (size_t i = 0; i < commands_count; i++) {
        const char *space = strchr(commands[i].name, ' ');
        size_t first = strcspn(commands[i].name, " ");
        if (!space || (i > 0 && strncmp(commands[i - 1].name, commands[i].name, first + 1) == 0)) {
            continue;
        }
        printf("    %.*s)\n        if [ \"$cword\" -eq 2 ]; then COMPREPLY=($(compgen -W \"",
               (int)first, commands[i].name);
        print_words_behind(i, " ");
        /* `seats` alone is a command too: its options may come where the second word would. */
        printf("\" -- \"$cur\"))%s; fi\n        case \"${words[2]}\" in ",
               i > 0 && is_first_word(commands[i - 1].name, commands[i].name, first)
                   ? "; [[ \"$cur\" == -* ]] || return"
                   : "; return");
        print_words_behind(i, "|");
        printf(") command=\"${words[1]} ${words[2]}\" ;; esac ;;\n");
    }
    printf("    esac\n");
}

/* What the words after a command are: see struct command. */
static void print_operands(const struct command *command)
{
    const char *what = command->complete;
    if (!what) {
        printf("names=\"\"");
    } else if (strcmp(what, "file") == 0) {
        printf("COMPREPLY=($(compgen -f -- \"$cur\")); return");
    } else if (strcmp(what, "kind") == 0) {
        printf(
            "if [ \"$cword\" -eq 2 ]; then names=\"applications productions agents connections packages\"; else "
            "names=$(\"$1\" completion names \"${words[2]%%s}\" 2>/dev/null); fi");
    } else if (strcmp(what, "bash") == 0) {
        printf("names=\"bash\"");
    } else if (strcmp(what, "master") == 0) {
        printf("names=\"demo licensed\"");
    } else {
        printf("names=$(\"$1\" completion names %s 2>/dev/null)", what);
    }
}

static int print_bash(void)
{
    printf(
        "# Completion of engenho for bash: source it, or put it where bash-completion looks.\n"
        "_engenho() {\n"
        "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" cword=$COMP_CWORD names=\"\" options=\"\" command\n"
        "    local -a words=(\"${COMP_WORDS[@]}\")\n"
        "    local IFS=$' \\t\\n'\n"
        "    COMPREPLY=()\n"
        "    case \"${words[cword-1]}\" in\n"
        "    -o|--output) COMPREPLY=($(compgen -W \"table wide json yaml csv\" -- \"$cur\")); return ;;\n"
        "    -f|--file|--token-file|--data|--licence-dir|--kafka-home|--key|--out) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
        "    esac\n"
        "    if [ \"$cword\" -eq 1 ]; then COMPREPLY=($(compgen -W \"");
    print_first_words();
    printf(" --help --version\" -- \"$cur\")); return; fi\n    command=\"${words[1]}\"\n");
    print_second_words();
    printf("    case \"$command\" in\n");
    for (size_t i = 0; i < commands_count; i++) {
        printf("    \"%s\") options=\"", commands[i].name);
        print_options(&commands[i]);
        printf("\"\n        if [[ \"$cur\" != -* ]]; then ");
        print_operands(&commands[i]);
        printf("; fi ;;\n");
    }
    printf(
        "    esac\n"
        "    if [[ \"$cur\" == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")); return; fi\n"
        "    local IFS=$'\\n'\n"
        "    COMPREPLY=($(compgen -W \"${names// /$'\\n'}\" -- \"$cur\"))\n"
        "}\n"
        "complete -F _engenho engenho\n");
    return EXIT_DONE;
}

int command_completion(const struct call *call)
{
    if (strcmp(call->operands[0], "bash") == 0 && call->operand_count == 1) {
        return print_bash();
    }
    if (strcmp(call->operands[0], "names") == 0 && call->operand_count == 2) {
        return print_names(call->config, call->operands[1]);
    }
    (void)command_fail(call, "it writes completion for bash: engenho completion bash");
    return EXIT_USAGE;
}
