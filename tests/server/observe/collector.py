"""A collector of OpenTelemetry, on loopback: takes spans over OTLP/HTTP as any collector does."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from typing_extensions import override

from tests.waiting import eventually_sync

ERROR = 2
"""The status of a span that failed."""


@dataclass(frozen=True)
class Span:
    """One span, as it was sent."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    status: int
    start: int
    end: int
    events: int
    resource: dict[str, Any] = field(repr=False)


class Collector:
    """Collects spans. Give its `environment` to the service."""

    def __init__(self, *, answers: bool = True) -> None:
        """Begin to listen; without `answers` whoever sends spans waits until the end."""
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self._ended = Event()
        wait = None if answers else self._ended
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._take, wait))
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self.environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",  # ms
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def trace_with(self, name: str, **attributes: Any) -> list[Span]:
        """Wait for a span of this name and these attributes; return all spans of its trace."""
        asked = {key.replace("__", "."): value for key, value in attributes.items()}

        def look() -> Span | None:
            alike = (span for span in self.spans if span.name == name)
            return next((s for s in alike if asked.items() <= s.attributes.items()), None)

        found = eventually_sync(look)
        assert found is not None
        return [span for span in self.spans if span.trace_id == found.trace_id]

    def whole(self, root: str, trace_id: str) -> list[Span]:
        """Wait for a span of this trace, which comes after those below it; return all spans."""

        def look() -> list[Span]:
            spans = [span for span in self.spans if span.trace_id == trace_id]
            return spans if root in {span.name for span in spans} else []

        return eventually_sync(look)

    def _take(self, body: bytes) -> None:
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for of_resource in request.resource_spans:
            resource = _plain(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [_span(span, resource) for span in of_scope.spans]


def tree(spans: list[Span], root: str = "") -> dict[str, Any]:
    """Return spans as names in names, each below its parent; those of one name get numbers."""
    there = {span.span_id for span in spans}
    of_root = [s for s in spans if s.parent_id == root or (not root and s.parent_id not in there)]
    found: dict[str, Any] = {}
    for span in sorted(of_root, key=lambda each: each.start):
        name, number = span.name, 2
        while name in found:
            name, number = f"{span.name} #{number}", number + 1
        found[name] = tree(spans, span.span_id)
    return found


def _span(span: Any, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_plain(span.attributes),
        status=span.status.code,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        events=len(span.events),
        resource=resource,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, str(kind))


def _handler(take: Callable[[bytes], None], wait: Event | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if wait is not None:
                wait.wait()
            take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
