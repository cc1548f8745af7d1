"""The spans of what happens in a run: its nodes, and the calls of models and tools in them.

LangChain says when each of these begins and ends. A call's span is ended with the node's, with the
time at which the call ended: only the node says why an answer was none, or how a tool failed.
"""

from dataclasses import dataclass, field
from time import time_ns
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from typing_extensions import override

from everturn.server.observe.otel.content import asked, result_of, said
from everturn.server.observe.otel.genai import answer_of, of_request, of_response
from everturn.server.observe.otel.verdicts import failed_model, failed_tools

_NODE_TAG = "graph:step:"
"""LangGraph tags the run of a node with its super-step."""
_CANCELLED = "cancelled"


@dataclass(slots=True)
class _Call:
    """A call of a model or of a tool, by a node."""

    span: Span
    tool_call_id: str | None = None
    """None for a model's."""
    started: int = field(default_factory=time_ns)
    first_token: int | None = None
    ended: int | None = None
    error: str | None = None

    def end(self) -> None:
        if self.ended is None:  # its task was cancelled, which LangChain does not say
            self.error = self.error or _CANCELLED
        _end(self.span, self.error, self.ended)


@dataclass(slots=True)
class _Place:
    """A node, or the run itself; what is neither belongs to where it is called."""

    span: Span
    context: Context
    calls: list[_Call] = field(default_factory=list)


class CallSpans(BaseCallbackHandler):
    """Makes the spans of one run. It is called in the run's event loop and in tools' threads."""

    run_inline = True  # LangChain would start a thread for each event

    def __init__(self, tracer: Tracer, run: Span, thread_id: str | None, *, content: bool) -> None:
        """Make spans below that of the run; with `content` they hold what is asked and answered."""
        self._tracer = tracer
        self._run = _Place(run, set_span_in_context(run, Context()))
        self._all = {"gen_ai.conversation.id": thread_id} if thread_id else {}
        self._content = content
        self._places: dict[UUID, _Place] = {}
        self._nodes: dict[UUID, _Place] = {}
        self._calls: dict[UUID, _Call] = {}

    def close(self) -> None:
        """End what has not ended: it was cancelled with the run."""
        for place in self._nodes.values():
            self._leave(place, _CANCELLED)
        for call in self._run.calls:
            call.end()

    @override
    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        above, about = self._place(parent_run_id), metadata or {}
        if not any(tag.startswith(_NODE_TAG) for tag in tags or ()):
            self._places[run_id] = above
            return
        node, step = str(about.get("langgraph_node")), about.get("langgraph_step", 0)
        attributes = {**self._all, "everturn.node": node, "everturn.step": step}
        span = self._tracer.start_span(f"node {node}", above.context, attributes=attributes)
        place = _Place(span, set_span_in_context(span, above.context))
        self._places[run_id] = self._nodes[run_id] = place

    @override
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._places.pop(run_id, None)
        if place := self._nodes.pop(run_id, None):
            self._judge(place, outputs)
            self._leave(place, failed_model(outputs))

    @override
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._places.pop(run_id, None)
        if place := self._nodes.pop(run_id, None):
            paused = isinstance(error, GraphBubbleUp)  # it asks a person, or another graph goes on
            self._leave(place, None if paused else type(error).__name__)

    @override
    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        about = of_request(metadata or {}, kwargs.get("invocation_params") or {})
        if self._content:
            about |= asked(messages[0])
        self._run.span.set_attribute("gen_ai.provider.name", about["gen_ai.provider.name"])
        name = f"chat {about['gen_ai.request.model']}"
        self._begin(run_id, parent_run_id, name, SpanKind.CLIENT, about)

    @override
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        about = of_request(metadata or {}, kwargs.get("invocation_params") or {})
        about["gen_ai.operation.name"] = "text_completion"
        name = f"text_completion {about['gen_ai.request.model']}"
        self._begin(run_id, parent_run_id, name, SpanKind.CLIENT, about)

    @override
    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        call = self._calls.get(run_id)
        if call is not None and call.first_token is None:
            call.first_token = time_ns()

    @override
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        if call := self._finish(run_id):
            streamed = call.first_token and (call.first_token - call.started) / 1e9
            message = answer_of(response)
            call.span.set_attributes(of_response(message, streamed))
            if self._content and message is not None:
                call.span.set_attributes(said(message))

    @override
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._finish(run_id, type(error).__name__)

    @override
    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        tool, call_id = str((serialized or {}).get("name")), kwargs.get("tool_call_id")
        about = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.type": "function",
            **({"gen_ai.tool.call.id": call_id} if call_id else {}),
            **({"gen_ai.tool.call.arguments": input_str} if self._content else {}),
        }
        name = f"execute_tool {tool}"
        self._begin(run_id, parent_run_id, name, SpanKind.INTERNAL, about, call_id or "")

    @override
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        call = self._finish(run_id)
        if call and self._content:
            call.span.set_attribute("gen_ai.tool.call.result", result_of(output))

    @override
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        paused = isinstance(error, GraphBubbleUp)
        self._finish(run_id, None if paused else type(error).__name__)

    def _place(self, run_id: UUID | None) -> _Place:
        return self._places.get(run_id, self._run) if run_id else self._run

    def _begin(
        self,
        run_id: UUID,
        parent: UUID | None,
        name: str,
        kind: SpanKind,
        about: dict[str, Any],
        tool_call_id: str | None = None,
    ) -> None:
        place = self._place(parent)
        span = self._tracer.start_span(name, place.context, kind, {**self._all, **about})
        call = _Call(span, tool_call_id)
        place.calls.append(call)
        self._calls[run_id] = call
        # What a tool asks a model is below the tool, and ended with the same node.
        self._places[run_id] = _Place(span, set_span_in_context(span, place.context), place.calls)

    def _finish(self, run_id: UUID, error: str | None = None) -> _Call | None:
        self._places.pop(run_id, None)
        call = self._calls.pop(run_id, None)
        if call is not None:
            call.ended, call.error = time_ns(), error
        return call

    def _judge(self, place: _Place, outputs: Any) -> None:
        """Take from what a node returns how its calls have failed."""
        failures = failed_tools(outputs)
        for call in place.calls:
            if call.tool_call_id is not None:
                call.error = failures.get(call.tool_call_id, call.error)
        models = [call for call in place.calls if call.tool_call_id is None]
        if models and (failure := failed_model(outputs)):
            models[-1].error = failure

    def _leave(self, place: _Place, error: str | None) -> None:
        for call in place.calls:
            call.end()
        _end(place.span, error)


def _end(span: Span, error: str | None, at: int | None = None) -> None:
    if error:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end(at)
