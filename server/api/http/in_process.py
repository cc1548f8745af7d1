"""Requests that never leave the process: an ASGI app is called, and its answer read as it comes.

httpx's own `ASGITransport` returns an answer when it is whole. Streams of runs have no end until
their run has, so here an answer is read while the app still writes it, and a reader may leave.
"""

import asyncio
from collections.abc import Coroutine, MutableMapping
from contextlib import suppress
from contextvars import Context
from typing import Any, NamedTuple, TypeVar

from starlette.types import ASGIApp, Message, Scope

T = TypeVar("T")

IN_PROCESS = "everturn.in_process"
"""In the scope of a request that the project itself makes; no client can put it there."""

_MAX_CHUNKS = 16
"""How far an app may be ahead of its reader."""


class Answer(NamedTuple):
    """The beginning of an answer; its body comes in chunks."""

    status: int
    headers: list[tuple[bytes, bytes]]


class NoAnswer(Exception):
    """The app ended, or failed, before it answered."""


class Exchange:
    """One request to an app, and its answer. All methods are called in one event loop."""

    def __init__(self, app: ASGIApp, scope: Scope, body: bytes) -> None:
        self._app, self._scope, self._body = app, scope, body
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(_MAX_CHUNKS)
        self._left = asyncio.Event()
        self._asked = False
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> Answer:
        """Call the app, and wait until it answers.

        The app runs in an empty context: a node that asks its own service is no parent of the
        run that it starts, and lends it neither callbacks nor user.

        Raises:
            NoAnswer: saying why.
        """
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run(), name="in process", context=Context())
        return await self._answer

    async def chunk(self) -> bytes:
        """Return the next part of the body; empty at its end."""
        return await self._chunks.get()

    def leave(self) -> None:
        """Read no more: for the app it is as if its client had closed the connection."""
        self._left.set()
        while not self._chunks.empty():  # an app that waits for room goes on
            self._chunks.get_nowait()

    async def _run(self) -> None:
        failure: Exception | None = None
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # an answer that has begun just ends, as on the network
            failure = error
        finally:
            if not self._answer.done():
                reason = repr(failure) if failure else "it ended without one"
                self._answer.set_exception(NoAnswer(f"The service gave no answer: {reason}."))
            if not self._left.is_set():
                await self._chunks.put(b"")

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            if not self._answer.done():
                self._answer.set_result(Answer(message["status"], list(message["headers"])))
        elif message.get("body") and not self._left.is_set():
            await self._chunks.put(message["body"])


class InProcess:
    """A service as it is reached from within its process, from any of its threads and loops."""

    def __init__(self, app: ASGIApp) -> None:
        """Belong to the running event loop, in which all requests are answered."""
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._exchanges: set[Exchange] = set()

    async def ask(self, scope: Scope, body: bytes) -> tuple[Exchange, Answer]:
        """Send a request; see `Exchange.start`."""
        exchange = Exchange(self._app, scope, body)
        return exchange, await self.call(self._start(exchange))

    async def chunk(self, exchange: Exchange) -> bytes:
        """Return the next part of an answer; empty at its end."""
        return await self.call(exchange.chunk())

    def leave(self, exchange: Exchange) -> None:
        """Read no more of an answer."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(exchange.leave)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the service's loop, from whichever loop is the caller's."""
        if asyncio.get_running_loop() is self._loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def close(self, grace: float) -> None:
        """End what is still being answered, by force after `grace` seconds."""
        tasks = {exchange.task for exchange in self._exchanges if exchange.task}
        for exchange in self._exchanges:
            exchange.leave()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()

    async def _start(self, exchange: Exchange) -> Answer:
        self._exchanges.add(exchange)
        try:
            return await exchange.start()
        except BaseException:  # the caller was cancelled, perhaps
            exchange.leave()
            raise
        finally:
            if exchange.task:
                exchange.task.add_done_callback(lambda _: self._exchanges.discard(exchange))
