"""Dashboards and rules: what they ask for is there, and a real Prometheus answers it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from everturn.server.api.http.problems import KINDS
from everturn.server.app import AGENT_ERRORS
from everturn.server.observe.metrics import Metrics
from tests.deploy.busy_service import Busy, busy_service
from tests.deploy.prometheus import Prometheus, installed, scraping
from tests.deploy.queries import (
    DASHBOARDS,
    FOLDER,
    RULES,
    Query,
    named_in,
    of_dashboards,
    of_rules,
    panels,
    rules,
)
from tests.server.observe.test_metrics import declared, documented
from tests.service import ROOT
from tests.waiting import eventually_sync

METRICS = declared(Metrics())
OF_PROMETHEUS = {
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity", "job", "instance", "model"},
}
ON_EACH_TARGET = {"job", "instance"}
OURS_THOUGH_CLIENTS_ERRORS = {"StateUnreadable", "MemoryLost"}
"""Answered 409, and yet no fault of who asks."""
NOTHING_HAS_TO_BE_WRONG = {"operations: Alerts", "turns: Alerts"}
VALUES = {
    "$__rate_interval": "15s",
    "$__range": "1m",
    "$job": ".*",
    "$instance": ".*",
    "$model": ".*",
}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with busy_service(tmp_path_factory.mktemp("busy")) as running:
        session = running.client.post("/api/chat/session", json={}).json()["session_id"]
        running.ask(session)
        yield running


def families(text: str) -> set[str]:
    found = text_string_to_metric_families(text)
    return {each.name + ("_total" if each.type == "counter" else "") for each in found}


def labels_of(metric: str) -> set[str] | None:
    """The labels that a metric of a rule or a dashboard may have; None where there is none."""
    if metric in OF_PROMETHEUS:
        return OF_PROMETHEUS[metric]
    if metric in {rule.get("record") for rule in rules()}:
        return {"job"}
    known = METRICS
    if metric in known:
        return known[metric] | ON_EACH_TARGET
    of_histogram, _, part = metric.rpartition("_")
    if part in {"bucket", "count", "sum"} and of_histogram in known:
        return known[of_histogram] | ON_EACH_TARGET | ({"le"} if part == "bucket" else set())
    return None


def test_metrics_and_labels_are_there() -> None:
    for query in [*of_dashboards(), *of_rules()]:
        named = named_in(query.expr)
        assert named.metrics, query
        grouped_by = set[str]()
        for metric, selected in named.metrics.items():
            labels = labels_of(metric)
            assert labels is not None, (metric, query)
            assert selected <= labels, (metric, query)
            grouped_by |= labels
        assert named.labels <= grouped_by, query


def test_a_name_that_is_not_there_is_found() -> None:
    named = named_in('sum by (job) (rate(a_total{b=~"c{d}"}[5m])) / on (e) (f or 2 * g offset 1d)')
    assert named.metrics == {"a_total": {"b"}, "f": set(), "g": set()}
    assert named.labels == {"job", "e"}
    assert labels_of("a_total") is None


@pytest.mark.clock
def test_a_running_service_has_all_of_them_and_they_are_documented(busy: Busy) -> None:
    there = families(busy.metrics())
    assert there == set(documented())
    asked = {name for query in [*of_dashboards(), *of_rules()] for name in named_in(query.expr)[0]}
    recorded = {rule.get("record") for rule in rules()}
    of_service = asked - recorded - OF_PROMETHEUS.keys()
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in of_service} <= there


def test_no_metric_is_left_out_of_the_dashboards() -> None:
    shown = {name for query in of_dashboards() for name in named_in(query.expr).metrics}
    shown = {re.sub("_(bucket|count|sum)$", "", name) for name in shown}
    assert set(METRICS) <= shown


def test_only_the_faults_of_callers_are_left_out_of_the_promise() -> None:
    failed = dict(of_rules())["job:everturn_turns_failed:rate5m"]
    left_out = set(re.findall(r'error!~"([\w|]+)"', failed)[0].split("|"))
    kinds = {error.__name__: kind for error, kind in {**KINDS, **AGENT_ERRORS}.items()}
    assert all(kinds[name].status < 500 for name in left_out - {"InvalidAnswer"})
    assert not left_out & OURS_THOUGH_CLIENTS_ERRORS
    refused = re.compile(re.findall(r'type=~"([^"]+)"', failed)[0])
    errors = (ROOT / "docs" / "errors.md").read_text()
    types = re.findall(r"`([\w-]+)` \| (\d+) \|", errors)
    of_callers = {name for name, status in types if int(status) < 500}
    assert not any(map(refused.fullmatch, of_callers))
    ours = {name for name, status in types if int(status) >= 500}
    of_turns = {"invalid-api-key", "no-model-left", "provider-failed", "turn-timeout"}
    assert {name for name in ours if not refused.fullmatch(name)} == {*of_turns, "search-timeout"}


def test_dashboards_can_be_imported_anywhere() -> None:
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards) == 2
    assert len({board["title"] for board in boards}) == len(boards)
    source = {"type": "prometheus", "uid": "${datasource}"}
    for board in boards:
        assert "id" not in board  # Grafana gives it its own
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(titles)) == len(titles)
        variables = {each["name"]: each for each in board["templating"]["list"]}
        assert variables.keys() >= {"datasource", "job", "instance"}
        assert variables["datasource"]["type"] == "datasource"
        asked = [each for each in variables.values() if each["type"] == "query"]
        for each in [*panels(board), *board["annotations"]["list"], *asked]:
            assert each["datasource"] == source
        for panel in panels(board):
            assert all(target["datasource"] == source for target in panel["targets"])
            used = set(re.findall(r"\$(\w+)", json.dumps(panel["targets"])))
            assert used <= {*variables, "__rate_interval", "__range"}
        others = {each["uid"] for each in boards} - {board["uid"]}
        assert {link["url"].removeprefix("/d/") for link in board["links"]} == others


def test_panels_do_not_lie_on_each_other() -> None:
    for file in DASHBOARDS:
        taken = set[tuple[int, int]]()
        for panel in json.loads(file.read_text())["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            here = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not here & taken, panel["title"]
            taken |= here


def test_every_alert_says_what_to_do() -> None:
    said = (ROOT / "docs" / "slo.md").read_text()
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        name = rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["runbook"] == f"docs/slo.md#{name.lower()}"
        assert f'<a id="{name.lower()}"></a>`{name}`' in said
    assert set(re.findall(r"</a>`(Everturn\w+)`", said)) == {rule["alert"] for rule in alerts}


@pytest.mark.parametrize(
    "command",
    [
        ["check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES)],
        ["check", "config", str(FOLDER / "prometheus.yaml")],
        ["test", "rules", str(Path(__file__).with_name("alerts.yaml"))],
    ],
    ids=["rules", "config", "alerts"],
)
def test_promtool_finds_nothing_wrong(command: list[str]) -> None:
    done = subprocess.run(
        [installed("promtool"), *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.clock
def test_a_real_prometheus_answers_every_query(busy: Busy, tmp_path: Path) -> None:
    """`pytest -s` shows how many series each query has."""
    queries = [Query(where, in_values(expr)) for where, expr in [*of_dashboards(), *of_rules()]]
    may_be_empty = {rule["alert"] for rule in rules() if "alert" in rule} | NOTHING_HAS_TO_BE_WRONG
    series = dict.fromkeys(queries, 0)
    with scraping(tmp_path, busy.url, busy.monitoring) as prometheus, busy.under_load():

        def all_have_data() -> bool:
            for query in queries:
                series[query] = series[query] or len(prometheus.ask(query.expr))
            return all(count or query.where in may_be_empty for query, count in series.items())

        try:
            eventually_sync(all_have_data)
        finally:
            for query, count in series.items():
                print(f"{count:4d} series  {query.where}: {query.expr}")
        # More than one of a hundred turns fails.
        eventually_sync(lambda: "EverturnTurnsFailFast" in firing(prometheus))
        assert not {"EverturnAway", "EverturnRunsLost"} & firing(prometheus)


def firing(prometheus: Prometheus) -> set[str]:
    """The alerts that fire now."""
    alerts = prometheus.ask('ALERTS{alertstate="firing"}')
    return {each["metric"]["alertname"] for each in alerts}


def in_values(expr: str) -> str:
    for name, value in VALUES.items():
        expr = expr.replace(name, value)
    return expr
