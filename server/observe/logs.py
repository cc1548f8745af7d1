"""Logs: readable on a terminal, one JSON object a line anywhere else.

A line that cannot be made or written raises no error in the code that logs: see `output`.
"""

import json
import logging
import re
from typing import Any

import structlog
from typing_extensions import override

from everturn.server.observe.content import renderers
from everturn.server.observe.output import LineWriter, standard_error

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def configure_logs(level: str, *, content: bool = False, **always: object) -> None:
    """Send structlog's and the standard library's records to stderr in one format.

    With `content` also what people wrote, where an error repeats it: see `observe.content`. What is
    `always` true, such as which of several processes this is, stands in every line.
    """
    output = standard_error()

    def add(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**always, **line}

    shared: list[structlog.typing.Processor] = [
        *([add] if always else []),
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    escaped = [_one_line] if output.terminal else []
    rendered = [*escaped, *renderers(terminal=output.terminal, content=content)]
    ours = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=_careful(structlog.make_filtering_bound_logger(ours), output),
        logger_factory=structlog.WriteLoggerFactory(output),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
    )
    handler = _Handler(output)
    handler.setFormatter(formatter)
    # DEBUG is for Everturn alone: drivers and clients (openai, sse_starlette …) would
    # write whole statements, requests and chunks, and so what people wrote.
    logging.basicConfig(handlers=[handler], level=max(ours, logging.INFO), force=True)
    logging.getLogger("everturn").setLevel(ours)
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


def _one_line(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape what would begin another line, or move the cursor; the renderer does so for values."""
    if isinstance(event := line.get("event"), str):
        line["event"] = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], event)
    return line


def _careful(logger: type[Any], output: LineWriter) -> type[Any]:
    """Return the logger whose methods do not raise what making a line raises."""

    class Careful(logger):  # type: ignore[misc]  # structlog makes the class
        def _proxy_to_logger(self, method_name: str, event: Any = None, **values: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, **values)
            except Exception as error:
                output.write(_unwritable(event, error))

    return Careful


class _Handler(logging.StreamHandler[LineWriter]):
    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Say so in a line, in place of the trace that `logging` prints."""
        self.stream.write(_unwritable(record.name))


def _unwritable(about: object, error: Exception | None = None) -> str:
    """Return the line for one that cannot be made, without its values: one of them is the cause."""
    named = about if isinstance(about, str) else type(about).__name__
    line = {"event": "log_line_not_made", "level": "error", "about": named}
    return json.dumps({**line, **({"error": type(error).__name__} if error else {})}) + "\n"
