"""The tool `forget`: deletes what was remembered of a user."""

from typing import Annotated, Any, Literal

from langchain_core.tools import ToolException, tool
from langgraph.prebuilt import ToolRuntime
from pydantic import StringConstraints
from typing_extensions import TypedDict

from everturn.tools.providers.memories.alike import shared
from everturn.tools.providers.memories.called import Shown, memories_of, shown
from everturn.tools.providers.memories.memories import Memories, MemoryNotFound
from everturn.tools.providers.memories.memory import Memory

Which = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]

_ENOUGH = 0.5
"""Of the words of a memory and of what is to be forgotten, the part that both have."""


class Forgotten(TypedDict):
    """The memory that there is no more."""

    success: Literal[True]
    forgotten: str


class NotForgotten(TypedDict):
    """Nothing was deleted: it is not certain which one is meant."""

    success: Literal[False]
    error: str
    memories: list[Shown]


@tool(parse_docstring=True)
async def forget(memory: Which, runtime: ToolRuntime[Any, Any]) -> Forgotten | NotForgotten:
    """Forget one thing that was remembered about the user, for good.

    Args:
        runtime: Of the run.
        memory: The id of a memory, as `recall` returns it, or the words of one.
    """
    memories = await memories_of(runtime)
    try:
        return _forgotten(await memories.forget(memory))
    except MemoryNotFound:
        return await _by_words(memory, memories)


async def _by_words(words: str, memories: Memories) -> Forgotten | NotForgotten:
    found = await memories.search(words, limit=5)
    meant = [each for each in found if shared(each.text, words) >= _ENOUGH]
    if len(meant) == 1:
        try:
            return _forgotten(await memories.forget(meant[0].id))
        except MemoryNotFound:
            raise ToolException("It was forgotten a moment ago.") from None
    listed = [shown(each) for each in (meant or found)]
    error = "Which one? Name its id." if listed else "Nothing is remembered of this."
    return {"success": False, "error": error, "memories": listed}


def _forgotten(memory: Memory) -> Forgotten:
    return {"success": True, "forgotten": memory.text}


forget.handle_tool_error = True  # the model reads what a ToolException says
