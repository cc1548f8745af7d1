"""The tool calls of a streamed answer: which piece belongs to which call, in every dialect.

OpenAI numbers its calls, names each once and sends its arguments as text. Others give all calls
the index 0 or none, repeat the name or the id in each piece, send no id or one id for all, or send
the arguments as an object, as `null` or not at all.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from everturn.graph.models.arguments import MAX_CHARACTERS, MAX_PIECE, Bound
from everturn.graph.models.failures import CallFailed, Failure
from everturn.graph.models.text import Joiner

Piece = dict[str, Any]
"""One entry of `delta.tool_calls`, as OpenAI writes it."""

MAX_CALLS = 128
"""In one answer; OpenAI takes no more tools than that in a request."""
_MAX_WRITTEN = 2 * MAX_CHARACTERS
"""Characters of all arguments of an answer; they are shown again and again as they come."""
_TOO_MANY = Failure("broken_tool_call", f"the model calls more than {MAX_CALLS} tools at once")
_TOO_LONG = Failure(
    "broken_tool_call",
    f"the arguments of the model's calls have more than {_MAX_WRITTEN} characters",
)

# Beside these, a call may bring what the provider wants back with it, such as Gemini's
# `extra_content`: https://ai.google.dev/gemini-api/docs/thought-signatures.
_STANDARD = {"index", "id", "type", "function"}


def new_call_id() -> str:
    """Make an id that every provider takes: Mistral wants nine letters or digits, no more."""
    return uuid4().hex[:9]


@dataclass(slots=True, eq=False)
class ToolCall:
    """One call, as far as it has arrived."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else the provider said of it, as it came."""
    sent: int = 0
    """Characters of the arguments that were handed on."""
    joiner: Joiner = field(default_factory=Joiner)
    bound: Bound = field(default_factory=Bound)

    @property
    def complete(self) -> bool:
        """Whether the arguments are a whole JSON value."""
        if self.bound.is_open:  # so that a long text is not read again with each of its pieces
            return False
        try:
            json.loads(self.arguments)
        except (ValueError, RecursionError):
            return False
        return True

    def piece(self, *, name: str = "", call_id: str = "") -> Piece | None:
        """Return what is new of it: its name, its id and the arguments not handed on yet."""
        arguments = ""
        if self.sent or not "null".startswith(
            self.arguments.strip()
        ):  # `null` stands for no arguments
            arguments, self.sent = self.arguments[self.sent :], len(self.arguments)
        if not (name or call_id or arguments):
            return None
        function = {"name": name or None, "arguments": arguments}
        return {
            "index": self.index,
            "id": call_id or None,
            "type": "function",
            "function": function,
        }


class ToolCalls:
    """Collects the calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._written = 0
        """Characters of all arguments."""
        self._by_number: dict[int | str | None, ToolCall] = {}
        """The newest call of each index; `None` is the index of those that have none."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def __iter__(self) -> Iterator[ToolCall]:
        return iter(self._calls)

    def add(self, entries: Sequence[object]) -> list[Piece]:
        """Take in the `tool_calls` of one chunk; return what they add, in OpenAI's form.

        Raises:
            CallFailed: there are more calls, or longer ones, than any model makes at once.
        """
        touched: set[ToolCall] = set()
        each = (entry for entry in entries if isinstance(entry, dict))
        pieces = [piece for entry in each if (piece := self._add(entry, touched))]
        return [small for piece in pieces for small in _split(piece)]

    def close(self) -> list[Piece]:
        """Return what the end adds: ids where none came, and halves of characters."""
        pieces = []
        for call in self._calls:
            call.arguments += call.joiner.close()
            call_id = "" if call.id else new_call_id()
            call.id = call.id or call_id
            pieces.append(call.piece(call_id=call_id))
        return [piece for piece in pieces if piece]

    def _add(self, entry: Piece, touched: set[ToolCall]) -> Piece | None:
        function = entry.get("function")
        function = function if isinstance(function, dict) else {}
        name, call_id = _as_name(function.get("name")), _as_name(entry.get("id"))
        arguments = _as_text(function.get("arguments"))
        number = entry.get("index")
        number = number if isinstance(number, int | str) else None
        call = self._continued(number, call_id, name)
        if call is None or _begins_another(call, call_id, name, arguments, call in touched):
            if len(self._calls) == MAX_CALLS:
                raise CallFailed(_TOO_MANY)
            call = ToolCall(len(self._calls))
            self._calls.append(call)
        self._by_number[number] = call
        touched.add(call)
        call.extra |= {k: v for k, v in entry.items() if k not in _STANDARD and v is not None}
        added = call.bound.feed(call.joiner.feed(arguments))
        call.arguments += added
        self._written += len(added)
        if self._written > _MAX_WRITTEN:
            raise CallFailed(_TOO_LONG)
        return call.piece(name=_added(call, name), call_id=self._new_id(call, call_id))

    def _continued(self, number: int | str | None, call_id: str, name: str) -> ToolCall | None:
        """Find the call that an entry seems to continue."""
        known = self._by_number.get(number)
        same_id = next((call for call in self._calls if call_id and call.id == call_id), None)
        if number is None:
            known = same_id or known
        if known is None and not name:  # only a call's first piece has a name for certain
            known = same_id or (self._calls[-1] if self._calls else None)
        return known

    def _new_id(self, call: ToolCall, call_id: str) -> str:
        """Give the call its id, once; one that another call has would mix up their answers."""
        if call.id or not call_id:
            return ""
        taken = any(other.id == call_id for other in self._calls)
        call.id = new_call_id() if taken else call_id
        return call.id


def _split(piece: Piece) -> Iterator[Piece]:
    """Yield a piece as several that are small enough to be shown."""
    function = piece["function"]
    arguments = function["arguments"]
    yield {**piece, "function": {**function, "arguments": arguments[:MAX_PIECE]}}
    for at in range(MAX_PIECE, len(arguments), MAX_PIECE):
        more = {"name": None, "arguments": arguments[at : at + MAX_PIECE]}
        yield {**piece, "id": None, "function": more}


def _begins_another(
    known: ToolCall, call_id: str, name: str, arguments: str, in_this_chunk: bool
) -> bool:
    """Say whether an entry is a call of its own, though it has the index of a known one."""
    if not name:
        return False
    if in_this_chunk:
        return True
    if call_id and known.id and call_id != known.id:
        return known.complete or not known.arguments
    return bool(arguments) and known.complete


def _added(call: ToolCall, name: str) -> str:
    """Add a name or a part of one; a name that is merely repeated adds nothing."""
    if not name or name == call.name or (call.name and call.sent):
        return ""
    added = name.removeprefix(call.name)
    call.name += added
    return added


def _as_name(value: object) -> str:
    """Return a name or an id, which some count; what is neither is none."""
    return str(value) if isinstance(value, str) or type(value) is int else ""


def _as_text(arguments: object) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)
