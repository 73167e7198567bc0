"""Names and labels of metrics: base units, bounded labels, and endings that say what a family is."""

from __future__ import annotations

import re

# What would grow without bound, or name people.
LABELS_FORBIDDEN = {"execution", "execution_id", "user", "message", "error", "object", "key", "pid", "request", "session"}
UNITS_FORBIDDEN = ("_ms", "_us", "_ns", "_minutes", "_hours", "_kb", "_mb", "_kib", "_mib", "_percent")

_ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]*) \| (.*) \|$", re.MULTILINE)


def violations(page: str) -> list[str]:
    """What is wrong with the rows of docs/METRICS.md."""
    wrong = []
    seen: dict[str, str] = {}
    for name, kind, labels, help_text in _ROW.findall(page):
        if not re.fullmatch(r"(engenho|process)_[a-z0-9_]+", name):
            wrong.append(f"{name}: starts with engenho_, in lower case")
        if kind == "counter" and not name.endswith(("_total", "_sum", "_count")):
            wrong.append(f"{name}: a counter ends with _total")
        if kind != "counter" and name.endswith("_total"):
            wrong.append(f"{name}: only counters end with _total")
        if kind == "histogram" and not name.endswith(("_seconds", "_bytes", "_ratio", "_size")):
            wrong.append(f"{name}: a histogram ends with its unit")
        base = name.removesuffix("_total").removesuffix("_sum")
        if base.endswith(UNITS_FORBIDDEN):
            wrong.append(f"{name}: units are seconds, bytes and ratios")
        for label in filter(None, (label.strip() for label in labels.split(","))):
            if label in LABELS_FORBIDDEN:
                wrong.append(f"{name}: nothing bounds the label {label}")
        if not re.search(r"\.$", help_text):
            wrong.append(f"{name}: its help is a sentence")
        if seen.setdefault(name, kind + labels) != kind + labels:
            wrong.append(f"{name}: two services have it with different types or labels")
    return wrong
