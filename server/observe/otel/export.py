"""Where spans go: over OTLP/HTTP to the collector that OpenTelemetry's own variables name."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from structlog import get_logger

from everturn import __version__
from everturn.server.observe.flush import flushed

log = get_logger(__name__)

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Export:
    """A provider of spans, and the thread that sends them.

    Sampling, limits, headers, batches and what else OpenTelemetry's variables say is the SDK's.
    """

    def __init__(self) -> None:
        said = next((os.environ[name] for name in _PROTOCOLS if os.environ.get(name)), "")
        if said not in {"", "http/protobuf"}:
            log.warning("otlp_protocol_not_spoken", protocol=said, used="http/protobuf")
        own = Resource({"service.name": "everturn", "service.version": __version__})
        resource = Resource.create().merge(own).merge(OTELResourceDetector().detect())
        self._exporter = OTLPSpanExporter()
        # Ended by `close`: at the interpreter's end it would wait for as long as it likes.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("everturn", __version__)
        _offer(self._provider)

    async def close(self) -> None:
        """Send what is left, and end; what a collector does not take soon is lost."""
        if not await flushed(self._provider.shutdown):
            log.warning("spans_lost", advice="the collector of the traces does not answer")
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _offer(provider: TracerProvider) -> None:
    """Let spans that a project's own code makes go the same way, unless it has seen to that."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)
