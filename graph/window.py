"""Which part of a thread the model sees, and how a broken thread is mended before it does."""

from collections.abc import Iterator, Sequence
from itertools import takewhile

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage


def window(messages: Sequence[AnyMessage], size: int) -> list[AnyMessage]:
    """Return the newest messages, `size` at most, beginning with one of the user's.

    Beginning there never splits a tool call from its answers. The current turn is never cut:
    a turn longer than `size` is shown whole.
    """
    if len(messages) <= size:
        return list(messages)
    users = [i for i, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if not users:
        return list(messages)
    start = next((i for i in users if i >= len(messages) - size), users[-1])
    return list(messages[start:])


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
        if isinstance(message, AIMessage) and message.tool_calls:
            # Providers may use a call's id again in a later turn: only what follows at once counts.
            answers = takewhile(lambda m: isinstance(m, ToolMessage), messages[i + 1 :])
            answered = {
                answer.tool_call_id for answer in answers if isinstance(answer, ToolMessage)
            }
            for call in message.tool_calls:
                if call["id"] not in answered:
                    yield ToolMessage(
                        "Cancelled: the run ended before this tool did.",
                        tool_call_id=str(call["id"]),
                        name=call["name"],
                        status="error",
                    )


def tool_rounds(messages: Sequence[AnyMessage]) -> int:
    """Count the rounds of tool calls since the user last spoke."""
    rounds = 0
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        rounds += isinstance(message, AIMessage) and bool(message.tool_calls)
    return rounds
