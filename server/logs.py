"""Logs: readable on a terminal, one JSON object a line anywhere else."""

import logging
import sys

import structlog

from server.rooms import ROOMS


def configure_logs(level: str) -> None:
    """Send structlog's and the standard library's records to stderr in one format."""
    terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if terminal:
        plain = structlog.dev.plain_traceback
        rendered: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=plain)
        ]
    else:
        # Never a frame's variables: they hold keys and what people said.
        traces = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        rendered = [
            structlog.processors.ExceptionRenderer(traces),
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    ours = logging.getLevelNamesMapping()[level]
    # DEBUG is for our rooms alone: drivers and clients (openai, sse_starlette …) would
    # write whole statements, requests and chunks, which are what people said.
    logging.basicConfig(handlers=[handler], level=max(ours, logging.INFO), force=True)
    for room in ROOMS:
        logging.getLogger(room).setLevel(ours)
    # One line a request is ours (`api_request`); theirs would say it twice, or name what was
    # searched for.
    for chatty in (
        "httpx",
        "httpx2",
        "ddgs",
        "primp",
        "uvicorn.access",
        "uvicorn.error",
        "alembic",
    ):
        logging.getLogger(chatty).setLevel(max(ours, logging.WARNING))
