"""What one model takes: which parameters, under which names; from its catalogue and its refusals.

Providers that call themselves OpenAI-compatible differ in the parameters they take, and refuse the
whole request for one they do not know. What a refusal names is left out from then on.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from everturn.graph.models.failures import failure_of
from everturn.graph.models.reasoning import RETURNED_FIELDS
from everturn.graph.models.response_format import ABILITY, REFUSED, fitted, schema_in

if TYPE_CHECKING:
    from everturn.graph.models.wire import Refused

Body = dict[str, Any]
"""The JSON body of a request."""

_LIMITS = ("max_tokens", "max_completion_tokens")
"""Two names of one thing: a provider takes one of them, and some take both."""
_NEEDED = {"model", "messages", "tools"}
"""Left out, the answer would be to another question."""
_LISTED = {
    # The names that `supported_parameters` of a catalogue speaks of, whether it has them or not:
    # https://openrouter.ai/docs/api-reference/list-available-models
    "temperature",
    "top_p",
    "tool_choice",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    *_LIMITS,
}
_OF_VALUE = re.compile(
    r"less than|greater than|at most|at least|too (?:large|high|big|low)|between|exceed|range"
    r"|maximum|minimum"
)
_MESSAGE_FIELDS = (*RETURNED_FIELDS, "name")
"""Fields of a message that some refuse: Mistral a `name` of a user, OpenAI one with a space."""
_COMMON_WORDS = {"stream", "name"}
"""Found in a text, they say nothing."""
_ALL = "every value"
_FORMAT = "response_format"
"""Where it holds a schema it can be left out: the schema is said in words then."""
_OF_FORMAT = {"bad_request", "unavailable", "malformed"}
"""llama.cpp refuses with a 500 what it cannot do."""
_MAX_SEARCHED = 4000
_COUNT = {"include_usage": True}
LeftOut = Mapping[str, Any]
"""What a request goes without, by name: the value that was refused, or all of them."""
_NOTHING: LeftOut = {}


class Traits:
    """What is known of one model; it grows with what is learned, as long as the process lives."""

    def __init__(self) -> None:
        self.listed: Collection[str] | None = None
        """The parameters that the provider's catalogue lists for it; `None`: it lists none."""
        self._left_out: dict[str, Any] = {}
        """By name: the value that was refused, or all of them."""
        self._asks_usage = False
        self._counted = False
        """It has answered a request with `stream_options`."""

    @property
    def refused(self) -> list[str]:
        """The names of the parameters that it refused."""
        return sorted(self._left_out)

    def fit(self, body: Body, suspected: LeftOut = _NOTHING) -> Body:
        """Return a request as this model takes it, and without what is `suspected`."""
        left_out = {**self._left_out, **suspected}

        def takes(name: str, value: object = None) -> bool:
            if left_out.get(name) == _ALL or (value is not None and left_out.get(name) == value):
                return False
            return self.listed is None or name not in _LISTED or name in self.listed

        refused = _FORMAT in body and not takes(_FORMAT, body[_FORMAT])
        fitting = fitted(body, self.listed, refused=refused)
        fitting = {key: value for key, value in fitting.items() if takes(key, value)}
        for name, other in (_LIMITS, _LIMITS[::-1]):
            if name in body and not takes(name) and takes(other, body[name]):
                fitting.setdefault(other, body[name])
        if self._asks_usage and takes("stream_options", _COUNT):
            fitting.setdefault("stream_options", _COUNT)
        if any(name in left_out for name in _MESSAGE_FIELDS):
            fitting["messages"] = [
                {key: value for key, value in message.items() if takes(key)}
                for message in fitting["messages"]
            ]
        return fitting

    def suspects(self, refused: "Refused", body: Body) -> LeftOut:
        """Return what a refusal is about, as far as the request can do without it.

        That it was right to leave it out is known once the model has answered without it: a refusal
        may quote what the user wrote, and name a parameter by chance.
        """
        kind = failure_of(refused).kind
        asks = schema_in(body.get(_FORMAT)) is not None
        if asks and kind in _OF_FORMAT and _names_format(refused):
            whole = ABILITY.search(_words_of(refused))
            return {_FORMAT: _ALL if whole else body[_FORMAT]}
        if kind != "bad_request":
            return {}
        if name := _named(refused, body):
            of_value = name in body and _OF_VALUE.search(str(refused).lower())
            return {name: body[name] if of_value else _ALL}
        # It names nothing: this is the least that can be missed.
        uncounted = "stream_options" in body and not self._counted
        return {"stream_options": _ALL} if uncounted else {}

    def answered(self, *, with_usage: bool, body: Body, suspected: LeftOut) -> None:
        """Take note that the model answered without what was `suspected`, with usage or without.

        Some count tokens only where they are asked to, and some refuse to be asked. So one that
        does not count by itself is asked to from then on.
        """
        self._left_out |= suspected
        self._counted = self._counted or "stream_options" in body
        self._asks_usage = self._asks_usage or (not with_usage and "stream_options" not in body)


def _named(refused: "Refused", body: Body) -> str | None:
    """Find the parameter that a refusal names, among those that were sent and may be left out."""
    sent = [name for name in body if name not in _NEEDED and name != _FORMAT]
    sent += [name for name in _MESSAGE_FIELDS if any(name in each for each in body["messages"])]
    for path in _paths(refused.body):
        if found := next((name for name in sent if name in path), None):
            return found
    text = str(refused)
    # The longest first: `max_tokens` stands in no other name, but `stream` does.
    for name in sorted(sent, key=len, reverse=True):
        if name not in _COMMON_WORDS and re.search(rf"\b{name}\b", text):
            return name
    return None


def _names_format(refused: "Refused") -> bool:
    named = any(_FORMAT in path for path in _paths(refused.body))
    return named or REFUSED.search(_words_of(refused)) is not None


def _words_of(refused: "Refused") -> str:
    """Return what was said, by OpenRouter what the provider behind it has said, too."""
    behind = refused.body.get("metadata", "") if isinstance(refused.body, Mapping) else ""
    return f"{refused} {behind}".lower()[:_MAX_SEARCHED]


def _paths(error: object) -> Iterator[list[str]]:
    """Yield the places that an error names.

    `param` is OpenAI's, as `messages[2].reasoning_content`; `loc` is FastAPI's and Mistral's, as
    `["body", "stream_options"]`.
    """
    if isinstance(error, Mapping):
        if isinstance(error.get("param"), str):
            yield re.findall(r"\w+", error["param"])
        if isinstance(error.get("loc"), list):
            yield [str(each) for each in error["loc"]]
        for value in error.values():
            yield from _paths(value)
    elif isinstance(error, list):
        for each in error:
            yield from _paths(each)
