"""The chart rendered by the real helm, for the tests of chart, rules and dashboards."""

from __future__ import annotations

import functools
import json
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import yaml

from tests.harness.process import BIN, DEPS, TOP

CHART = TOP / "helm/engenho"
HELM = DEPS / "bin/helm"
KUBECONFORM = DEPS / "bin/kubeconform"
MINIMAL = CHART / "ci/minimal-values.yaml"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
KUBERNETES = ("1.25.0", "1.30.0", "1.34.0")

Document = dict[str, Any]


@functools.cache  # the chart does not change while the tests run, and the same words are asked often
def _helm(words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HELM), *words], capture_output=True, text=True, timeout=60)


def helm(*words: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    assert HELM.exists(), f"no {HELM}: run `cmake/deps/deps.sh test`"
    return _helm(tuple(map(str, words)))


def template(*values: pathlib.Path | str, release: str = "plant", kubernetes: str = "1.34.0",
             **changes: Any) -> subprocess.CompletedProcess[str]:
    """helm template with values files, and `changes` as --set-json KEY=VALUE (__ for a dot)."""
    words: list[str | pathlib.Path] = ["template", release, CHART, "--namespace", "engenho", "--kube-version", kubernetes]
    for file in values:
        words += ["-f", file]
    for key, value in changes.items():
        words += ["--set-json", f"{key.replace('__', '.')}={json.dumps(value)}"]
    return helm(*words)


def notes(folder: pathlib.Path, *words: str) -> str:
    """What an installation of the minimal values and `words` says. helm shows NOTES.txt only with a cluster, so a copy of
    the chart in `folder` renders it as a template."""
    copy = folder / "chart"
    if not copy.exists():
        shutil.copytree(CHART, copy)
        text = (copy / "templates/NOTES.txt").read_text()
        (copy / "templates/notes.yaml").write_text(
            '{{- define "notes" -}}' + text + '{{- end -}}notes: {{ include "notes" . | quote }}')
    done = helm("template", "plant", copy, "-f", MINIMAL, "--namespace", "engenho", "--show-only", "templates/notes.yaml", *words)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["notes"]


def render(*values: pathlib.Path | str, **changes: Any) -> list[Document]:
    """The objects that these values give; fails with helm's sentence."""
    done = template(*(values or (MINIMAL,)), **changes)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def refusal(*values: pathlib.Path | str, **changes: Any) -> str:
    """What helm says about values that must be refused."""
    done = template(*(values or (MINIMAL,)), **changes)
    assert done.returncode != 0, f"accepted: {changes}"
    return done.stderr


def one(documents: list[Document], kind: str, name: str) -> Document:
    """The object of this kind whose name ends with `name`."""
    found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"].endswith(name)]
    assert len(found) == 1, f"{kind} *{name}: {[d['metadata']['name'] for d in documents if d['kind'] == kind]}"
    return found[0]


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Each pod that these objects make: its name, and the template (or the pod itself)."""
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield name, document
        elif "template" in document.get("spec", {}):
            yield name, document["spec"]["template"]


def containers(pod: Document) -> list[Document]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]


def arguments(pod: Document) -> dict[str, str]:
    """The --option=value words of a pod's first container."""
    return dict(word.removeprefix("--").split("=", 1) for word in pod["spec"]["containers"][0]["args"])


def exported() -> set[str]:
    """The names of all families that our programs have, by their own --metrics-markdown."""
    names: set[str] = set()
    for program in ("producer", "licensor", "worker"):
        done = subprocess.run([str(BIN / f"engenho-{program}"), "--metrics-markdown"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"engenho-{program} --metrics-markdown: {done.stderr}"
        names |= set(re.findall(r"`(engenho_\w+|process_\w+)`", done.stdout))
    return names


# Kubernetes' schemas, offline.

_LOCAL = re.compile(r'"#/(?:\$defs|definitions)/([^"]+)"')


def _kubernetes_schemas(version: str, kinds: set[str], into: pathlib.Path) -> None:
    """Each kind's strict schema with all it refers to in one file, as kubeconform wants it.

    They come from the Python package kubernetes-validate, where all definitions of a version are one file of 1.5 MB.
    """
    import kubernetes_validate

    folder = pathlib.Path(kubernetes_validate.__file__).parent / f"kubernetes-json-schema/v{version}-local-strict"
    whole = json.loads((folder / "_definitions.json").read_text())
    where = "$defs" if "$defs" in whole else "definitions"
    definitions = {name: re.sub(r'"[^"]*_definitions\.json#', '"#', json.dumps(text)) for name, text in whole[where].items()}
    for kind in kinds:
        file = folder / f"{kind}.json"
        if not file.exists():
            continue
        top = re.sub(r'"[^"]*_definitions\.json#', '"#', file.read_text())
        needed: dict[str, Any] = {}
        todo = _LOCAL.findall(top)
        while todo:
            name = todo.pop()
            if name not in needed:
                needed[name] = json.loads(definitions[name])
                todo += _LOCAL.findall(definitions[name])
        schema = json.loads(top)
        schema[where] = needed
        (into / file.name).write_text(json.dumps(schema))


def kind_of(document: Document) -> str:
    """deployment-apps-v1: how kubeconform names the schema of an object."""
    group, _, version = document["apiVersion"].rpartition("/")
    return "-".join(filter(None, [document["kind"].lower(), group.split(".")[0], version]))


def conform(documents: list[Document], version: str, folder: pathlib.Path) -> str:
    """What kubeconform finds wrong with these objects; "" when nothing. A kind without a schema is wrong."""
    import tests.integration.chart_crds as crds

    schemas = folder / version
    if not schemas.exists():
        schemas.mkdir(parents=True)
    missing = {kind_of(document) for document in documents} - {file.stem for file in schemas.glob("*.json")}
    _kubernetes_schemas(version, missing, schemas)
    for name, schema in crds.SCHEMAS.items():
        (schemas / f"{name}.json").write_text(json.dumps(schema))
    done = subprocess.run(
        [str(KUBECONFORM), "-strict", "-output", "text", "-kubernetes-version", version,
         "-schema-location", f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"],
        input="\n---\n".join(map(json.dumps, documents)), capture_output=True, text=True, timeout=60)
    return (done.stdout + done.stderr).strip() if done.returncode else ""
