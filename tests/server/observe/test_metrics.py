"""What `/metrics` has: as the docs say, with few values of each label."""

import re

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from everturn.server.observe.figures.declare import MAX_NAMES
from everturn.server.observe.metrics import Metrics
from tests.service import ROOT

ROW = re.compile(r"^\| `(\w+)` \| ((?:`\w+` ?)*)\| [^|]+\|$", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    section = (ROOT / "docs" / "observability.md").read_text().partition("## Metrics")[2]
    table = section.partition("| figure |")[2].partition("\n\n")[0]
    return {name: set(re.findall(r"\w+", labels)) for name, labels in ROW.findall(table)}


def declared(metrics: Metrics) -> dict[str, set[str]]:
    collectors = metrics.figures.registry._collector_to_names
    named: dict[str, set[str]] = {}
    for each in collectors:
        (family,) = each.collect()
        name = family.name + ("_total" if family.type == "counter" else "")
        named[name] = set(each._labelnames)  # type: ignore[attr-defined]
    return named


def test_the_docs_have_each_figure_and_its_labels() -> None:
    assert documented() == declared(Metrics())


def test_names_that_others_choose_are_bounded() -> None:
    metrics = Metrics()
    for number in range(3 * MAX_NAMES):
        metrics.tool_called(f"tool {number}", f"status {number}", 0.1)
        metrics.guard_verdict(f"guard {number}", "refused")
        metrics.models.say_circuits({f"model {number}": "open"})
    metrics.tool_cache_used("x" * 1000, "hit")
    assert Metrics().models.names("half a letter: \ud83d") == "other"  # no UTF-8 has it
    own = (metrics.models.names("none"), metrics.models.names("offline"))
    assert own == ("none", "offline")  # which an alert looks for
    metrics.tool_called("tool 0", "success", 0.1)
    found = text_string_to_metric_families(generate_latest(metrics.figures.registry).decode())
    values: dict[tuple[str, str], set[str]] = {}
    for family in found:
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault((family.name, label), set()).add(value)
    assert max(len(each) for each in values.values()) <= MAX_NAMES + 2
    assert "success" in values["tool_calls", "status"]
    assert "other" in values["tool_calls", "tool"]
    assert values["tool_cache", "tool"] == {"other"}


def test_a_circuit_that_closes_is_said_to_be_closed() -> None:
    metrics = Metrics()
    metrics.models.say_circuits({"a": "open", "b": "half_open"})
    metrics.models.say_circuits({"b": "doubtful"})
    text = generate_latest(metrics.figures.registry).decode()
    assert 'everturn_breaker_state{model="a"} 0.0' in text
    assert 'everturn_breaker_state{model="b"} 2.0' in text


def test_a_figure_that_cannot_be_measured_costs_no_scrape() -> None:
    def fails() -> None:
        raise RuntimeError

    metrics = Metrics()
    metrics.on_look(fails)
    assert b"everturn_resident_bytes" in metrics.exposition()


def test_a_series_is_said_once_and_not_when_it_began() -> None:
    metrics = Metrics()
    metrics.tool_called("look_up", "success", 0.1)
    metrics.checkpoint_called("put", 0.1, 10, 20)
    assert b"_created" not in metrics.exposition()
