"""What people, models and tools wrote stays out of the log, unless EVERTURN_LOG_CONTENT is on.

Everturn's own lines do not hold it. But an error can repeat it: an exception in a node or a tool
whose text is the question, or a provider that quotes the prompt.
"""

from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, ExcInfo
from typing_extensions import override

HIDDEN = "(not logged: see EVERTURN_LOG_CONTENT)"
"""In place of an exception's text."""

OTHERS_WORDS = "detail"
"""The field in which lines say what somebody else wrote."""


def without_words(_: object, __: str, line: EventDict) -> EventDict:
    """Drop what somebody else wrote."""
    line.pop(OTHERS_WORDS, None)
    return line


class TracesWithoutTexts(ExceptionDictTransformer):
    """Makes JSON of traces: classes and places, and no text of an exception."""

    @override
    def __call__(self, exc_info: ExcInfo) -> list[dict[str, Any]]:
        return _hidden(super().__call__(exc_info))


def plain_without_texts(out: TextIO, exc_info: ExcInfo) -> None:
    """Write such a trace for a terminal, as Python writes its own."""
    stacks = TracesWithoutTexts(show_locals=False)(exc_info)
    for stack in reversed(stacks):
        out.write("\nTraceback (most recent call last):\n")
        places = (
            f'"{each["filename"]}", line {each["lineno"]}, in {each["name"]}'
            for each in stack["frames"]
        )
        out.writelines(f"  File {place}\n" for place in places)
        out.write(f"{stack['exc_type']}: {stack['exc_value']}")


def renderers(*, terminal: bool, content: bool) -> list[structlog.typing.Processor]:
    """Return what makes a line of the log's values: for people, or as JSON."""
    hidden: list[structlog.typing.Processor] = [] if content else [without_words]
    if terminal:
        plain = structlog.dev.plain_traceback if content else plain_without_texts
        return [*hidden, structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    # Never a frame's variables: they hold keys and what people wrote.
    transformer = ExceptionDictTransformer if content else TracesWithoutTexts
    traces = structlog.processors.ExceptionRenderer(transformer(show_locals=False))
    return [*hidden, traces, structlog.processors.JSONRenderer()]


def _hidden(stacks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for stack in stacks:
        stack |= {"exc_value": HIDDEN, "exc_notes": [], "syntax_error": None}
        for inside in stack.get("exceptions") or ():  # of a group
            _hidden(inside)
    return stacks
