"""LangGraph's published suite for checkpointers, on every store, through both savers."""

from collections.abc import AsyncGenerator

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from tests.checkpoints.redis.samples import Saver


async def verdict(saver: Saver) -> dict[str, tuple[bool, list[str]]]:
    """For every capability whether it was detected, and which tests failed."""

    @checkpointer_test(name=type(saver).__name__)
    async def made() -> AsyncGenerator[Saver, None]:
        yield saver

    report = await validate(made)
    return {name: (found.detected, found.failures or []) for name, found in report.results.items()}


EVERYTHING = {capability.value: (True, list[str]()) for capability in Capability}


async def test_asynchronous_saver(saver: AsyncRedisSaver) -> None:
    assert await verdict(saver) == EVERYTHING


async def test_synchronous_saver(sync_saver: RedisSaver) -> None:
    assert await verdict(sync_saver) == EVERYTHING
