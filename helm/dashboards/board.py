"""The words in which our Grafana dashboards are written: classic JSON model, one datasource variable, no inputs.

A dashboard is a title, variables and rows of panels; a panel is a title, a sentence, a unit and queries. Grafana's defaults
and the conventions that all boards share (refresh, tooltip, legend, datasource) are here and nowhere else.
"""

from __future__ import annotations

import dataclasses
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION = 39
WIDTH = 24

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


@dataclasses.dataclass(frozen=True)
class Query:
    """One PromQL expression; `legend` as Grafana writes it, {{label}}."""

    expr: str
    legend: str = ""
    instant: bool = False
    table: bool = False


@dataclasses.dataclass(frozen=True)
class Panel:
    title: str
    description: str
    kind: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 12
    height: int = 8
    steps: tuple[tuple[str, float | None], ...] = ((GREEN, None),)
    stacked: bool = False
    mappings: tuple[tuple[int, str, str], ...] = ()
    line_of: str = ""  # legend of a query that is drawn as a line over the stack
    transformations: tuple[dict[str, Any], ...] = ()
    decimals: int | None = None


def _target(query: Query, index: int) -> dict[str, Any]:
    return {
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "refId": chr(ord("A") + index),
        "instant": query.instant,
        "range": not query.instant,
        "format": "table" if query.table else "time_series",
        "editorMode": "code",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in panel.steps]},
        "color": {"mode": "thresholds" if panel.kind in ("stat", "state-timeline", "table") else "palette-classic"},
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.mappings:
        defaults["mappings"] = [{"type": "value", "options": {
            str(value): {"text": text, "color": color, "index": index}
            for index, (value, text, color) in enumerate(panel.mappings)}}]
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if panel.stacked else 8, "showPoints": "never",
            "spanNulls": False, "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
        }
    if panel.kind == "state-timeline":
        defaults["custom"] = {"fillOpacity": 80, "lineWidth": 0}
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
                "graphMode": "area", "textMode": "auto", "justifyMode": "auto", "orientation": "auto"}
    if panel.kind == "state-timeline":
        return {"showValue": "never", "rowHeight": 0.9, "mergeValues": True,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "single"}}
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}}
    if panel.kind == "histogram":
        return {"bucketOffset": 0, "combine": False, "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
    raise ValueError(f"{panel.title}: no options for a panel of kind {panel.kind}")


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    overrides = []
    if panel.line_of:
        overrides.append({"matcher": {"id": "byName", "options": panel.line_of}, "properties": [
            {"id": "custom.stacking", "value": {"mode": "none", "group": "line"}},
            {"id": "custom.fillOpacity", "value": 0}, {"id": "custom.lineWidth", "value": 2},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": RED}}]})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [_target(query, index) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": overrides},
        "options": _options(panel),
        **({"transformations": list(panel.transformations)} if panel.transformations else {}),
    }


def variable(name: str, metric: str, label: str = "", title: str = "") -> dict[str, Any]:
    """Values of a label, several or all; a label that is missing everywhere matches as well."""
    query = f"label_values({metric}, {label or name})"
    return {
        "name": name, "label": title or name, "type": "query", "datasource": DATASOURCE, "definition": query,
        "query": {"query": query, "refId": "Variable"}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "hide": 0, "options": [],
        "regex": "", "skipUrlSync": False,
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus", "regex": "", "refresh": 1,
            "current": {}, "hide": 0, "includeAll": False, "multi": False, "options": [], "skipUrlSync": False}


def dashboard(uid: str, title: str, description: str, variables: list[dict[str, Any]],
              rows: list[tuple[str, list[Panel]]], annotations: list[tuple[str, Query, str]]) -> dict[str, Any]:
    """The whole board. Panels of a row fill lines of 24 columns from the left."""
    panels: list[dict[str, Any]] = []
    y = 0
    for name, row in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": name, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        y, x, tallest = y + 1, 0, 0
        for panel in row:
            if x + panel.width > WIDTH:
                y, x, tallest = y + tallest, 0, 0
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "id": None, "uid": uid, "title": title, "description": description, "tags": ["engenho"], "version": 0,
        "schemaVersion": SCHEMA_VERSION, "editable": True, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": "now-3h", "to": "now"}, "timepicker": {}, "fiscalYearStartMonth": 0, "liveNow": False,
        "links": [{"title": "Engenho", "type": "dashboards", "tags": ["engenho"], "asDropdown": True, "includeVars": True,
                   "keepTime": True, "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}],
        "templating": {"list": [_datasource(), *variables]},
        "annotations": {"list": [
            {"name": name, "datasource": DATASOURCE, "enable": True, "hide": False, "iconColor": color, "expr": query.expr,
             "titleFormat": query.legend, "step": "60s"} for name, query, color in annotations]},
        "panels": panels,
    }
