"""Calls that come while another is under way wait, and are then made together, as one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable

Call = TypeVar("Call")
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Call, Answer]):
    call: Call
    answer: asyncio.Future[Answer]


class Together(Generic[Call, Answer]):
    """Makes calls in groups: one at a time, of all that wait. Alone, a call does not wait."""

    def __init__(self, make: Callable[[Sequence[Call]], Awaitable[Sequence[Answer]]]) -> None:
        """Take what makes a group of calls, and returns their answers in order.

        It must be harmless to make a call twice: that happens where the caller who does it for
        everyone is cancelled in the midst of it.
        """
        self._make = make
        self._waiting: list[_Waiting[Call, Answer]] = []
        self._at_work = asyncio.Lock()

    async def __call__(self, call: Call) -> Answer:
        """Make a call; whoever is first does it for all who wait."""
        mine = _Waiting[Call, Answer](call, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            async with self._at_work:
                if not mine.answer.done():
                    await self._make_all()
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            raise
        return mine.answer.result()

    async def _make_all(self) -> None:
        group, self._waiting = self._waiting, []
        try:
            answers = await self._make([each.call for each in group])
        except asyncio.CancelledError:
            self._waiting[:0] = group  # the next one takes over
            raise
        except Exception as error:
            for each in group:
                each.answer.set_exception(_one_of_its_own(error))
                each.answer.exception()  # else asyncio complains where a caller has left
        else:
            for each, answer in zip(group, answers, strict=True):
                each.answer.set_result(answer)


def _one_of_its_own(error: Exception) -> Exception:
    """Make an exception for one caller: a shared one would collect all their tracebacks."""
    kind = type(error) if isinstance(error, CheckpointsError) else StoreUnavailable
    own = kind(str(error))
    own.__cause__ = error
    return own
