"""A process that opens the service: what is the same whether it serves or works."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

from fastapi import FastAPI
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.server.address import CannotListen
from everturn.server.api.operators.system import ok, ready
from everturn.server.app import create_app
from everturn.server.cli.config import Loaded, unknown_note
from everturn.server.cli.metrics_port import Probe
from everturn.server.environment import ENV_FILE, WrongSetting
from everturn.server.errors import ConfigError
from everturn.server.observe.blocking import watch_for_blocking
from everturn.server.observe.logs import configure_logs
from everturn.server.observe.memory import give_memory_back
from everturn.server.observe.output import standard_error
from everturn.server.projects.environment import give_to_the_project
from everturn.server.settings import Settings
from everturn.tools.kit.mcp.sources import McpNotInstalled

log = get_logger(__name__)

Held = TypeVar("Held")

_INSIST_SECONDS = 0.5
_YOUNG_OBJECTS = 20_000
"""So many new objects wait for the collector. A turn makes thousands that need none: at Python's
700, looking at them took a tenth of a turn's CPU time."""

# Errors that keep the service from starting; their texts say what to do.
_STARTUP_ERRORS = (WrongSetting, CannotListen, CheckpointsError, ConfigError, McpNotInstalled)


def run(
    loaded: Loaded,
    main: Callable[[Settings], Coroutine[Any, Any, None]],
    *,
    first: bool = True,
    **logged: object,
) -> int:
    """Run `main` until it ends; returns the exit code.

    An error at the start is printed in one line. Each line of the log says what is `logged`.
    What is to be said once, the `first` process of a service says.
    """
    try:
        content = loaded.settings.observe.log_content
        configure_logs(loaded.settings.server.log_level, content=content, **logged)
        if first and loaded.unknown:
            _warn(loaded.unknown)
        give_to_the_project(loaded.project, str(ENV_FILE))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            try:
                runner.run(main(loaded.settings))
            except SystemExit as error:
                _give_up(error)
    except asyncio.CancelledError:  # stopped before it had started
        return 0
    except _STARTUP_ERRORS as error:
        standard_error().write(f"everturn: {error}\n")
        return 1
    return 0


@asynccontextmanager
async def opened(
    settings: Settings,
    hold: Callable[[], AbstractContextManager[Held]],
    *,
    several: bool,
    listens: bool = True,
) -> AsyncIterator[tuple[FastAPI, Held]]:
    """Open the service; SIGINT and SIGTERM end a start that hangs.

    Args:
        settings: of the service.
        hold: what comes first, so that a process that cannot have it opens or changes nothing.
        several: it shares its stores, see `create_app`.
        listens: clients can reach it, see there.
    """
    starting = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def cancel(sign: int) -> None:
        if starting is not None:
            starting.cancel()
            loop.call_later(_INSIST_SECONDS, cancel, sign)  # a client that connects may swallow one
        else:  # the start has just ended, and who serves or works has no handler yet
            loop.call_later(_INSIST_SECONDS, signal.raise_signal, sign)

    def stop(sign: int, _: object) -> None:
        loop.call_soon_threadsafe(cancel, sign)

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, stop)
    app = create_app(settings, several=several, listens=listens)
    with hold() as held:
        async with app.router.lifespan_context(app):
            # What was loaded stays: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(_YOUNG_OBJECTS)
            await asyncio.sleep(0)  # a signal of meanwhile ends the start here
            starting = None
            # From here on clients wait for the loop; the start itself may block it.
            async with watch_for_blocking(settings.server.blocking_warning), give_memory_back():
                yield app, held


def probes_of(app: FastAPI) -> dict[str, Probe]:
    """What machines may ask of an open service at the port of its metrics, too."""
    service = app.state.service
    return {"/ok": ok, "/ready": partial(ready, service.threads, service.runs)}


def _warn(unknown: Mapping[str, str]) -> None:
    """Name settings that there are not."""
    notes = [unknown_note(name, near) for name, near in unknown.items()]
    log.warning("unknown_settings", names=list(unknown), advice=" ".join(notes))


def _give_up(error: SystemExit) -> NoReturn:
    """End at once, as if killed: a node of a graph has raised SystemExit.

    That stopped the event loop, and an orderly end would wait for tasks that no longer run. All
    turns that were acknowledged are stored.
    """
    log.critical("ended_from_within", code=error.code, advice="a node must not call sys.exit()")
    standard_error().drain()
    os._exit(1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop
