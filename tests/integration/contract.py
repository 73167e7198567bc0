"""docs/openapi.yaml against what the server answers: every answer of a watched API is checked, and what was never called is known."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import requests
import yaml

from tests.harness.process import TOP

_KINDS = ("application", "production", "agent", "connection", "package")


def _resolved(node: Any, document: dict[str, Any]) -> Any:
    """The document's part with every reference replaced by what it names."""
    if isinstance(node, dict):
        if "$ref" in node:
            target: Any = document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            return _resolved(target, document)
        return {key: _resolved(value, document) for key, value in node.items()}
    if isinstance(node, list):
        return [_resolved(item, document) for item in node]
    return node


class Contract:
    """The operations of docs/openapi.yaml, and which of them were called."""

    def __init__(self) -> None:
        document = yaml.safe_load((TOP / "docs/openapi.yaml").read_text())
        self.paths: dict[str, Any] = _resolved(document["paths"], document)
        self.operations = {
            (path, method) for path, item in self.paths.items() for method in item if method != "parameters"
        }
        self.called: set[tuple[str, str]] = set()

    def _find(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        """The most specific path that fits: the one with the fewest parameters."""
        fitting = []
        for template, item in self.paths.items():
            pattern = re.escape(template).replace(r"\{kind\}", "(" + "|".join(_KINDS) + ")")
            pattern = re.sub(r"\\{execution\\}", ".+", pattern)
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", pattern)
            if re.fullmatch(pattern, path) and method.lower() in item:
                fitting.append((template.count("{"), template))
        return (min(fitting)[1], self.paths[min(fitting)[1]][method.lower()]) if fitting else None

    def check(self, method: str, url: str, answer: requests.Response) -> None:
        """The answer's code is described, and its body is as its schema says. What is not described may only be refused."""
        found = self._find(method, urlsplit(url).path)
        if found is None:
            assert answer.status_code in (404, 405), f"{method} {url} answers {answer.status_code} and is not described"
            return
        path, operation = found
        code = str(answer.status_code)
        if code != "401":
            assert code in operation["responses"], f"{method} {path} answers {code}, which is not described: {answer.text}"
            self.called.add((path, method.lower()))
            schema = operation["responses"][code].get("content", {}).get("application/json", {}).get("schema")
            if schema is not None:
                jsonschema.validate(answer.json(), schema)
