"""What a turn came to: read from the graph's final state, whatever graph it was."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt

_TOKENS = ("input_tokens", "output_tokens", "total_tokens")

_MAX_COUNT = 2**53
"""No call takes so many tokens, or dollars; the database has room for it."""


def readable(message: AnyMessage) -> str:
    """Return a message as text; of a user's, pictures and the like are named: `[image]`."""
    if isinstance(message.content, str) or not isinstance(message, HumanMessage):
        return message.text
    return "\n".join(map(_readable, message.content))


def _readable(block: Any) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block.get("text"), str):
        return str(block["text"])
    kind = str(block.get("type", "unknown"))
    return f"[{kind.removeprefix('input_').removesuffix('_url')}]"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model."""

    model: str
    failure: str = ""
    """The class of failure; empty where it was answered."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """`input_tokens`, `output_tokens`, `total_tokens`; empty where no provider said."""
    cost: float | None = None
    """US dollars; `None` where no provider said."""


def messages_in(values: Any) -> list[AnyMessage]:
    """Return the messages of a state: a channel of this name may hold texts, objects or anything.

    What is no message of LangChain's is passed over.
    """
    found = values.get("messages") if isinstance(values, Mapping) else None
    several = found if isinstance(found, list | tuple) else [found]
    messages = [each for each in several if isinstance(each, BaseMessage)]
    return cast("list[AnyMessage]", messages)


def answers_since(values: Any, last_before: str | None) -> list[AIMessage]:
    """Return the answers of a state's last turn that came after a message, oldest first."""
    found: list[AIMessage] = []
    for message in reversed(messages_in(values)):
        if isinstance(message, HumanMessage) or (last_before and message.id == last_before):
            break
        found += [message] if isinstance(message, AIMessage) else []
    return found[::-1]


def usage_of(calls: Iterable[Call]) -> dict[str, int]:
    """Sum tokens up: `input_tokens`, `output_tokens`, `total_tokens`."""
    used = [call.usage for call in calls]
    return {kind: sum(each.get(kind, 0) for each in used) for kind in _TOKENS}


def cost_of(calls: Iterable[Call]) -> float | None:
    """Sum US dollars up; `None` where no provider named a price."""
    known = [call.cost for call in calls if call.cost is not None]
    return sum(known) if known else None


def _failed_calls(route: Mapping[str, Any], after: int = 0) -> Iterator[Call]:
    """The calls of a route that were not answered, without the first ones."""
    for attempt in route["tried"][after:]:
        yield Call(
            attempt["model"],
            str(attempt["failure"]),
            _counts(attempt.get("usage")),
            _price(attempt.get("cost")),
        )


@dataclass(slots=True)
class Outcome:
    """The final state of a turn, and what can be said of its answer."""

    values: Any = None
    """The graph's output, of the shape of its output schema."""
    interrupts: Sequence[Interrupt] = ()
    """What the turn waits for; empty when it is finished."""
    breakpoints: bool = False
    """It may have stopped before or after a node, and wait for nothing but to go on."""
    _turn: list[AnyMessage] = field(default_factory=list)
    _last_before: str | None = None
    """The id of the last message before anything was run."""
    _begun: bool = False

    def goes_on(self, last_before: str | None) -> None:
        """Know what there was before a turn that goes on: the id of the last message then."""
        self._begun, self._last_before = True, last_before

    def take(self, values: Any) -> None:
        """Take in one state of the `values` stream; the last one counts."""
        if isinstance(values, dict) and "__interrupt__" in values:
            # Nodes side by side ask one after the other, each in a state of its own.
            asked = {each.id: each for each in (*self.interrupts, *values["__interrupt__"])}
            self.interrupts = tuple(asked.values())
            values = {k: v for k, v in values.items() if k != "__interrupt__"} or self.values
        self.values = values
        self._turn = []
        if not self._begun:
            self._begun = True
            last = next(reversed(self._messages()), None)
            self._last_before = last.id if last else None

    @property
    def state(self) -> Any:
        """The values, with what the turn waits for as `__interrupt__`."""
        if self.interrupts and isinstance(self.values, dict | None):
            return {**(self.values or {}), "__interrupt__": list(self.interrupts)}
        return self.values

    @property
    def may_wait(self) -> bool:
        """Whether it may not be finished: only the thread's state says."""
        return bool(self.interrupts) or self.breakpoints

    @property
    def question(self) -> HumanMessage | None:
        """The message of the user that began this turn."""
        first = next(iter(self._messages()), None)
        return first if isinstance(first, HumanMessage) else None

    @property
    def answer(self) -> AIMessage | None:
        """The last message, where it is the model's word to the user, and of this run."""
        last = next(reversed(self._messages()), None)
        if not isinstance(last, AIMessage) or last.tool_calls or last.id == self._last_before:
            return None
        return last

    @property
    def parsed(self) -> dict[str, Any]:
        """`{"parsed": value}` of an answer that had to fit a schema; else nothing."""
        metadata = self.answer.response_metadata if self.answer else {}
        return {"parsed": metadata["parsed"]} if "parsed" in metadata else {}

    @property
    def tools_used(self) -> list[str]:
        """The names of the tools that did their work, each once, in order of first use."""
        answers = (m for m in self._messages() if isinstance(m, ToolMessage))
        return list(dict.fromkeys(m.name for m in answers if m.name and m.status == "success"))

    @property
    def calls(self) -> Iterator[Call]:
        """Every call of a model in this turn, those that failed first."""
        yield from _failed_calls(self.route)
        yield from chain.from_iterable(map(_calls_of, self._messages()))

    def new_calls(self, error: BaseException | None = None) -> Iterator[Call]:
        """The same, without those made before the turn was interrupted and went on here.

        An `error` that the graph ends with says who was asked since the last answer.
        """
        said = getattr(error, "route", None)
        route = said if isinstance(said, dict) and _is_route(said) else self.route
        messages = self._messages()
        ids = [message.id for message in messages]
        known = ids.index(self._last_before) + 1 if self._last_before in ids else 0
        last = next((m for m in messages[:known][::-1] if isinstance(m, AIMessage)), None)
        before = len(_route_of(last)["tried"]) if last else 0
        yield from _failed_calls(route, before)
        yield from chain.from_iterable(map(_calls_of, messages[known:]))
        if error is not None:  # else a message carries them, once the plan has come to its end
            yield from chain.from_iterable(map(_calls_in, _steps_in(self.values)))

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of the turn's model calls: `input_tokens`, `output_tokens`, `total_tokens`."""
        return usage_of(self.calls)

    @property
    def cost(self) -> float | None:
        """US dollars for all model calls of the turn; `None` where no provider named a price."""
        return cost_of(self.calls)

    @property
    def route(self) -> dict[str, Any]:
        """Who spoke last, `{mode, model, tried}`; for a graph without a router, its model."""
        newest = next(reversed(self._answers()), None)
        return _route_of(newest)

    def _answers(self) -> list[AIMessage]:
        return [m for m in self._messages() if isinstance(m, AIMessage)]

    def _messages(self) -> list[AnyMessage]:
        """The messages of this turn, from the newest of the user's on."""
        if not self._turn:
            messages = messages_in(self.values)
            users = [i for i, m in enumerate(messages) if isinstance(m, HumanMessage)]
            self._turn = messages[users[-1] if users else 0 :]
        return self._turn


def summary(outcome: Outcome) -> dict[str, Any]:
    """What every chat answer says of itself: whether it is finished, and what it took."""
    interrupts = [{"id": each.id, "value": each.value} for each in outcome.interrupts]
    state = {"interrupts": interrupts} if interrupts else {}
    return {
        "status": "interrupted" if interrupts else "completed",
        **state,
        **outcome.parsed,
        "model": outcome.route["model"],
        "usage": outcome.usage,
        "cost": outcome.cost,
        "route": outcome.route,
    }


def spoken(outcome: Outcome) -> dict[str, Any]:
    """What a chat's answer is made of: the words, and what they took."""
    answer = outcome.answer
    return {
        "summary": summary(outcome),
        "response": answer.text if answer else "",
        "message_id": answer.id if answer else None,
        "tools_used": outcome.tools_used,
    }


def _calls_of(message: AnyMessage) -> list[Call]:
    """Read the calls that a message took: an answer's own, or those behind a tool's answer.

    A tool's answer may carry a list of those, where steps of a plan or specialists asked models.
    """
    if isinstance(message, AIMessage):
        return [_call_of(message)]
    return _calls_in(message.response_metadata) if isinstance(message, ToolMessage) else []


def _steps_in(values: Any) -> list[Mapping[str, Any]]:
    """Return the steps of a plan that was broken off; any graph may have a channel of this name."""
    found = values.get("steps") if isinstance(values, Mapping) else None
    several = found if isinstance(found, list) else []
    return [each for each in several if isinstance(each, Mapping)]


def _calls_in(carrier: Mapping[str, Any]) -> list[Call]:
    said = carrier.get("calls")
    inner = said if isinstance(said, list) else []
    return [
        Call(
            str(each.get("model") or "none"),
            str(each.get("failure") or ""),
            _counts(each.get("usage")),
            _price(each.get("cost")),
        )
        for each in inner
        if isinstance(each, dict)
    ]


def _call_of(answer: AIMessage) -> Call:
    """Read what an answer says of its call; a user's graph may have written anything there."""
    return Call(
        _route_of(answer)["model"] or "none",
        usage=_counts(answer.usage_metadata),
        cost=_price(answer.response_metadata.get("cost")),
    )


def _counts(usage: Any) -> dict[str, int]:
    """Read tokens; what is no number of them counts as none."""
    if not (usage and isinstance(usage, Mapping)):
        return {}
    return {kind: _count(usage.get(kind)) for kind in _TOKENS}


def _count(said: Any) -> int:
    return said if isinstance(said, int) and 0 <= said < _MAX_COUNT else 0


def _price(said: Any) -> float | None:
    return float(said) if isinstance(said, int | float) and 0 <= said < _MAX_COUNT else None


def _route_of(answer: AIMessage | None) -> dict[str, Any]:
    metadata = answer.response_metadata if answer else {}
    route = metadata.get("route")
    if isinstance(route, dict) and _is_route(route):
        return route
    model = metadata.get("model_name")
    return {"mode": "primary", "model": model if isinstance(model, str) else None, "tried": []}


def _is_route(found: Mapping[str, Any]) -> bool:
    """Tell the router's record from what a user's graph keeps under the same name."""
    tried = found.get("tried")
    return (
        isinstance(found.get("mode"), str)
        and isinstance(found.get("model"), str)
        and isinstance(tried, list)
        and all(isinstance(each, dict) and {"model", "failure"} <= each.keys() for each in tried)
    )
