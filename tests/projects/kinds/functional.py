"""The functional API: tasks, what the last run left, `entrypoint.final`, and interrupts in it."""

import asyncio
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy, interrupt

tried: list[int] = []


@task
async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@task(retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False))
async def flaky(number: int) -> int:
    tried.append(number)
    if len(tried) % 2:
        raise ConnectionError("not yet")
    return number


@entrypoint()
async def doubled(numbers: list[int]) -> list[int]:
    get_stream_writer()({"numbers": len(numbers)})
    return list(await asyncio.gather(*(double(number) for number in numbers)))


@entrypoint()
async def summed(number: int, *, previous: Any = None, runtime: Runtime) -> Any:
    total = number + (previous or 0)
    seen = {"previous": runtime.previous, "total": total}
    return entrypoint.final(value=seen, save=total)


@entrypoint()
async def approved(words: dict[str, Any]) -> dict[str, Any]:
    loud = await double(len(words["text"]))
    answer = interrupt({"ask": words["text"]})
    more = interrupt({"and": loud})
    return {"answer": answer, "more": more, "loud": loud}


@entrypoint()
async def retried(number: int) -> int:
    return await flaky(number)


@entrypoint()
def talks(given: dict[str, Any], *, previous: list[Any] | None = None) -> Any:
    said = [*(previous or []), HumanMessage(given["say"]), AIMessage("yes")]
    return entrypoint.final(value={"messages": said}, save=said)
