"""Which part of a thread the model sees, and how a broken thread is mended before it does."""

from collections.abc import Iterator, Sequence
from itertools import takewhile

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    InvalidToolCall,
    ToolCall,
    ToolMessage,
)

from everturn.graph.steps.tokens import tokens_of


def window(messages: Sequence[AnyMessage], size: int, room: int | None = None) -> list[AnyMessage]:
    """Return the newest messages, `size` at most, beginning with one of the user's.

    Beginning there never splits a tool call from its answers. The current turn is never cut:
    a turn longer than `size`, or with more tokens than there is `room`, is shown whole.
    """
    return list(messages[start_of_window(messages, size, room) :])


def start_of_window(messages: Sequence[AnyMessage], size: int, room: int | None = None) -> int:
    """Return where the window begins; see `window`."""
    users = [i for i, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if not users:
        return 0
    first = 0
    if len(messages) > size:
        first = next((i for i in users if i >= len(messages) - size), users[-1])
    if room is None:
        return first
    begins, start = {first, *users}, users[-1]
    for place in range(len(messages) - 1, first - 1, -1):
        room -= tokens_of(messages[place])
        if room < 0:
            break
        if place in begins:
            start = min(start, place)
    return start


def mend(messages: Sequence[AnyMessage]) -> list[AnyMessage] | None:
    """Give every unanswered tool call a cancelled answer; `None` when nothing is broken.

    A run that ended between a call and its answers leaves a history that providers refuse,
    which would poison the thread for ever.
    """
    mended = list(_with_answers(messages))
    return mended if len(mended) > len(messages) else None


def _with_answers(messages: Sequence[AnyMessage]) -> Iterator[AnyMessage]:
    for i, message in enumerate(messages):
        yield message
        if isinstance(message, AIMessage):
            for call in unanswered(message, messages[i + 1 :]):
                yield ToolMessage(
                    "Cancelled: the run ended before this tool did.",
                    tool_call_id=call["id"] or "",
                    name=call["name"],
                    status="error",
                )


def unanswered(asked: AIMessage, after: Sequence[AnyMessage]) -> list[ToolCall | InvalidToolCall]:
    """Return the calls of a message, malformed ones last, that what follows does not answer."""
    # Providers may use a call's id again in a later turn: only what follows at once counts.
    answers = takewhile(lambda m: isinstance(m, ToolMessage), after)
    answered = {answer.tool_call_id for answer in answers if isinstance(answer, ToolMessage)}
    calls: list[ToolCall | InvalidToolCall] = [*asked.tool_calls, *asked.invalid_tool_calls]
    return [call for call in calls if (call["id"] or "") not in answered]


def open_calls(messages: Sequence[AnyMessage]) -> list[ToolCall | InvalidToolCall]:
    """Return the calls of the newest model turn that are not answered yet."""
    for i in range(len(messages) - 1, -1, -1):
        message = messages[i]
        if isinstance(message, AIMessage):
            return unanswered(message, messages[i + 1 :])
        if not isinstance(message, ToolMessage):
            break
    return []


def calls_of_turn(messages: Sequence[AnyMessage]) -> int:
    """Count the calls of tools since the user last spoke, answered or not."""
    turn = takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages))
    return sum(
        len(message.tool_calls) + len(message.invalid_tool_calls)
        for message in turn
        if isinstance(message, AIMessage)
    )


def tool_rounds(messages: Sequence[AnyMessage]) -> int:
    """Count the rounds of tool calls since the user last spoke."""
    rounds = 0
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        rounds += isinstance(message, AIMessage) and calls_tools(message)
    return rounds


def calls_tools(message: AIMessage) -> bool:
    """Say whether a message calls tools, well-formed or not."""
    return bool(message.tool_calls or message.invalid_tool_calls)
