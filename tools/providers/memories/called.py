"""What the three tools of memory have in common: whose memories, and how the model reads them."""

from typing import Any

from langchain_core.tools import ToolException
from langgraph.prebuilt import ToolRuntime
from typing_extensions import TypedDict

from everturn.tools.providers.memories.current import current_memories
from everturn.tools.providers.memories.memories import Memories
from everturn.tools.providers.memories.memory import Memory

OF_THREAD = "memories_of_thread"
"""Of `configurable`: the thread that a run looks through, which is not its own."""


class Shown(TypedDict):
    """A memory, as a model reads it."""

    id: str
    text: str
    kind: str
    since: str
    """The day it was last changed."""


async def memories_of(runtime: "ToolRuntime[Any, Any]") -> Memories:
    """Return the memories of the user of a run.

    Raises:
        ToolException: there is no store to keep them in, or they are switched off.
    """
    user = getattr(runtime.context, "user", None)
    found = await current_memories(runtime.store, runtime.config, user)
    if found is None:
        raise ToolException("There is no long-term memory here: nothing is kept between threads.")
    return found


def thread_of(runtime: "ToolRuntime[Any, Any]") -> str | None:
    """Return the thread in which something was said, if there is one."""
    configurable = runtime.config.get("configurable", {})
    found = configurable.get(OF_THREAD) or configurable.get("thread_id")
    return None if found is None else str(found)


def shown(memory: Memory) -> Shown:
    """Return a memory as a model reads it."""
    day = memory.updated_at.date().isoformat()
    return {"id": memory.id, "text": memory.text, "kind": memory.kind, "since": day}
