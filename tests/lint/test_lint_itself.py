"""Each rule finds what was put there for it to find, and leaves alone what is right."""

from __future__ import annotations

import pathlib

import pytest

from tests.lint import compiles, generate_docs, layers, metric_names, sizes, source, words


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> "Tree":
    return Tree(tmp_path)


class Tree:
    """A small repository to break rules in."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root

    def add(self, name: str, text: str) -> pathlib.Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def files(self) -> list[pathlib.Path]:
        return source.c_files(self.root)


def test_a_service_that_includes_another_is_found(tree: Tree) -> None:
    tree.add("worker/lane.c", '#include "producer/schedule.h"\n#include "worker/lane.h"\n#include "kafka/txn.h"\n')
    tree.add("common/buf.c", '#include "kafka/txn.h"\n')
    tree.add("licensor/main.c", '#include "kafka/config.h"\n/* #include "producer/x.h" */\n')
    assert layers.folders(tree.root, tree.files) == [
        "common/buf.c: common must not include kafka/txn.h",
        "licensor/main.c: licensor must not include kafka/config.h",
        "worker/lane.c: worker must not include producer/schedule.h",
    ]


def test_a_core_that_knows_the_world_is_found_through_a_header_too(tree: Tree) -> None:
    tree.add("worker/far.h", '#include <event2/event.h>\n')
    tree.add("worker/near.h", '#include "worker/far.h"\n')
    core = tree.add("worker/lane.c", '#include "worker/near.h"\n#include "common/log.h"\n')
    found = layers.cores(tree.root, [core])
    assert "worker/lane.c: a core must not include event2/event.h (through worker/far.h)" in found
    assert "worker/lane.c: a core must not include common/log.h (through worker/lane.c)" in found
    pure = tree.add("worker/pure.c", '#include <string.h>\n#include "common/buf.h"\n')
    assert layers.cores(tree.root, [pure]) == []


def test_a_core_that_asks_the_clock_is_found(tree: Tree) -> None:
    core = tree.add(
        "worker/lane.c",
        '/* time( in a comment */\nstatic const char *words = "time(";\nint x = state.time(3) + at->time(4) + my_time(5);\n'
        "int now = time(NULL);\n",
    )
    assert layers.cores(tree.root, [core]) == [
        "worker/lane.c:4: a core must not call time(): it is given what it needs"
    ]


def test_an_edge_that_meets_two_libraries_is_found(tree: Tree) -> None:
    tree.add("producer/both.c", "#include <curl/curl.h>\n#include <jansson.h>\n")
    tree.add("worker/redis.c", "#include <hiredis/hiredis.h>\n")
    tree.add("worker/kafka.c", "#include <event2/event.h>\n#include <librdkafka/rdkafka.h>\n")
    tree.add("common/python.c", "#include <Python.h>\n")
    assert layers.families(tree.root, tree.files) == [
        "common/python.c: python is for worker/interpreter only",
        "common/python.c: common knows no python",
        "producer/both.c: meets curl and jansson; an edge meets one library",
        "worker/redis.c: hiredis is for licensor only",
    ]


def function(body: str, parameters: str = "void", before: str = "") -> str:
    return f"{before}int f({parameters})\n{{\n{body}    return 0;\n}}\n"


def test_long_files_and_functions_are_found(tree: Tree) -> None:
    tree.add("worker/long.c", function("    x();\n" * 80))
    tree.add("worker/short.c", function("    x();\n" * 60))
    tree.add("worker/marked.c", function("    x();\n" * 80, before="/* long: a table of calls */\n"))
    tree.add("worker/unmarked.c", function("    x();\n" * 80, before="/* long: */\n"))
    tree.add("worker/file.h", "\n" * 701)
    found = sizes.functions(tree.root, tree.files)
    assert [line.split(" has ")[0] for line in found] == ["worker/long.c:1: f", "worker/unmarked.c:2: f"]
    assert sizes.files(tree.root, tree.files) == ["worker/file.h: 701 lines, 700 at most"]


def test_complex_functions_are_found(tree: Tree) -> None:
    tree.add("worker/complex.c", function("".join(f"    if (x({n})) {{\n        y();\n    }}\n" for n in range(15))))
    cases = "".join(f"    case {n}:\n        return y();\n" for n in range(15))
    tree.add("worker/switch.c", function("    switch (x()) {\n" + cases + "    }\n"))
    assert sizes.functions(tree.root, tree.files) == ["worker/complex.c:1: f has complexity 16, 15 at most"]


def test_many_parameters_are_found(tree: Tree) -> None:
    tree.add("worker/six.c", function("", "int a, int b, int c,\n      int d, int e, int (*g)(int, int)"))
    tree.add("worker/five.c", function("", "int a, int b, int c, int d, int (*g)(int, int)"))
    tree.add("worker/error.c", function("", "int a, int b, int c, int d, int e, struct error *error"))
    tree.add("worker/callback.c", function("", "int a, int b, int c, int d, int (*done)(int, int), void *context"))
    tree.add("worker/format.c", function("", "int a, int b, int c, int d, const char *format, ..."))
    assert sizes.functions(tree.root, tree.files) == ["worker/six.c:1: f has 6 parameters, 5 at most"]


@pytest.mark.parametrize("name", words.BANNED)
def test_each_banned_function_is_found(tree: Tree, name: str) -> None:
    tree.add("worker/a.c", f'/* {name}(x) */\nchar *text = "{name}(x)";\nint y = my_{name}(x) + s->{name}(x);\nint z = {name} (x);\n')
    assert words.banned(tree.root, tree.files) == [f"worker/a.c:4: {name}() is banned"]


def test_line_comments_are_found_and_addresses_are_not(tree: Tree) -> None:
    tree.add("worker/a.c", 'char *a = "http://x"; /* http://y */\nint b; // no\n')
    assert words.comments(tree.root, tree.files) == ["worker/a.c:2: a // comment; write /* */"]


@pytest.mark.parametrize(
    "text",
    ["/* TO" "DO */", "# FIX" "ME: later", "X" "XX", "cd /work" "/main", "/home" "/ana/engenho", "https://pypi" ".org/simple"],
)
def test_words_that_must_not_stand_are_found(tree: Tree, text: str) -> None:
    tree.add("docs/page.md", f"first\n{text}\n")
    assert len(words.words(tree.root, list(source.text_files(tree.root)))) == 1


def test_words_that_may_stand_are_left_alone(tree: Tree) -> None:
    tree.add("docs/page.md", "$HOME/work/x ${DIR}/work/x network/root/x /workers a TO" "DOS list\n")
    assert words.words(tree.root, list(source.text_files(tree.root))) == []


def test_files_that_begin_badly_are_found(tree: Tree) -> None:
    tree.add("worker/lane.h", "#ifndef LANE_H\n#define LANE_H\n#endif\n")
    tree.add("worker/lane.c", '#include <stdio.h>\n#include "worker/lane.h"\n')
    tree.add("worker/main.c", "int main(void);\n")
    tree.add("worker/lane_util.c", "/* x */\n")
    assert words.beginnings(tree.root, tree.files) == [
        "worker/lane.c: its own header comes first",
        "worker/lane.h: a header starts with a comment: what it is for, what it is not",
        "worker/lane.h: its guard is not ENGENHO_WORKER_LANE_H",
        "worker/lane_util.c: a file has one noun, and this name says none",
        "worker/main.c: a file starts with a comment: what it is for, what it is not",
    ]


def test_a_header_that_needs_another_before_it_is_found(tree: Tree) -> None:
    bad = tree.add("worker/bad.h", "uint8_t read_it(void);\n")
    good = tree.add("worker/good.h", "#include <stdint.h>\nuint8_t read_it(void);\n")
    found = compiles.alone(tree.root, [bad, good], [])
    assert len(found) == 1 and found[0].startswith("worker/bad.h: ") and "uint8_t" in found[0]


def test_a_header_without_a_guard_is_found(tree: Tree) -> None:
    bad = tree.add("worker/bad.h", "struct lane {\n    int x;\n};\n")
    assert len(compiles.alone(tree.root, [bad], [])) == 1


def test_c_in_another_format_is_found(tree: Tree) -> None:
    tree.add(".clang-format", (source.ROOT / ".clang-format").read_text())
    tree.add("worker/bad.c", "int f(void) {\n  return 0; }\n")
    tree.add("worker/good.c", "int f(void)\n{\n    return 0;\n}\n")
    found = compiles.unformatted(tree.root, tree.files)
    assert len(found) == 1 and found[0].startswith("worker/bad.c: ")


def test_a_page_that_is_not_in_step_is_found(tree: Tree) -> None:
    tree.add("METRICS.md", "# Metrics\nold\n")
    assert generate_docs.differences(tree.root, {"METRICS.md": "# Metrics\nold\n"}) == []
    assert "+new" in generate_docs.differences(tree.root, {"METRICS.md": "# Metrics\nnew\n"})
    assert generate_docs.differences(tree.root, {"CONFIGURATION.md": "x\n"}) != []


def test_rows_of_every_service_are_said_once() -> None:
    page = generate_docs.metrics(["## a\n| `x` | 1 |\n| `own` |\n", "## b\n| `x` | 1 |\n"])
    assert page.count("| `x` | 1 |") == 1 and "| `own` |" in page
    assert page.index("## Every service") < page.index("| `x` | 1 |")


def test_metrics_with_bad_names_are_found() -> None:
    right = "| `engenho_lag_seconds` | gauge | group, topic | Seconds of lag. |\n| `engenho_runs_total` | counter |  | Runs. |\n"
    assert metric_names.violations(right) == []
    wrong = (
        "| `lag` | gauge |  | Lag. |\n"
        "| `engenho_runs` | counter |  | Runs. |\n"
        "| `engenho_now_total` | gauge |  | Now. |\n"
        "| `engenho_wait_ms` | histogram |  | Waits. |\n"
        "| `engenho_seats` | gauge | user | Seats. |\n"
        "| `engenho_words` | gauge |  | no sentence |\n"
        "| `engenho_words` | gauge | agent | Other labels. |\n"
    )
    assert [line.split(":")[0] for line in metric_names.violations(wrong)] == [
        "lag",
        "engenho_runs",
        "engenho_now_total",
        "engenho_wait_ms",
        "engenho_wait_ms",
        "engenho_seats",
        "engenho_words",
        "engenho_words",
    ]
