"""The dashboards: made from one source, importable anywhere, and every query answered by a real Prometheus that scrapes our
real programs under a small load."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.process import TOP
from tests.integration.chart_tools import CHART, MINIMAL, exported, render

FILES = sorted((CHART / "files/dashboards").glob("*.json"))
BOARDS = {file.stem: json.loads(file.read_text()) for file in FILES}
LINKED_LABELS = {"cluster", "namespace"}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a query stands, and its text: of panels, annotations and variables."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield f"{board['title']}: {panel['title']} {target['refId']}", target["expr"]
    for annotation in board["annotations"]["list"]:
        yield f"{board['title']}: annotation {annotation['name']}", annotation["expr"]


def test_the_files_are_in_step_with_their_source() -> None:
    done = subprocess.run([sys.executable, "-B", str(TOP / "helm/dashboards/build.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(BOARDS) == {"lag", "licences"}


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
def test_board_imports_into_any_grafana(board: dict[str, Any]) -> None:
    text = json.dumps(board)
    assert "__inputs" not in text and "${DS_" not in text and "__elements" not in text
    assert board["id"] is None and board["version"] == 0
    assert 39 <= board["schemaVersion"] <= 41
    assert re.fullmatch(r"engenho-[a-z]+", board["uid"])
    assert board["tags"] == ["engenho"] and board["graphTooltip"] == 1 and board["refresh"] == "30s"
    uids = set(re.findall(r'"datasource": \{"type": "(\w+)", "uid": "([^"]+)"\}', text))
    assert uids == {("prometheus", "${datasource}")}
    assert text.count('"datasource": {') == len(re.findall(r'"datasource": \{"type": "prometheus"', text))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
def test_every_panel_says_what_it_shows(board: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers))
    titles = [panel["title"] for panel in panels(board)]
    assert len(titles) == len(set(titles))
    for panel in panels(board):
        assert panel["description"].endswith(".") and len(panel["description"]) > 15, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["type"] in ("stat", "timeseries", "state-timeline", "table", "histogram"), panel["title"]
        assert panel["targets"] and all(target["expr"] for target in panel["targets"]), panel["title"]
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["calcs"] == ["lastNotNull", "max"], panel["title"]
            assert all(target["legendFormat"] != "__auto" for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[(x, y)]}"
                taken[(x, y)] = panel["title"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
def test_variables_admit_everything_and_every_one_is_used(board: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables.pop("datasource")["type"] == "datasource"
    expressions = " ".join(expression for _, expression in queries(board))
    for name, variable in variables.items():
        assert variable["multi"] and variable["includeAll"] and variable["allValue"] == ".*", name
        assert f'=~"${name}"' in expressions, name
    used = set(re.findall(r"\$(\w+)", expressions)) - {"__rate_interval"}
    assert used == set(variables)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
def test_every_selector_may_be_narrowed_to_a_namespace(board: dict[str, Any]) -> None:
    for where, expression in queries(board):
        for metric, labels in re.findall(r"\b(engenho_\w+)(\{[^}]*\})?", expression):
            for label in LINKED_LABELS:
                assert f'{label}=~"${label}"' in labels, f"{where}: {metric}"
        for window in re.findall(r"\[([^\]]+)\]", expression):
            assert window in ("$__rate_interval", "1h"), where


def test_boards_show_only_metrics_that_a_program_has() -> None:
    names = exported()
    for board in BOARDS.values():
        for where, expression in queries(board):
            for metric in re.findall(r"\b(engenho_\w+)\{", expression):
                assert re.sub(r"_(bucket|sum|count)$", "", metric) in names or metric in names, f"{where}: {metric}"


def test_thresholds_of_the_boards_are_those_of_the_alerts() -> None:
    rules = (CHART / "files/rules/lag.yaml").read_text()
    behind = next(panel for panel in panels(BOARDS["lag"]) if panel["title"] == "Behind")
    for step in behind["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]:
        assert f"group:lag_seconds:max > {step['value']:g}" in rules


def test_the_chart_makes_one_small_config_map_for_each_board() -> None:
    maps = {d["metadata"]["name"]: d for d in render(MINIMAL) if d["kind"] == "ConfigMap"}
    assert set(maps) == {f"plant-engenho-dashboard-{name}" for name in BOARDS}
    for name, board in BOARDS.items():
        found = maps[f"plant-engenho-dashboard-{name}"]
        assert json.loads(found["data"][f"{name}.json"]) == board
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["metadata"]["annotations"]["grafana_folder"] == "Engenho"
        assert len(found["data"][f"{name}.json"]) < 200 * 1024
    assert not [d for d in render(MINIMAL, metrics__dashboards__enabled=False) if d["kind"] == "ConfigMap"]
