"""The composition root: opens everything in one lifespan, wires the rooms, mounts the routes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from structlog import get_logger

from checkpoints.breaker import RedisCircuits
from checkpoints.data_dir import hold_data_dir
from checkpoints.database import open_database
from checkpoints.history import open_history
from checkpoints.locks import LocalThreadLocks, RedisThreadLocks
from checkpoints.memory import open_memory
from checkpoints.redis import AsyncRedisSaver
from checkpoints.sessions import Sessions
from checkpoints.tool_cache import RedisResultStore
from graph.context import Context
from graph.errors import (
    InvalidAPIKey,
    NoModelFits,
    NoModelLeft,
    ProviderFailed,
    RequestRefused,
    UnknownModel,
)
from graph.models.provider import Models, open_models
from graph.services import Services
from server.api import catalogue, chat, graphs, sessions, system
from server.api import tools as tool_routes
from server.api.body_limit import AnnouncedBodyLimit
from server.api.errors import Kind, document_errors, install_errors
from server.metrics import Metrics
from server.runs.conversations import Conversations
from server.runs.engine import Engine
from server.runs.graphs import load_graphs
from server.settings import Settings
from tools import UnknownTool, find_tools
from tools.kit.toolbox import Toolbox
from tools.kit.web import open_web

log = get_logger(__name__)

_CATALOGUE_SECONDS = 3600

AGENT_ERRORS: dict[type[Exception], Kind] = {
    InvalidAPIKey: Kind(503, "invalid-api-key"),
    NoModelLeft: Kind(503, "no-model-left"),
    ProviderFailed: Kind(503, "provider-failed"),
    RequestRefused: Kind(422, "request-refused"),
    UnknownModel: Kind(422, "unknown-model"),
    NoModelFits: Kind(422, "no-model-fits"),
    UnknownTool: Kind(422, "unknown-tool"),
}


def create_app(settings: Settings) -> FastAPI:
    """Build the service. Nothing is opened before its lifespan begins.

    The lifespan raises `CheckpointsError` where a store or the data folder cannot be used, and
    `ConfigError` where `langgraph.json` cannot be served; both say what to do.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        redis_url, database_url = _secret(settings.redis_url), _secret(settings.database_url)
        loaded = load_graphs(settings.config)  # first: a wrong one opens nothing
        with _data_dir(settings) as data_dir:
            async with (
                open_memory(redis_url, data_dir, appendfsync=settings.appendfsync) as redis,
                open_database(database_url, data_dir) as database,
                open_history(database) as history,
                open_models(
                    settings,
                    # Services at one Redis see each other's open circuits.
                    RedisCircuits(redis, settings.account, settings.redis_prefix)
                    if redis_url
                    else None,
                ) as models,
                _kept_fresh(models),
                open_web(settings) as web,
            ):
                saver = AsyncRedisSaver(redis, prefix=settings.redis_prefix)
                served = loaded.with_memory(saver)
                metrics = Metrics()
                toolbox = _toolbox(
                    settings, RedisResultStore(redis, settings.redis_prefix), metrics
                )
                living = Sessions(redis, settings.session_ttl, settings.redis_prefix)
                engine = Engine(
                    served,
                    saver,
                    # The data folder has one server, so its threads need no lock in Redis.
                    RedisThreadLocks(redis, prefix=settings.redis_prefix)
                    if redis_url
                    else LocalThreadLocks(),
                    history,
                    Services(models=models, tools=toolbox, web=web),
                    partial(_candidates, models, toolbox),
                    turn_timeout=settings.turn_timeout,
                    thread_wait=settings.thread_wait,
                )
                app.state.settings = settings
                app.state.engine = engine
                app.state.history = history
                app.state.sessions = living
                app.state.metrics = metrics
                app.state.toolbox = toolbox
                app.state.conversations = Conversations(
                    engine,
                    living,
                    ttl=settings.session_ttl,
                    window=settings.window,
                    max_message_length=settings.max_message_length,
                )
                app.state.models = models
                app.state.info = system.Info(
                    version=app.version,
                    langgraph_version=version("langgraph"),
                    graphs=served.names,
                    models=models.catalogue.names,
                    memory="redis" if redis_url else "embedded",
                    history=database.dialect.name,
                )
                yield

    app = FastAPI(
        title="Everturn",
        summary="Every turn gets an answer, and no acknowledged turn is lost.",
        version=version("everturn"),
        lifespan=lifespan,
        middleware=[
            Middleware(limit, max_body_size=settings.max_body_size)
            for limit in (AnnouncedBodyLimit, RequestBodyLimitMiddleware)
        ],
    )
    for routes in (chat, sessions, catalogue, tool_routes, graphs, system):
        app.include_router(routes.router)
    install_errors(app, AGENT_ERRORS)
    document_errors(app)
    return app


def _toolbox(settings: Settings, store: RedisResultStore, metrics: Metrics) -> Toolbox:
    """Put the tools together, and say which of those to be approved there are not."""
    found = find_tools(settings.tool_paths)
    toolbox = Toolbox(found, sources=[], settings=settings, store=store, meter=metrics)
    for pattern in toolbox.unmatched_approvals():
        log.warning("no_tool_to_approve", name=pattern, tools=sorted(found.tools))
    return toolbox


def _candidates(models: Models, toolbox: Toolbox, context: object) -> Sequence[str]:
    """Check what a context names; return the models that it would ask."""
    if not isinstance(context, Context):
        return ()
    toolbox.check(context.tools)
    return models.candidates(context)


def _data_dir(settings: Settings) -> AbstractContextManager[Path]:
    """Hold the data folder, where anything is kept in it: then it can have one server only."""
    if settings.redis_url and settings.database_url:
        return nullcontext(settings.data_dir)
    return hold_data_dir(settings.data_dir)


@asynccontextmanager
async def _kept_fresh(models: Models) -> AsyncIterator[None]:
    """Read the provider's catalogue now and then; the one that is known serves meanwhile."""

    async def refresh() -> None:
        while True:
            try:
                await models.refresh()
            except Exception as error:
                log.warning("catalogue_not_refreshed", error=str(error))
            await asyncio.sleep(_CATALOGUE_SECONDS)

    refreshing = asyncio.create_task(refresh(), name="catalogue")
    try:
        yield
    finally:
        refreshing.cancel()
        await asyncio.wait({refreshing})


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
