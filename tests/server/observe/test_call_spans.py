"""The spans of any graph: what they are called, how they lie, and how they end."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from everturn.server.observe.otel.traces import Traces


class Recorded:
    """Runs graphs under a trace of their own, and has the spans by their names."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = Traces(provider.get_tracer("test"))

    async def run(self, graph: Any, given: Any, config: Mapping[str, Any] | None = None) -> Any:
        with self.traces.run("mine", None, {}, None) as span:
            return await graph.ainvoke(given, {"callbacks": span.callbacks, **(config or {})})

    def __getitem__(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self._exporter.get_finished_spans() if span.name == name]
        return found

    @property
    def names(self) -> set[str]:
        return {span.name for span in self._exporter.get_finished_spans()}

    def parent(self, name: str) -> str | None:
        above = self[name].parent
        spans = self._exporter.get_finished_spans()
        by_id = {span.context.span_id: span.name for span in spans if span.context}
        return by_id.get(above.span_id) if above else None


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def error_of(span: ReadableSpan) -> tuple[StatusCode, object]:
    return span.status.status_code, (span.attributes or {}).get("error.type")


def graph_of(**nodes: Any) -> StateGraph[MessagesState]:
    """A graph with these nodes, one after the other."""
    builder = StateGraph(MessagesState)
    names = [*nodes]
    for name, node in nodes.items():
        builder.add_node(name, node)
    for first, second in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(first, second)
    return builder


async def test_calls_lie_in_their_nodes_and_a_subgraph_in_the_node_that_it_is(
    recorded: Recorded,
) -> None:
    @tool
    async def look_up(word: str) -> str:
        """Ask a model about a word."""
        model = GenericFakeChatModel(messages=iter([AIMessage("A word.")]))
        return (await model.ainvoke(word)).text

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await look_up.ainvoke({"word": "x"})]}

    inner = graph_of(ask=ask).compile()
    await recorded.run(graph_of(research=inner).compile(), {"messages": "Hello"})
    model = next(name for name in recorded.names if name.startswith("chat "))
    assert recorded.parent(model) == "execute_tool look_up"
    assert recorded.parent("execute_tool look_up") == "node ask"
    assert recorded.parent("node ask") == "node research"
    assert recorded.parent("node research") == "invoke_agent mine"
    assert recorded.parent("invoke_agent mine") is None
    assert len(recorded.names) == 5


async def test_what_a_node_raises_is_named(recorded: Recorded) -> None:
    @tool
    def broken() -> str:
        """Fail."""
        raise LookupError("hushed")

    async def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [broken.invoke({})]}

    with pytest.raises(LookupError):
        await recorded.run(graph_of(act=act).compile(), {"messages": "Hello"})
    assert error_of(recorded["execute_tool broken"]) == (StatusCode.ERROR, "LookupError")
    assert error_of(recorded["node act"]) == (StatusCode.ERROR, "LookupError")
    assert not recorded["node act"].events


async def test_a_node_that_waits_for_a_person_has_not_failed(recorded: Recorded) -> None:
    async def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [str(interrupt("May I?"))]}

    graph = graph_of(act=act).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": str(uuid4())}}
    await recorded.run(graph, {"messages": "Hello"}, config)
    assert error_of(recorded["node act"]) == (StatusCode.UNSET, None)
    assert await recorded.run(graph, Command(resume="yes"), config)


async def test_what_is_cancelled_ends_with_its_run(recorded: Recorded) -> None:
    begun = asyncio.Event()

    @tool
    async def endless() -> str:
        """Wait."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    async def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await endless.ainvoke({})]}

    running = asyncio.ensure_future(
        recorded.run(graph_of(act=act).compile(), {"messages": "Hello"})
    )
    await begun.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert error_of(recorded["execute_tool endless"]) == (StatusCode.ERROR, "cancelled")
    assert recorded["node act"].status.status_code == StatusCode.ERROR
    assert "invoke_agent mine" in recorded.names


async def test_a_run_that_is_not_sampled_is_not_looked_at() -> None:
    traces = Traces(TracerProvider(sampler=ALWAYS_OFF).get_tracer("test"))
    with traces.run("mine", None, {}, None) as span:
        assert span.callbacks == []


def test_a_run_without_a_request_begins_a_trace(recorded: Recorded) -> None:
    assert recorded.traces.here() is None
    with recorded.traces.run("mine", None, {}, "no traceparent"):
        assert recorded.traces.here()
    assert recorded.parent("invoke_agent mine") is None


async def test_spans_of_a_project_lie_below_the_run(recorded: Recorded) -> None:
    async def act(state: MessagesState) -> dict[str, Any]:
        trace_id = trace.get_current_span().get_span_context().trace_id
        return {"messages": [f"{trace_id:x}"]}

    done = await recorded.run(graph_of(act=act).compile(), {"messages": "Hello"})
    context = recorded["invoke_agent mine"].context
    assert context is not None
    assert done["messages"][-1].text == f"{context.trace_id:x}"
