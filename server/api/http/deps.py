"""What a route may ask for, by type."""

from collections.abc import Iterator
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request

from everturn.checkpoints.sessions import Sessions
from everturn.checkpoints.sql.history import History
from everturn.server.observe.metrics import Metrics
from everturn.server.resources.assistants import Assistants
from everturn.server.resources.sessions import Conversations
from everturn.server.resources.threads import Threads
from everturn.server.settings import ServerSettings
from everturn.server.turns.engine import Engine


async def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


async def _conversations(request: Request) -> Conversations:
    return cast("Conversations", request.app.state.conversations)


async def _sessions(request: Request) -> Sessions:
    return cast("Sessions", request.app.state.sessions)


async def _history(request: Request) -> History:
    return cast("History", request.app.state.history)


async def _settings(request: Request) -> ServerSettings:
    return cast("ServerSettings", request.app.state.settings)


async def _metrics(request: Request) -> Metrics:
    return cast("Metrics", request.app.state.metrics)


class Models(Protocol):
    """What the routes ask of the agent's models."""

    async def overview(self) -> list[dict[str, Any]]: ...


async def _models(request: Request) -> Models:
    return cast("Models", request.app.state.models)


async def _threads(request: Request) -> Threads:
    return cast("Threads", request.app.state.threads)


class Toolbox(Protocol):
    """What the routes ask of the agent's tools."""

    def overview(self) -> Iterator[dict[str, Any]]: ...

    def sources(self) -> Iterator[dict[str, Any]]: ...


async def _toolbox(request: Request) -> Toolbox:
    return cast("Toolbox", request.app.state.toolbox)


ToolboxDep = Annotated[Toolbox, Depends(_toolbox)]


async def _assistants(request: Request) -> Assistants:
    return cast("Assistants", request.app.state.assistants)


ModelsDep = Annotated[Models, Depends(_models)]
EngineDep = Annotated[Engine, Depends(_engine)]
ConversationsDep = Annotated[Conversations, Depends(_conversations)]
SessionsDep = Annotated[Sessions, Depends(_sessions)]
AssistantsDep = Annotated[Assistants, Depends(_assistants)]
ThreadsDep = Annotated[Threads, Depends(_threads)]
HistoryDep = Annotated[History, Depends(_history)]
SettingsDep = Annotated[ServerSettings, Depends(_settings)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
