"""The functional API: an entrypoint with a task, what it remembers, and a question."""

from typing import Any

from langgraph.func import entrypoint, task
from langgraph.types import interrupt


@task
async def write(topic: str) -> str:
    return f"An essay on {topic}."


@entrypoint()
async def essay(topic: str, *, previous: Any = None) -> Any:
    text = await write(topic)
    review = interrupt({"text": text})
    return entrypoint.final(value={"text": text, "review": review, "before": previous}, save=text)
