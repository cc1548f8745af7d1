"""What calls have answered while their step goes on: kept, so that they are not made again.

A step may make several calls. It is stored as a whole, when the last one has answered; a process
that dies before that would take the other answers with it, and what the calls did would be done
twice. The last answer needs no keeping: it is stored with the step.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig


class AnswerStore(Protocol):
    """Keeps the answers of a step until the step itself is stored; several processes share one.

    The node's `config` says which step: its thread, its checkpoint and its fencing token.
    """

    async def astored(self, config: RunnableConfig) -> None:
        """Wait until the step that asks for the calls is stored, by this run."""
        ...

    async def akept_answers(self, config: RunnableConfig) -> Mapping[str, Any]:
        """Return what is kept, by the ids of the calls."""
        ...

    async def akeep_answer(self, config: RunnableConfig, call_id: str, answer: Any) -> None:
        """Keep an answer. Raises where the step is another process's by now."""
        ...


def say_attempt(message: ToolMessage, attempt: int) -> None:
    """Let clients and the model know that a call may have been made before."""
    message.additional_kwargs["attempt"] = attempt
    note = (
        f"[Attempt {attempt}: the process died in this step; the call may have been made before.]"
    )
    if isinstance(message.content, str):
        message.content = f"{message.content}\n{note}"
    else:
        message.content = [*message.content, {"type": "text", "text": note}]
