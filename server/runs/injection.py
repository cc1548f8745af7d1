"""Messages that join the conversation of a run while it is under way.

    a message comes -> the run stops before its next step -> it is written -> the run goes on

Between a model's tool calls and their answers nothing may be said: then it is written a step later.
What comes during the last step is answered by the same run, as if it had been said next. A run that
fails, is cancelled or waits for an answer takes no more: whoever sent it has to look for itself.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import RunControl

from everturn.server.turns.outcome import messages_in

Message = Mapping[str, Any]
"""`role`, `content`, `id`, and perhaps `name`."""


@dataclass(slots=True)
class Injected:
    """A message, and what becomes of it."""

    message: Message
    taken: asyncio.Future[bool]
    """Whether it is in the thread's state; an error where it does not fit the graph."""

    def answer(self, *, taken: bool) -> None:
        """Say what became of it."""
        if not self.taken.done():
            self.taken.set_result(taken)

    def refuse(self, error: Exception) -> None:
        """Say that it does not fit."""
        if not self.taken.done():
            self.taken.set_exception(error)
            self.taken.exception()  # whoever sent it may have left


@dataclass(slots=True)
class Inbox:
    """The messages that a run is still to take."""

    waiting: list[Injected] = field(default_factory=list)
    _known: dict[str, Injected] = field(default_factory=dict)
    _closed: bool = False

    async def put(self, message: Message) -> bool:
        """Wait until a message is taken; False where the run takes no more.

        One that comes twice is taken once. It is taken also where the caller does not wait.
        """
        injected = self._known.get(message["id"])
        if injected is None:
            if self._closed:
                return False
            future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            injected = self._known[message["id"]] = Injected(message, future)
            self.waiting.append(injected)
        return await asyncio.shield(injected.taken)

    def take(self) -> list[Injected]:
        """Return what waits, which waits no longer."""
        taken, self.waiting = self.waiting, []
        return taken

    def close(self) -> None:
        """Take no more."""
        self._closed, self.waiting = True, []
        for each in self._known.values():
            each.answer(taken=False)


class StopForMessages(RunControl):
    """Stops a graph between two of its own steps, while something waits in an inbox.

    Not before its first step, so that it goes on in any case, and not the graphs inside of it:
    what they had begun would be done again.
    """

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self._inbox = inbox
        self._around = var_child_runnable_config.get()
        self._begun = False

    @property
    def drain_requested(self) -> bool:
        """Asked by LangGraph before each step of each graph."""
        if var_child_runnable_config.get() is not self._around:
            return False
        begun, self._begun = self._begun, True
        return begun and bool(self._inbox.waiting)


def may_be_said(values: Any) -> bool:
    """Whether a message may come next: not while calls of the last one wait for their answers."""
    messages = messages_in(values)
    last = messages[-1] if messages else None
    return not (isinstance(last, AIMessage) and (last.tool_calls or last.invalid_tool_calls))
