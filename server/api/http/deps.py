"""What a route may ask for: one typed service, or one part of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request
from pydantic import BaseModel, Field

from everturn.server.access.budgets import Budgets
from everturn.server.observe.metrics import Metrics
from everturn.server.observe.now.watch import Now
from everturn.server.resources.assistants import Assistants
from everturn.server.resources.deliveries import Deliveries
from everturn.server.resources.memories import Memories
from everturn.server.resources.sessions import Sessions
from everturn.server.resources.store_items import StoreItems
from everturn.server.resources.threads import Threads
from everturn.server.resources.users import Users
from everturn.server.runs.crons import Crons
from everturn.server.runs.runs import Runs
from everturn.server.runs.thread_events import ThreadEvents
from everturn.server.runs.webhooks import Webhooks
from everturn.server.settings import ServerSettings

API_VERSION = "0.16.7"
"""The version of LangGraph's server whose API this is: clients look at it for what they may use."""


class Info(BaseModel):
    """What this service is and serves."""

    name: str = "everturn"
    version: str = Field(
        default=API_VERSION, description="Of LangGraph's server whose API this speaks."
    )
    everturn_version: str
    langgraph_py_version: str
    flags: dict[str, bool] = Field(
        default={"assistants": True, "crons": True, "langsmith": False},
        description="What clients of the Agent Server API may use.",
    )
    graphs: list[str] = Field(description="The graphs that can be run.")
    models: list[str] = Field(description="The models that can be asked, in order.")
    memory: str = Field(description="Where sessions live: `embedded` or `redis`.")
    history: str = Field(description="Where history lives: `sqlite` or `postgresql`.")


class Models(Protocol):
    """What the routes ask of the agent's models."""

    async def overview(self) -> list[dict[str, Any]]: ...


class Toolbox(Protocol):
    """What the routes ask of the agent's tools."""

    def overview(self) -> Iterator[dict[str, Any]]: ...

    def sources(self) -> Iterator[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """All that the routes stand on, from the start of the service to its end."""

    settings: ServerSettings
    info: Info
    runs: Runs
    events: ThreadEvents
    sessions: Sessions
    threads: Threads
    assistants: Assistants
    crons: Crons
    webhooks: Webhooks
    deliveries: Deliveries
    store: StoreItems
    memories: Memories
    users: Users
    metrics: Metrics
    now: Now
    models: Models
    toolbox: Toolbox
    budgets: Budgets


def service_of(request: Request) -> Service:
    """Return the service of a request."""
    return cast("Service", request.app.state.service)


# Coroutines, though they wait for nothing: FastAPI sends plain functions to a thread.
async def _info(request: Request) -> Info:
    return service_of(request).info


async def _runs(request: Request) -> Runs:
    return service_of(request).runs


async def _events(request: Request) -> ThreadEvents:
    return service_of(request).events


async def _sessions(request: Request) -> Sessions:
    return service_of(request).sessions


async def _threads(request: Request) -> Threads:
    return service_of(request).threads


async def _assistants(request: Request) -> Assistants:
    return service_of(request).assistants


async def _crons(request: Request) -> Crons:
    return service_of(request).crons


async def _deliveries(request: Request) -> Deliveries:
    return service_of(request).deliveries


async def _store(request: Request) -> StoreItems:
    return service_of(request).store


async def _memories(request: Request) -> Memories:
    return service_of(request).memories


async def _users(request: Request) -> Users:
    return service_of(request).users


async def _metrics(request: Request) -> Metrics:
    return service_of(request).metrics


async def _now(request: Request) -> Now:
    return service_of(request).now


async def _models(request: Request) -> Models:
    return service_of(request).models


async def _toolbox(request: Request) -> Toolbox:
    return service_of(request).toolbox


async def _budgets(request: Request) -> Budgets:
    return service_of(request).budgets


InfoDep = Annotated[Info, Depends(_info)]
RunsDep = Annotated[Runs, Depends(_runs)]
ThreadEventsDep = Annotated[ThreadEvents, Depends(_events)]
SessionsDep = Annotated[Sessions, Depends(_sessions)]
ThreadsDep = Annotated[Threads, Depends(_threads)]
AssistantsDep = Annotated[Assistants, Depends(_assistants)]
CronsDep = Annotated[Crons, Depends(_crons)]
DeliveriesDep = Annotated[Deliveries, Depends(_deliveries)]
StoreDep = Annotated[StoreItems, Depends(_store)]
MemoriesDep = Annotated[Memories, Depends(_memories)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
NowDep = Annotated[Now, Depends(_now)]
ModelsDep = Annotated[Models, Depends(_models)]
ToolboxDep = Annotated[Toolbox, Depends(_toolbox)]
UsersDep = Annotated[Users, Depends(_users)]
BudgetsDep = Annotated[Budgets, Depends(_budgets)]
