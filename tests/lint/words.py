"""Words and calls that must not stand anywhere, and how files begin."""

from __future__ import annotations

import pathlib
import re

from tests.lint.source import code_of, includes, line_comments

# Unbounded, not safe with threads, or worse than what stands beside them. common/banned.h stops those that no field is named by.
BANNED = (
    "alloca asctime atof atoi atol atoll ctime gets gmtime localtime mktemp popen putenv rand setenv sprintf srand "
    "strcat strcpy strncpy strncat strtok system tempnam tmpnam unsetenv vsprintf"
).split()
_BANNED = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")

# file: {function: why}
BANNED_EXCEPTIONS: dict[str, dict[str, str]] = {}

# Written in pieces, so that this file does not hold what it looks for.
_OPEN_QUESTION = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
_MACHINE_PATH = re.compile(r"(?<![\w.$}\])/-])/(work|home/\w+|root|Users)/[\w.]")
_HOSTS = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org",
            "python" + "hosted.org",
            "registry." + "npmjs.org",
            "proxy.golang" + ".org",
            "sum.golang" + ".org",
            "repo1.maven" + ".org",
            "repo.maven.apache" + ".org",
            "crates" + ".io",
            "--index" + "-url",
            "extra-index" + "-url",
        )
    )
)
# file: what it may hold: why
WORD_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("tests/fresh", "/root" + "/e"): "the home of root within the root that it makes",
}

_VAGUE = re.compile(r"(^|_)(util|utils|misc|helper|helpers|manager)(_|\.)")


def banned(root: pathlib.Path, paths: list[pathlib.Path]) -> list[str]:
    """Calls of banned functions in C."""
    wrong = []
    for path in paths:
        name = str(path.relative_to(root))
        code = code_of(path.read_text(encoding="utf-8"))
        for number, line in enumerate(code.splitlines(), 1):
            for match in _BANNED.finditer(line):
                if match.group(1) not in BANNED_EXCEPTIONS.get(name, {}):
                    wrong.append(f"{name}:{number}: {match.group(1)}() is banned")
    return wrong


def comments(root: pathlib.Path, paths: list[pathlib.Path]) -> list[str]:
    """// comments in C."""
    return [
        f"{path.relative_to(root)}:{number}: a // comment; write /* */"
        for path in paths
        for number in line_comments(path.read_text(encoding="utf-8"))
    ]


def words(root: pathlib.Path, texts: list[tuple[pathlib.Path, str]]) -> list[str]:
    """Open questions, paths of one machine, and hosts of package registries, in any file."""
    wrong = []
    for path, text in texts:
        name = str(path.relative_to(root))
        for number, line in enumerate(text.splitlines(), 1):
            for what, pattern in (
                ("an open question belongs in docs/decisions", _OPEN_QUESTION),
                ("a path of one machine", _MACHINE_PATH),
                ("a host of a package registry", _HOSTS),
            ):
                match = pattern.search(line)
                if match and (name, match.group()) not in WORD_EXCEPTIONS:
                    wrong.append(f"{name}:{number}: '{match.group()}': {what}")
    return wrong


def beginnings(root: pathlib.Path, paths: list[pathlib.Path]) -> list[str]:
    """
    A header starts with its comment and has a guard of its own; a source includes its own header first, and has a comment
    unless its header or, for a test, its name says what it is for.
    """
    wrong = []
    for path in paths:
        relative = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        if _VAGUE.search(path.name):
            wrong.append(f"{relative}: a file has one noun, and this name says none")
        if path.suffix == ".h":
            if not text.startswith("/*"):
                wrong.append(f"{relative}: a header starts with a comment: what it is for, what it is not")
            guard = "ENGENHO_" + re.sub(r"[^A-Z0-9]", "_", str(relative).upper())
            if f"#ifndef {guard}\n#define {guard}\n" not in text:
                wrong.append(f"{relative}: its guard is not {guard}")
            continue
        own = relative.with_suffix(".h")
        included = includes(text)
        # Python.h defines what the C library's headers look at, so it alone may come before.
        first = [include for include in included if include != "Python.h"][:1]
        if (root / own).is_file() and first != [str(own)]:
            wrong.append(f"{relative}: its own header comes first")
        if not text.startswith("/*") and not (root / own).is_file() and not path.name.startswith("test_"):
            wrong.append(f"{relative}: a file starts with a comment: what it is for, what it is not")
    return wrong
