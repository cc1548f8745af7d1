"""Traces of OpenTelemetry: made where its own variables say where to send them.

What knows OpenTelemetry is in `otel`, and imported only then: it comes with the extra `otel`.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from structlog import get_logger

if TYPE_CHECKING:
    from everturn.server.observe.otel.traces import Traces

log = get_logger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def traces_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether OpenTelemetry's variables name a collector, and do not switch traces off."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    unsent = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    named = any(environment.get(name, "").strip() for name in _ENDPOINTS)
    return named and not (disabled or unsent)


@asynccontextmanager
async def open_traces() -> AsyncIterator["Traces | None"]:
    """Make traces for as long as the block lasts; None where none are wanted.

    Clusters set the variables for all that runs in them: so the service starts without the extra,
    and says what is missing.
    """
    if not traces_wanted():
        yield None
        return
    try:
        from everturn.server.observe.otel.export import Export
        from everturn.server.observe.otel.traces import Traces
    except ModuleNotFoundError as error:
        log.warning("no_traces", error=str(error), advice="pip install 'everturn[otel]'")
        yield None
        return
    export = Export()
    try:
        yield Traces(export.tracer)
    finally:
        await export.close()
