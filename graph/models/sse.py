"""Server-sent events from bytes that may be split anywhere.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
One rule is wider: an event that the end of the stream leaves without its blank line still counts,
because providers close the connection right after `data: [DONE]`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\r|\n")
BOM = b"\xef\xbb\xbf"
"""Some servers put it in front: https://www.rfc-editor.org/rfc/rfc8259#section-8.1."""


class Event(NamedTuple):
    """One event."""

    data: str
    name: str = "message"


class Decoder:
    """Takes the bytes of one stream, and returns events as they become complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._at_start = True
        self._after_cr = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that this piece completes."""
        if not piece:
            return
        if self._after_cr:  # a CR ends a line at once; an LF behind it belongs to it
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        first, *more = _LINE_END.split(piece)
        lines = [self._rest + first, *more]
        self._rest = lines.pop()
        self._after_cr = piece.endswith(b"\r")
        for line in lines:
            if event := self._line(line):
                yield event

    def close(self) -> Iterator[Event]:
        """Yield what the end of the stream completes."""
        for line in (self._rest, b""):
            if event := self._line(line):
                yield event

    def _line(self, line: bytes) -> Event | None:
        """Take in a line; return the event that it ends."""
        if self._at_start:
            line, self._at_start = line.removeprefix(BOM), False
        if not line:
            data, name = self._data, self._name
            self._data, self._name = [], ""
            return Event("\n".join(data), name or "message") if data else None
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if field == b"data":
            self._data.append(text)
        elif field == b"event":
            self._name = text
        elif field == b"error":
            # llama.cpp's, until https://github.com/ggml-org/llama.cpp/pull/16109
            self._data.append(text)
            self._name = "error"
        return None
