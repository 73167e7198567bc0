#!/usr/bin/env python3
"""Write the table of values in helm/engenho/README.md from values.yaml and values.schema.json.

usage: helm/readme.py [--check]

With --check nothing is written, and a README that is out of step is exit code 1.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import yaml

CHART = pathlib.Path(__file__).resolve().parent / "engenho"
START, END = "<!-- values: made by helm/readme.py -->\n", "<!-- end of values -->\n"


def rows(schema: dict[str, Any], values: dict[str, Any], definitions: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, leaf in schema["properties"].items():
        at = f"{path}{key}"
        value = values.get(key)
        if at == "worker.defaults":
            yield from rows(definitions["worker"], value or {}, definitions, "worker.defaults.")
        elif "properties" in leaf:
            yield from rows(leaf, value or {}, definitions, f"{at}.")
        else:
            shown = json.dumps(value).replace("|", "\\|") if key in values else ""
            choice = f" (one of {', '.join(json.dumps(c) for c in leaf['enum'])})" if "enum" in leaf else ""
            yield f"| `{at}` | {f'`{shown}`' if shown else ''} | {leaf['description'].replace('|', chr(92) + '|')}{choice} |\n"


def main() -> int:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    readme = CHART / "README.md"
    text = readme.read_text()
    before, rest = text.split(START)
    after = rest.split(END)[1]
    table = "| key | default | meaning |\n|---|---|---|\n" + "".join(rows(schema, values, schema["definitions"]))
    made = before + START + "\n" + table + "\n" + END + after
    if "--check" in sys.argv:
        if made != text:
            print("helm/engenho/README.md is out of step with values.yaml or values.schema.json: run helm/readme.py")
            return 1
        return 0
    readme.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
