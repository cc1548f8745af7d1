"""Graphs that are made for each run: functions, coroutines and context managers.

What a factory is given is said by its annotations, as LangGraph's server does it: a
`RunnableConfig` or a mapping gets the run's config, a `ServerRuntime` the runtime; a single
parameter that says nothing gets the config.
"""

import inspect
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast, get_origin, get_type_hints

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.auth.types import BaseUser
from langgraph_sdk.runtime import (
    AccessContext,
    ServerRuntime,
    _ExecutionRuntime,
    _ReadRuntime,
)

from everturn.server.access.caller import current_caller
from everturn.server.errors import ConfigError

Graph = Pregel[Any, Any, Any, Any]
Runtime = _ExecutionRuntime[Any] | _ReadRuntime[Any]

_RUNTIMES = (ServerRuntime, _ExecutionRuntime, _ReadRuntime)


class Factory:
    """Something that makes a graph."""

    def __init__(self, make: Callable[..., Any], where: str) -> None:
        """Look at what it takes.

        Args:
            make: the factory.
            where: names it in errors: file and key.

        Raises:
            ConfigError: it takes an argument that there is not.
        """
        self._make = make
        self._where = where
        self._takes = _takes(make, where)

    @asynccontextmanager
    async def open(self, config: RunnableConfig, runtime: Runtime) -> AsyncIterator[Graph]:
        """Make a graph; leaving the context gives back what the factory holds for it.

        Raises:
            ConfigError: it made something else.
            Exception: whatever the factory raises.
        """
        given = {"config": config, "runtime": runtime}
        places = [given[what] for name, what in self._takes if name is None]
        names = {name: given[what] for name, what in self._takes if name is not None}
        async with entered(self._make(*places, **names)) as made:
            yield compiled(made, self._where)


@asynccontextmanager
async def entered(made: Any) -> AsyncIterator[Any]:
    """Wait for what must be waited for, enter what must be entered; the rest is as it is."""
    if inspect.isawaitable(made):
        made = await made
    async with AsyncExitStack() as stack:
        if hasattr(made, "__aenter__"):
            made = await stack.enter_async_context(made)
        elif hasattr(made, "__enter__"):
            made = stack.enter_context(made)
        yield made


def runtime_of(access: AccessContext, store: BaseStore, context: Any) -> Runtime:
    """Describe a call to a factory in the SDK's words; only a run has a context."""
    user = cast("BaseUser | None", current_caller())
    if access == "threads.create_run":
        return _ExecutionRuntime(access_context=access, user=user, store=store, context=context)
    return _ReadRuntime(access_context=access, user=user, store=store)


def compiled(made: object, where: str) -> Graph:
    """Return a graph that can be run.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(made, StateGraph):
        made = made.compile()
    if not isinstance(made, Pregel):
        raise ConfigError(f"{where}: is a {type(made).__name__}, not a LangGraph graph.")
    return made


def _takes(make: Callable[..., Any], where: str) -> list[tuple[str | None, str]]:
    """Return the arguments to give: name, or `None` for a place, and `config` or `runtime`."""
    parameters = [
        parameter
        for parameter in inspect.signature(make).parameters.values()
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    hints = _hints(make)
    takes: list[tuple[str | None, str]] = []
    for parameter in parameters:
        what = _what(hints.get(parameter.name, parameter.annotation))
        needed = parameter.default is parameter.empty
        if what is None and needed and parameter.annotation is parameter.empty:
            what = parameter.name if parameter.name in {"config", "runtime"} else None
        if what is None and needed and len(parameters) == 1:
            what = "config"
        if what is None and needed:
            raise ConfigError(
                f"{where}: a graph factory takes a RunnableConfig, a ServerRuntime, both or "
                f"nothing; annotate {parameter.name!r}."
            )
        if what is not None:
            positional = parameter.kind is parameter.POSITIONAL_ONLY
            takes.append((None if positional else parameter.name, what))
    return takes


def _hints(make: Callable[..., Any]) -> Mapping[str, Any]:
    function = make if inspect.isroutine(make) else type(make).__call__
    if inspect.isclass(make):
        function = make.__init__
    try:
        return get_type_hints(inspect.unwrap(function))
    except (NameError, TypeError, AttributeError):  # names for type checkers only
        return {}


def _what(annotation: Any) -> str | None:
    """Say whether an annotation asks for the config or the runtime."""
    if isinstance(annotation, str):
        return next(
            (
                what
                for name, what in (("ServerRuntime", "runtime"), ("RunnableConfig", "config"))
                if name in annotation
            ),
            None,
        )
    if annotation in _RUNTIMES or get_origin(annotation) in _RUNTIMES:
        return "runtime"
    if annotation in {RunnableConfig, dict, Mapping, typing.Mapping}:
        return "config"
    return "config" if get_origin(annotation) in {dict, Mapping} else None
