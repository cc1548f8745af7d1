"""The spans of a request and of a run: what is in a run is in `calls`.

    request (from `traceparent`) -> run -> node -> model call, tool call

Names and attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and
https://github.com/open-telemetry/semantic-conventions-genai, v0.1.0. What has no name there begins
with `everturn.`. No text of a user, a model or an error is in them, see `content`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from everturn.server.observe.otel.calls import CallSpans
from everturn.server.observe.otel.content import captured

_W3C = TraceContextTextMapPropagator()


@dataclass(slots=True)
class RequestSpan:
    """The span of an HTTP request that is being answered."""

    span: Span

    def answered(self, status: int) -> None:
        """Take the status of the answer."""
        self.span.set_attribute("http.response.status_code", status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.failed(str(status))

    def failed(self, error: str) -> None:
        """Take the class of what it failed with."""
        _fail(self.span, error)

    def routed(self, method: str, route: str) -> None:
        """Take the route that has answered."""
        self.span.update_name(f"{method} {route}")
        self.span.set_attribute("http.route", route)


@dataclass(slots=True)
class RunSpan:
    """The span of a run that is under way."""

    span: Span
    callbacks: list[BaseCallbackHandler] = field(default_factory=list)
    """What the run's graph is run with, so that there are spans of its parts."""

    def end(self, attributes: Mapping[str, Any], error: str | None) -> None:
        """Say what the run came to; `error` is the class of what it failed with."""
        self.span.set_attributes({k: v for k, v in attributes.items() if v is not None})
        if error:
            _fail(self.span, error)


def _fail(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(Status(StatusCode.ERROR))


class Traces:
    """Makes spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._content = captured()

    @contextmanager
    def request(
        self, headers: Mapping[str, str], method: str, attributes: Mapping[str, Any]
    ) -> Iterator[RequestSpan]:
        """A span around an HTTP request, in the trace that its headers name."""
        parent = propagate.extract(headers)
        with self._current(method, SpanKind.SERVER, attributes, parent) as span:
            yield RequestSpan(span)

    @contextmanager
    def run(
        self,
        graph: str,
        thread_id: str | None,
        attributes: Mapping[str, Any],
        traceparent: str | None,
    ) -> Iterator[RunSpan]:
        """A span around a run, in the trace of the request that asked for it."""
        about = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": graph,
            **({"gen_ai.conversation.id": thread_id} if thread_id else {}),
            **attributes,
        }
        parent = _W3C.extract({"traceparent": traceparent} if traceparent else {}, Context())
        with self._current(f"invoke_agent {graph}", SpanKind.INTERNAL, about, parent) as span:
            if not span.is_recording():
                yield RunSpan(span)
                return
            calls = CallSpans(self._tracer, span, thread_id, content=self._content)
            try:
                yield RunSpan(span, [calls])
            finally:
                calls.close()

    def here(self) -> str | None:
        """Return the `traceparent` of the current span; None where there is none."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get("traceparent")

    @contextmanager
    def _current(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any], parent: Context
    ) -> Iterator[Span]:
        """A span that is the current one in the block; log lines name its trace."""
        span = self._tracer.start_span(name, parent, kind, dict(attributes))
        trace_id = f"{span.get_span_context().trace_id:032x}"
        with (
            # Not what is raised: its text may hold anything.
            use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False),
            bound_contextvars(trace_id=trace_id),
        ):
            yield span
