"""Functions that block, off the event loop: each in a thread of its own.

A pool would lose a thread for ever to each function that never ends, and at last have none left;
and a process waits for its pool's threads when it ends. A new thread takes some 50 µs.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class TriedToExit(Exception):
    """The function tried to end the process."""


def in_thread(work: Callable[[], T], name: str) -> tuple[Thread, asyncio.Future[T]]:
    """Start `work` in the caller's context; returns its thread and the future of its result.

    Cancelling the future leaves the thread running: Python cannot end one.
    """
    loop, context = asyncio.get_running_loop(), copy_context()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]  # without an error it is a T
        else:
            future.set_exception(error)

    def run() -> None:
        result: T | None = None
        failure: Exception | None = None
        try:
            result = context.run(work)
        except StopIteration as error:  # which no future takes
            failure = RuntimeError("StopIteration")
            failure.__cause__ = error
        except Exception as error:
            failure = error
        except BaseException as error:
            failure = TriedToExit(type(error).__name__)
        with suppress(RuntimeError):  # the loop may have been closed meanwhile
            loop.call_soon_threadsafe(finish, result, failure)

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread, future
