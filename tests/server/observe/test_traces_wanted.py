"""When traces are made: OpenTelemetry's own variables say so, and the extra is there."""

import sys

import pytest
import structlog

from everturn.server.observe.traces import open_traces, traces_wanted

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_a_collector_must_be_named(environment: dict[str, str], wanted: bool) -> None:
    assert traces_wanted(environment) is wanted


async def test_none_are_made_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.delitem(sys.modules, "everturn.server.observe.otel.export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with structlog.testing.capture_logs() as lines:
        async with open_traces() as traces:
            assert traces is None
    assert [line["event"] for line in lines] == ["no_traces"]
    assert "everturn[otel]" in lines[0]["advice"]
