"""A project's modules are imported in a thread, so that they may block and run loops of their own.

A module that calls `asyncio.run(...)` at its import could not be imported in the service's event
loop, and one that reads files or sleeps would stop it: signals too would wait for its end.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def off_the_loop(load: Callable[[], T]) -> T:
    """Return what `load` returns, or raise what it raises; it runs in a thread without a loop.

    The end of the process does not wait for the thread: a start that hangs in an import can be
    stopped.
    """
    loop = asyncio.get_running_loop()
    loaded: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if loaded.cancelled():
            return
        if error is None:
            loaded.set_result(result)  # type: ignore[arg-type]  # None only where T is
        else:
            loaded.set_exception(error)

    def work() -> None:
        result, raised = None, None
        try:
            result = load()
        except BaseException as error:
            raised = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(finish, result, raised)

    Thread(target=copy_context().run, args=(work,), name="everturn imports", daemon=True).start()
    return await loaded
