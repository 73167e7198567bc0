"""How long files and functions are, how complex, and how many parameters they take."""

from __future__ import annotations

import pathlib
import re
import subprocess

from tests.lint.source import code_of

FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 70
COMPLEXITY_MAX = 15  # pmccabe's modified count: a switch is one decision
PARAMETERS_MAX = 5  # without what goes with another one: a callback's context, a format's "...", the `struct error *` by rule

_UNCOUNTED = re.compile(r"(|void|\.\.\.|void \*(context|opaque)|struct error \*\w+)$")
_MARK = re.compile(r"/\* long: \S.*\*/")


def files(root: pathlib.Path, paths: list[pathlib.Path]) -> list[str]:
    """Files that are too long."""
    wrong = []
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > FILE_LINES_MAX:
            wrong.append(f"{path.relative_to(root)}: {len(lines)} lines, {FILE_LINES_MAX} at most")
    return wrong


def _parameters(code: list[str], first: int) -> int:
    """How many parameters the function has that starts on line `first` (from 1)."""
    text = "\n".join(code[first - 1 : first + 20])
    head = text[: text.find("{")] if "{" in text else text
    close = head.rfind(")")
    depth, at = 0, close
    while at >= 0:
        depth += {")": 1, "(": -1}.get(head[at], 0)
        if depth == 0:
            break
        at -= 1
    inside = " ".join(head[at + 1 : close].split())
    parameters, depth = [""], 0
    for letter in inside:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parameters.append("")
        else:
            parameters[-1] += letter
    return sum(not _UNCOUNTED.match(parameter.strip()) for parameter in parameters)


def _is_marked(lines: list[str], first: int) -> bool:
    """Whether the line before the function says why it is past a limit."""
    at = first - 2
    return at >= 0 and bool(_MARK.search(lines[at]))


def functions(root: pathlib.Path, paths: list[pathlib.Path]) -> list[str]:
    """Functions past a limit that no `/* long: why */` on the line before allows."""
    sources = [path for path in paths if path.suffix == ".c"]
    if not sources:
        return []
    run = subprocess.run(["pmccabe", *map(str, sources)], capture_output=True, text=True, check=True)
    wrong = []
    texts: dict[str, tuple[list[str], list[str]]] = {}
    for row in run.stdout.splitlines():
        fields = row.split("\t")
        complexity, length, place = int(fields[0]), int(fields[4]), fields[5]
        match = re.match(r"(.*)\((\d+)\): (.*)", place)
        assert match, row
        name, first, function = match.group(1), int(match.group(2)), match.group(3)
        if name not in texts:
            text = pathlib.Path(name).read_text(encoding="utf-8")
            texts[name] = (text.splitlines(), code_of(text).splitlines())
        lines, code = texts[name]
        if _is_marked(lines, first):
            continue
        where = f"{pathlib.Path(name).relative_to(root)}:{first}: {function}"
        if length > FUNCTION_LINES_MAX:
            wrong.append(f"{where} has {length} lines, {FUNCTION_LINES_MAX} at most")
        if complexity > COMPLEXITY_MAX:
            wrong.append(f"{where} has complexity {complexity}, {COMPLEXITY_MAX} at most")
        parameters = _parameters(code, first)
        if parameters > PARAMETERS_MAX:
            wrong.append(f"{where} has {parameters} parameters, {PARAMETERS_MAX} at most")
    return wrong
