"""Calls of many callers, made in batches: what arrives during one batch is the next batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable

Call = TypeVar("Call")
Answer = TypeVar("Answer")

MAX_BATCH = 500
"""Calls; PostgreSQL takes 32,767 parameters a statement."""


class Batcher(Generic[Call, Answer]):
    """Makes calls in order, one batch at a time. A single call does not wait for others.

    It belongs to the event loop in which it is used. A task makes the batches; it lives while
    there are calls, so a batcher that is idle needs no `close`.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[Call]], Awaitable[Sequence[Answer | Exception]]],
        *,
        name: str,
        drop_cancelled: bool = False,
    ) -> None:
        """Make batches with `execute`.

        Args:
            execute: makes at most `MAX_BATCH` calls and returns their answers in order; an
                exception in the place of an answer is raised for that caller alone. What it raises
                is raised for every caller of the batch.
            name: of the task, for tracebacks and debuggers.
            drop_cancelled: leave out calls whose caller was cancelled before their batch started.
                Otherwise a call is made once it was submitted.
        """
        self._execute = execute
        self._name = name
        self._drop_cancelled = drop_cancelled
        self._waiting: deque[tuple[Call, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, call: Call) -> asyncio.Future[Answer]:
        """Have a call made, after all that were submitted before; no one has to await the future.

        Raises, from the future:
            CheckpointsError: what `execute` raised; anything else becomes StoreUnavailable. Each
                caller gets an exception of its own.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._closed:
            _fail(future, StoreUnavailable("the database is being closed"))
            return future
        self._waiting.append((call, future))
        if self._task is None:
            # An empty context: the batch must not log or trace as the caller who came first.
            self._task = asyncio.create_task(self._run(), name=self._name, context=Context())
        return future

    async def close(self, seconds: float) -> None:
        """Take no more calls, and return when those that wait are made.

        What is not made within so many seconds is given up: its callers get StoreUnavailable.
        """
        self._closed = True
        if task := self._task:
            try:
                await asyncio.wait([task], timeout=seconds)
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def _run(self) -> None:
        try:
            await asyncio.sleep(0)  # what the same moment brings shares the first batch
            while batch := self._next_batch():
                await self._make(batch)
        finally:
            self._task = None
            while self._waiting:  # only if the task was cancelled
                _fail(self._waiting.popleft()[1], StoreUnavailable("the database was closed"))

    def _next_batch(self) -> list[tuple[Call, asyncio.Future[Answer]]]:
        batch: list[tuple[Call, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < MAX_BATCH:
            call, future = self._waiting.popleft()
            if not (self._drop_cancelled and future.cancelled()):
                batch.append((call, future))
        return batch

    async def _make(self, batch: list[tuple[Call, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._execute([call for call, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception):
                    _fail(future, answer)
                elif not future.done():  # else its caller was cancelled
                    future.set_result(answer)
        except Exception as error:
            for _, future in batch:
                _fail(future, _own(error))
        finally:
            for _, future in batch:  # those without an answer: the task was cancelled
                _fail(future, StoreUnavailable("the database was closed during this call"))


def _fail(future: asyncio.Future[Answer], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # marks it as seen: asyncio reports the errors of futures left alone


def _own(error: Exception) -> Exception:
    """Make an exception for one caller: a shared one would collect all their tracebacks."""
    kind = type(error) if isinstance(error, CheckpointsError) else StoreUnavailable
    own = kind(str(error))
    own.__cause__ = error
    return own
