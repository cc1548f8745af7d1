"""The tool `remember`: keeps what a user will want known in later conversations."""

from typing import Annotated, Any, Literal, NotRequired

from langchain_core.tools import ToolException, tool
from langgraph.prebuilt import ToolRuntime
from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from everturn.tools.kit.current import idempotency_key
from everturn.tools.providers.memories.called import Shown, memories_of, shown, thread_of
from everturn.tools.providers.memories.memories import InvalidMemory, MemoryNotFound
from everturn.tools.providers.memories.memory import Kind

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Remembered(TypedDict):
    """A memory, and what became of it."""

    success: Literal[True]
    change: Literal["new", "changed", "known"]
    id: str
    remembered: str
    similar: NotRequired[list[Shown]]


@tool(parse_docstring=True)
async def remember(
    text: Text,
    runtime: ToolRuntime[Any, Any],
    kind: Kind = "fact",
    replaces: Annotated[str, Field(max_length=100)] = "",
) -> Remembered:
    """Remember something about the user for all later conversations.

    Use it when the user asks for it, or tells something that will matter again: who they are, what
    they like, what they plan. Not for secrets, and not for what matters only now.

    Args:
        runtime: Of the run.
        text: One fact in a sentence that is clear by itself, e.g. "Her daughter Mina is four."
        kind: What it is: a fact, a preference, a person or a plan.
        replaces: The id of the memory that this one corrects; left out, it is a new one.
    """
    memories = await memories_of(runtime)
    key = idempotency_key()
    try:
        kept = await memories.remember(
            text,
            kind,
            thread_id=thread_of(runtime),
            replaces=replaces,
            key=key[:16] if key else None,
        )
    except (InvalidMemory, MemoryNotFound) as error:
        raise ToolException(str(error)) from None
    answer: Remembered = {
        "success": True,
        "change": kept.change,
        "id": kept.memory.id,
        "remembered": kept.memory.text,
    }
    if kept.like:
        answer["similar"] = [shown(each) for each in kept.like]
    return answer


remember.handle_tool_error = True  # the model reads what a ToolException says
