"""A task is ended, also one that a cancellation passed by."""

import asyncio

from everturn.checkpoints.cancelling import cancelled


async def test_a_task_that_loses_its_first_cancellation_ends() -> None:
    lost = 0

    async def works() -> None:
        nonlocal lost
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            lost += 1
        await asyncio.sleep(3600)

    tasks = [asyncio.create_task(works()) for _ in range(2)]
    await asyncio.sleep(0)
    await cancelled(*tasks)
    assert lost == 2
    assert all(task.cancelled() for task in tasks)
    await cancelled()
