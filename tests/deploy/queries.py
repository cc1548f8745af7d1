"""What dashboards and rules ask of Prometheus, and which metrics and labels that names."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import yaml

from tests.service import ROOT

FOLDER = ROOT / "deploy" / "observability"
DASHBOARDS = sorted((FOLDER / "grafana").glob("*.json"))
RULES = sorted((FOLDER / "rules").glob("*.yaml"))

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_LABELS_OF_RESULT = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
_NAME = re.compile(r"(?<![\w.$])[A-Za-z_:][\w:]*(?!\s*\()(?![\w:])")
_WORDS = {"and", "or", "unless", "bool", "offset"}
_ANY_OF = re.compile(r'\{__name__=~"([\w|]+)"')


class Query(NamedTuple):
    """An expression of PromQL."""

    where: str
    expr: str


class Named(NamedTuple):
    """What an expression names."""

    metrics: Mapping[str, set[str]]
    """Each metric, and the labels by which it is selected."""
    labels: set[str]
    """Those by which results are grouped or joined."""


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def of_dashboards() -> list[Query]:
    """The queries of all panels, of annotations and of variables."""
    found = []
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        for panel in panels(board):
            where = f"{file.stem}: {panel['title']}"
            found += [Query(where, target["expr"]) for target in panel["targets"]]
        found += [
            Query(f"{file.stem}: {each['name']}", each["expr"])
            for each in board["annotations"]["list"]
        ]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                selector, _, label = variable["definition"].partition("(")[2].rpartition(", ")
                expr = f"count by ({label.strip(')')}) ({selector})"
                found.append(Query(f"{file.stem}: ${variable['name']}", expr))
    return found


@cache
def rules() -> list[dict[str, Any]]:
    """All rules, as they are written."""
    groups = (group for file in RULES for group in yaml.safe_load(file.read_text())["groups"])
    return [rule for group in groups for rule in group["rules"]]


def of_rules() -> list[Query]:
    """The expressions of all rules."""
    return [Query(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


def named_in(expr: str) -> Named:
    """Find the names in an expression."""
    metrics: dict[str, set[str]] = {}
    if several := _ANY_OF.search(expr):
        metrics |= {name: set() for name in several[1].split("|")}
        expr = expr.replace("{__name__", f"{next(iter(metrics))}{{__name__")
    expr = _RANGE.sub("", _TEXT.sub('""', expr))
    grouped = {label for some in _LABELS_OF_RESULT.findall(expr) for label in _labels(some)}
    expr = _LABELS_OF_RESULT.sub("", expr)
    for name, selected in _SELECTOR.findall(expr):
        metrics.setdefault(name, set()).update(_labels(selected) - {"__name__"})
    for name in _bare(_SELECTOR.sub("", expr)):
        metrics.setdefault(name, set())
    return Named(metrics, grouped)


def _labels(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _bare(expr: str) -> Iterator[str]:
    return (name for name in _NAME.findall(expr) if name not in _WORDS)
