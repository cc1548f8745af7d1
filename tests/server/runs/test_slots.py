"""How many runs are under way at once, and who comes next."""

import asyncio
from typing import Any

import pytest

from everturn.server.errors import Overloaded
from everturn.server.runs.slots import Slots


class Run:
    """Of a run only what slots know."""

    has_slot: Any = None


async def entered(slots: Slots, run: Any) -> asyncio.Task[None]:
    task = asyncio.create_task(slots.enter(run))
    await asyncio.sleep(0)
    return task


async def test_clients_come_in_order_and_one_that_left_takes_no_slot() -> None:
    slots, runs = Slots(2, 10, 60), [Run() for _ in range(5)]
    tasks = [await entered(slots, run) for run in runs]
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    tasks[2].cancel()
    await asyncio.sleep(0)
    assert slots.waiting == 2
    slots.leave(runs[0])  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, True, True, True, False]
    slots.leave(runs[1])  # type: ignore[arg-type]
    slots.leave(runs[3])  # type: ignore[arg-type]
    await tasks[4]
    assert slots.under_way == 1


async def test_one_that_leaves_as_it_is_let_in_gives_its_slot_to_the_next() -> None:
    slots, runs = Slots(1, 10, 60), [Run() for _ in range(3)]
    tasks = [await entered(slots, run) for run in runs]
    slots.leave(runs[0])  # type: ignore[arg-type]
    tasks[1].cancel()  # in the moment in which it is let in
    await asyncio.wait(tasks[1:])
    assert tasks[1].cancelled()
    assert runs[2].has_slot == "client"
    assert slots.under_way == 1


async def test_neither_clients_nor_the_background_take_all() -> None:
    slots = Slots(10, 100, 60)
    assert slots.reserve(50) == 9
    clients = [await entered(slots, Run()) for _ in range(3)]
    assert [task.done() for task in clients] == [True, False, False]
    slots.give_back(9)
    await asyncio.gather(*clients)
    more = [await entered(slots, Run()) for _ in range(10)]
    assert sum(task.done() for task in more) == 6
    assert slots.reserve(50) == 1
    assert slots.reserve(50) == 0
    for task in more:
        task.cancel()
    await asyncio.wait(more)
    assert slots.waiting == 0


async def test_without_a_background_clients_have_all() -> None:
    slots = Slots(10, 100, 60, background=False)
    assert (slots.reserve(50), slots.free) == (0, 0)
    clients = [await entered(slots, Run()) for _ in range(11)]
    assert sum(task.done() for task in clients) == 10
    clients[-1].cancel()
    await asyncio.wait(clients)


async def test_where_clients_wait_the_background_comes_after_them() -> None:
    slots, runs = Slots(2, 10, 60), [Run() for _ in range(3)]
    for run in runs:
        await entered(slots, run)
    slots.leave(runs[0])  # type: ignore[arg-type]
    assert slots.reserve(1) == 0
    slots.leave(runs[1])  # type: ignore[arg-type]
    assert slots.reserve(1) == 1


async def test_clients_are_refused_where_they_would_wait_for_too_long() -> None:
    slots = Slots(1, 2, 0.01)
    await entered(slots, Run())
    slots.check()
    waiting = await entered(slots, Run())
    slots.check()
    await asyncio.sleep(0.02)
    with pytest.raises(Overloaded):
        slots.check()
    waiting.cancel()
    await asyncio.wait({waiting})
    slots.check()


async def test_no_more_wait_than_may() -> None:
    slots = Slots(1, 2, 60)
    waiting = [await entered(slots, Run()) for _ in range(3)]
    with pytest.raises(Overloaded) as refused:
        slots.check()
    assert refused.value.retry_after >= 1
    for each in waiting:
        each.cancel()
