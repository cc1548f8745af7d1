"""The traces of a service that runs as a process, as a collector gets them."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import KEY, FakeProvider, Fault, Reply, Request, ToolCall
from tests.server.observe.collector import ERROR, Collector, Span, tree
from tests.service import Client, Process, process

pytestmark = pytest.mark.clock

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
SUM = ToolCall("calculator", {"expression": "6 * 7"})
CLIENT, SERVER, INTERNAL = 3, 2, 1


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, provider: FakeProvider
) -> Iterator[Process]:
    data_dir = tmp_path_factory.mktemp("traces") / "data"
    with process(data_dir, **asking(provider), **collector.environment) as started:
        started.url()
        yield started


@pytest.fixture
def client(running: Process) -> Iterator[Client]:
    with Client(running.url_found) as asking_it:
        yield asking_it


def asking(provider: FakeProvider) -> dict[str, str]:
    models = {"EVERTURN_MODELS": "model-a,model-b", "EVERTURN_OFFLINE_ANSWER": "false"}
    return {**models, "EVERTURN_BASE_URL": provider.url, "OPENAI_API_KEY": KEY}


def one(spans: list[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


def turn(client: Client, collector: Collector, **body: Any) -> list[Span]:
    """Have a turn, and return the spans of its trace."""
    response = client.post("/api/chat/message", json={"message": "What is 6 * 7?", **body})
    assert response.status_code == 200, response.text
    run_id = response.json()["run_id"]
    spans = collector.trace_with("invoke_agent agent", everturn__run__id=run_id)
    trace_id = spans[0].trace_id
    return collector.whole("POST /api/chat/message", trace_id)


def test_a_turn_that_fell_back_and_called_a_tool(
    client: Client, collector: Collector, provider: FakeProvider
) -> None:
    provider.script("model-a", Fault(429, retry_after=1))
    provider.script("model-b", Reply(tool_calls=[SUM]), "The hushed answer is 42.")
    answer = client.post(
        "/api/chat/message", json={"message": "A hushed question?"}, headers=TRACEPARENT
    ).json()

    spans = collector.whole("POST /api/chat/message", TRACE)
    assert tree(spans) == {
        "POST /api/chat/message": {
            "invoke_agent agent": {
                "node model": {"chat model-a": {}},
                "node fallback_router": {},
                "node model #2": {"chat model-b": {}},
                "node tools": {"execute_tool calculator": {}},
                "node model #3": {"chat model-b": {}},
            }
        }
    }
    request, run = one(spans, "POST /api/chat/message"), one(spans, "invoke_agent agent")
    assert (request.parent_id, request.kind) == (PARENT, SERVER)
    assert request.attributes["http.route"] == "/api/chat/message"
    assert request.attributes["http.response.status_code"] == 200
    assert request.resource["service.name"] == "everturn"
    asked = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "agent",
        "gen_ai.conversation.id": answer["session_id"],
        "everturn.run.id": answer["run_id"],
        "everturn.run.status": "success",
        "everturn.route.mode": "fallback",
        "gen_ai.usage.input_tokens": answer["usage"]["input_tokens"],
        "gen_ai.usage.output_tokens": answer["usage"]["output_tokens"],
    }
    assert asked.items() <= run.attributes.items()

    failed = one(spans, "chat model-a")
    assert (failed.kind, failed.status) == (CLIENT, ERROR)
    assert failed.attributes["error.type"] == "rate_limited"
    answered = next(span for span in spans if span.name == "chat model-b")
    assert answered.status != ERROR
    assert answered.attributes["gen_ai.request.model"] == "model-b"
    assert answered.attributes["gen_ai.response.model"] == "model-b"
    assert answered.attributes["gen_ai.provider.name"] == "openai"
    assert answered.attributes["gen_ai.response.finish_reasons"] == ["tool_calls"]
    assert answered.attributes["gen_ai.usage.output_tokens"] > 0
    tool = one(spans, "execute_tool calculator")
    assert tool.kind == INTERNAL
    assert tool.attributes["gen_ai.tool.name"] == "calculator"
    assert tool.attributes["gen_ai.tool.call.id"]

    said = b"".join(collector.bodies)
    assert b"hushed" not in said
    assert b"6 * 7" not in said
    assert KEY.encode() not in said


def test_an_error_is_named_and_its_text_is_not_told(
    client: Client, collector: Collector, provider: FakeProvider, running: Process
) -> None:
    provider.script("model-a", Fault(500, message="A hushed refusal."))
    provider.script("model-b", Fault(500, message="A hushed refusal."))
    trace_id = TRACE.replace("0af", "0bf")
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    body = {"message": "?", "agent": "simple", "model": "model-b"}
    answer = client.post("/api/chat/message", json=body, headers=headers)
    assert answer.status_code == 503, answer.text

    spans = collector.whole("POST /api/chat/message", trace_id)
    run = one(spans, "invoke_agent simple")
    assert run.status == ERROR
    assert run.attributes["everturn.run.status"] == "error"
    assert run.attributes["error.type"] == "ProviderFailed"
    assert run.attributes["everturn.error_id"] == answer.json()["error_id"]
    request = one(spans, "POST /api/chat/message")
    assert (request.status, request.attributes["error.type"]) == (ERROR, "503")
    line = running.says("run_failed", run.attributes["everturn.error_id"])
    assert trace_id in line
    assert not any(span.events for span in spans)
    assert b"hushed" not in b"".join(collector.bodies)


def test_a_request_that_fails(client: Client, collector: Collector) -> None:
    assert client.get("/threads/nothing").status_code == 422
    request = one(collector.trace_with("GET /threads/{thread_id}"), "GET /threads/{thread_id}")
    assert request.status != ERROR  # the client's fault is no error of the server
    assert request.attributes["http.response.status_code"] == 422
    assert request.attributes["url.path"] == "/threads/nothing"


def test_a_tool_that_fails(client: Client, collector: Collector, provider: FakeProvider) -> None:
    call = ToolCall("current_time", {"zone": "Nowhere/Hushed"})
    provider.script("model-a", Reply(tool_calls=[call]), "That cannot be.")
    spans = turn(client, collector, model="model-a")
    tool = one(spans, "execute_tool current_time")
    assert (tool.status, tool.attributes["error.type"]) == (ERROR, "tool_error")
    assert one(spans, "invoke_agent agent").status != ERROR


def test_a_streamed_answer_says_when_it_began(
    client: Client, collector: Collector, provider: FakeProvider
) -> None:
    provider.script("model-a", "One two three.")
    body = {
        "input": {"messages": "Count."},
        "context": {"model": "model-a"},
        "stream_mode": ["messages"],
    }
    events = client.events("/stream", body)
    assert events
    spans = collector.trace_with("POST /stream")
    call = one(spans, "chat model-a")
    assert call.attributes["gen_ai.request.stream"] is True
    assert call.attributes["gen_ai.response.time_to_first_chunk"] > 0


def test_a_run_of_the_background_is_in_the_trace_of_its_request(
    client: Client, collector: Collector, provider: FakeProvider
) -> None:
    provider.script("model-a", "Later.")
    thread = client.post("/threads", json={}).json()["thread_id"]
    trace_id = TRACE.replace("0af", "0cf")
    body = {"assistant_id": "agent", "input": {"messages": "Hello"}}
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    posted = client.post(f"/threads/{thread}/runs", json=body, headers=headers).json()
    client.get(f"/threads/{thread}/runs/{posted['run_id']}/join")
    spans = collector.whole("invoke_agent agent", trace_id)
    request = one(spans, "POST /threads/{thread_id}/runs")
    assert one(spans, "invoke_agent agent").parent_id == request.span_id


def test_probes_are_not_traced(client: Client, collector: Collector) -> None:
    for path in ("/ok", "/ready", "/metrics", "/info"):
        assert client.get(path).status_code == 200
    collector.trace_with("GET /info")
    assert not {"GET /ok", "GET /ready", "GET /metrics"} & {span.name for span in collector.spans}


def test_another_process_goes_on_in_the_same_trace(
    data_dir: Path, collector: Collector, fake_provider: FakeProvider
) -> None:
    asked = threading.Event()

    def silence(request: Request) -> Fault:
        asked.set()
        return Fault("silent")

    fake_provider.script("model-a", silence)
    trace_id = TRACE.replace("0af", "0df")
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    body = {"assistant_id": "agent", "input": {"messages": "Hello"}, "if_not_exists": "create"}
    environment = {**asking(fake_provider), **collector.environment}
    path = "/threads/00000000-0000-4000-8000-000000000001/runs"
    with process(data_dir, **environment) as first, Client(first.url()) as client:
        assert client.post(path, json=body, headers=headers).status_code == 200
        assert asked.wait(120)
        collector.whole("POST /threads/{thread_id}/runs", trace_id)
        first.kill()
    fake_provider.script("model-a", "Here.")
    with process(data_dir, **environment) as second:
        second.url()
        spans = collector.whole("invoke_agent agent", trace_id)
    run = one(spans, "invoke_agent agent")
    request = one(spans, "POST /threads/{thread_id}/runs")
    assert run.attributes["everturn.run.attempt"] == 2
    assert run.parent_id == request.span_id
    instance = "service.instance.id"
    assert run.resource[instance] != request.resource[instance]


def test_the_last_spans_are_sent_at_the_end_and_hold_words_where_that_is_asked_for(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[SUM]), "It is 42.")
    with Collector() as collector:
        environment = {
            **asking(fake_provider),
            **collector.environment,
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
            "OTEL_SERVICE_NAME": "my-agent",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        }
        with process(data_dir, **environment) as running, Client(running.url()) as client:
            client.ask("What is it?")
            assert not collector.spans
            assert running.stop() == 0
        spans = collector.spans
    calls = [span for span in spans if span.name == "chat model-a"]
    assert "What is it?" in calls[0].attributes["gen_ai.input.messages"]
    assert '"name": "calculator"' in calls[0].attributes["gen_ai.output.messages"]
    assert "It is 42." in calls[1].attributes["gen_ai.output.messages"]
    tool = one(spans, "execute_tool calculator")
    assert "6 * 7" in tool.attributes["gen_ai.tool.call.arguments"]
    assert "42" in tool.attributes["gen_ai.tool.call.result"]
    assert tool.resource["service.name"] == "my-agent"


def test_a_collector_that_does_not_answer_costs_no_answer(data_dir: Path) -> None:
    with (
        Collector(answers=False) as collector,
        process(data_dir, **collector.environment) as running,
        Client(running.url()) as client,
    ):
        client.ask("What is 1 + 1?")
        assert running.stop() == 0
        running.says("spans_lost")
