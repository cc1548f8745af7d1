"""Calls in batches: their order, their errors, callers who leave, and the end."""

import asyncio
from collections.abc import Sequence

import pytest

from everturn.checkpoints.errors import StoreMisconfigured, StoreUnavailable
from everturn.checkpoints.sql.batcher import MAX_BATCH, Batcher
from tests.waiting import eventually


class Doubling:
    """Answers each number with its double; each batch waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(numbers))
        await self.gate.wait()
        if self.error:
            raise self.error
        return [ValueError(str(n)) if n < 0 else 2 * n for n in numbers]


async def test_a_batch_is_what_arrived_during_the_one_before() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, name="test")
    doubling.gate.clear()
    first = batcher.submit(1)
    await eventually(lambda: doubling.batches)
    others = [batcher.submit(number) for number in (2, 3, 4)]
    await asyncio.sleep(0.01)
    assert doubling.batches == [[1]]
    doubling.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert doubling.batches == [[1], [2, 3, 4]]


async def test_a_batch_is_bounded_and_keeps_the_order() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, name="test")
    numbers = range(2 * MAX_BATCH + 1)
    assert await asyncio.gather(*map(batcher.submit, numbers)) == [2 * n for n in numbers]
    assert [len(batch) for batch in doubling.batches] == [MAX_BATCH, MAX_BATCH, 1]
    assert [number for batch in doubling.batches for number in batch] == list(numbers)


async def test_an_idle_batcher_has_no_task() -> None:
    batcher = Batcher(Doubling(), name="the task of the batcher")
    for number in range(3):
        assert await batcher.submit(number) == 2 * number
        await eventually(
            lambda: "the task of the batcher" not in {t.get_name() for t in asyncio.all_tasks()}
        )


async def test_an_error_in_the_place_of_an_answer_is_for_one_caller() -> None:
    batcher = Batcher(Doubling(), name="test")
    results = await asyncio.gather(*map(batcher.submit, (1, -2, 3)), return_exceptions=True)
    assert [results[0], results[2]] == [2, 6]
    assert isinstance(results[1], ValueError)


@pytest.mark.parametrize(
    ("raised", "received"),
    [(StoreMisconfigured("no"), StoreMisconfigured), (OSError("no"), StoreUnavailable)],
)
async def test_each_caller_gets_an_exception_of_its_own(
    raised: Exception, received: type[Exception]
) -> None:
    doubling = Doubling()
    doubling.error = raised
    batcher = Batcher(doubling, name="test")
    errors = await asyncio.gather(*map(batcher.submit, (1, 2, 3)), return_exceptions=True)
    assert [type(error) for error in errors] == [received] * 3
    assert len({id(error) for error in errors}) == 3
    assert all(isinstance(e, Exception) and e.__cause__ is raised for e in errors)
    doubling.error = None
    assert await batcher.submit(4) == 8


async def test_too_few_answers_leave_no_caller_waiting() -> None:
    async def forgetful(numbers: Sequence[int]) -> list[int | Exception]:
        return [*numbers[:1]]

    batcher = Batcher(forgetful, name="test")
    first, second = await asyncio.gather(*map(batcher.submit, (1, 2)), return_exceptions=True)
    assert first == 1
    assert isinstance(second, StoreUnavailable)


@pytest.mark.parametrize("drop_cancelled", [True, False])
async def test_a_caller_that_leaves(drop_cancelled: bool) -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, name="test", drop_cancelled=drop_cancelled)
    doubling.gate.clear()
    first = batcher.submit(1)
    await eventually(lambda: doubling.batches)
    second, third = batcher.submit(2), batcher.submit(3)
    first.cancel()
    second.cancel()
    doubling.gate.set()
    assert await third == 6
    assert doubling.batches == [[1], [3] if drop_cancelled else [2, 3]]


async def test_closing_makes_the_calls_that_wait() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, name="test")
    waiting = [batcher.submit(number) for number in range(MAX_BATCH + 1)]
    await batcher.close(60)
    assert [future.result() for future in waiting] == [2 * n for n in range(MAX_BATCH + 1)]
    with pytest.raises(StoreUnavailable, match="closed"):
        await batcher.submit(1)


async def test_closing_gives_up_a_call_that_hangs() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, name="test")
    doubling.gate.clear()
    hanging = batcher.submit(1)
    await eventually(lambda: doubling.batches)
    waiting = batcher.submit(2)
    await batcher.close(0.01)
    for future in (hanging, waiting):
        with pytest.raises(StoreUnavailable, match="closed"):
            await future
    assert doubling.batches == [[1]]
