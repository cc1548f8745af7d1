"""The composition root: opens everything in one lifespan, wires the rooms, mounts the routes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.datastructures import State
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from structlog import get_logger

from everturn.checkpoints.connect import open_memory
from everturn.checkpoints.local.data_dir import hold_data_dir
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.sessions import Sessions
from everturn.checkpoints.shared.circuits import RedisCircuits
from everturn.checkpoints.shared.event_log import EventLog, open_event_log
from everturn.checkpoints.shared.locks import LocalThreadLocks, RedisThreadLocks
from everturn.checkpoints.shared.peers import Peers, SinglePeer, open_peers
from everturn.checkpoints.shared.tool_cache import RedisResultStore
from everturn.checkpoints.sql.assistants import AssistantTable
from everturn.checkpoints.sql.crons import CronTable
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, open_group_commit
from everturn.checkpoints.sql.history import History
from everturn.checkpoints.sql.runs import RunRows
from everturn.checkpoints.sql.threads import ThreadTable
from everturn.graph.context import Context
from everturn.graph.errors import (
    InvalidAPIKey,
    InvalidContent,
    NoModelFits,
    NoModelLeft,
    ProviderFailed,
    RequestRefused,
    UnknownModel,
)
from everturn.graph.incoming import media_of_input
from everturn.graph.models.provider import Models, open_models
from everturn.graph.services import Services
from everturn.server.api import invoke as graphs
from everturn.server.api.agent_server import assistants, crons, runs, store, threads
from everturn.server.api.chat import messages as chat
from everturn.server.api.chat import sessions
from everturn.server.api.http.body_limit import AnnouncedBodyLimit
from everturn.server.api.http.cors import open_to_origins
from everturn.server.api.http.json import dumps, jsonable
from everturn.server.api.http.problems import Kind, document_errors, install_errors
from everturn.server.api.http.users_app import AroundTheService, surround
from everturn.server.api.operators import models as catalogue
from everturn.server.api.operators import system
from everturn.server.api.operators import tools as tool_routes
from everturn.server.observe.blocking import watch_for_blocking
from everturn.server.observe.metrics import Metrics
from everturn.server.projects.graphs import load_graphs
from everturn.server.projects.project import Project, load_project
from everturn.server.projects.store import load_store, warn_of_checkpointer
from everturn.server.resources.assistants import Assistants
from everturn.server.resources.expiry import sweep
from everturn.server.resources.sessions import Conversations
from everturn.server.resources.states import States
from everturn.server.resources.thread_status import Standing
from everturn.server.resources.threads import Threads
from everturn.server.runs.crons import Crons
from everturn.server.runs.recovery import watch_over
from everturn.server.runs.runs import Runs
from everturn.server.runs.webhooks import Webhooks
from everturn.server.settings import Settings
from everturn.server.streams.thread import Watch
from everturn.server.turns.engine import Engine
from everturn.tools import UnknownTool, find_tools
from everturn.tools.kit.mcp import open_mcp
from everturn.tools.kit.toolbox import Toolbox, ToolSource
from everturn.tools.kit.web import Web, open_web

log = get_logger(__name__)

_CATALOGUE_SECONDS, _CATALOGUE_RETRY_SECONDS = 3600.0, 60.0

AGENT_ERRORS: dict[type[Exception], Kind] = {
    InvalidAPIKey: Kind(503, "invalid-api-key"),
    NoModelLeft: Kind(503, "no-model-left"),
    ProviderFailed: Kind(503, "provider-failed"),
    RequestRefused: Kind(422, "request-refused"),
    UnknownModel: Kind(422, "unknown-model"),
    NoModelFits: Kind(422, "no-model-fits"),
    InvalidContent: Kind(422, "invalid-content"),
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
        project = load_project(settings.config)  # first: a wrong one opens nothing
        loaded, open_store = load_graphs(project), load_store(project)
        warn_of_checkpointer(project)
        with _data_dir(settings) as data_dir:
            async with (
                open_memory(redis_url, data_dir, appendfsync=settings.appendfsync) as redis,
                open_database(database_url, data_dir) as database,
                open_group_commit(database) as rows,
                # Who shares both stores shares runs.
                open_peers(redis, prefix=settings.redis_prefix)
                if redis_url and database_url
                else nullcontext(SinglePeer()) as peers,
                open_event_log(
                    redis, prefix=settings.redis_prefix, announced=not peers.single
                ) as events,
                open_store(database) as long_term,
                open_models(
                    settings,
                    # Services at one Redis see each other's open circuits.
                    RedisCircuits(redis, settings.account, settings.redis_prefix)
                    if redis_url
                    else None,
                ) as models,
                _kept_fresh(models),
                open_web(settings) as web,
                open_mcp(settings) as mcp,
                _users_app(project, app),
                watch_for_blocking(settings.blocking_warning),
            ):
                history = History(database, rows)
                saver = AsyncRedisSaver(redis, prefix=settings.redis_prefix)
                served = loaded.with_memory(saver, long_term)
                metrics = Metrics()
                toolbox = _toolbox(
                    settings, mcp, RedisResultStore(redis, settings.redis_prefix), metrics
                )
                services = Services(models=models, tools=toolbox, web=web)
                living = Sessions(redis, settings.session_ttl, settings.redis_prefix)
                engine = Engine(
                    served,
                    saver,
                    # The data folder has one server, so its threads need no lock in Redis.
                    RedisThreadLocks(redis, prefix=settings.redis_prefix)
                    if redis_url
                    else LocalThreadLocks(),
                    history,
                    services,
                    partial(_candidates, models, toolbox),
                    turn_timeout=settings.turn_timeout,
                    thread_wait=settings.thread_wait,
                )
                app.state.settings = settings
                app.state.engine = engine
                app.state.history = history
                app.state.store = long_term
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
                    everturn_version=app.version,
                    langgraph_py_version=version("langgraph"),
                    graphs=served.names,
                    models=models.catalogue.names,
                    memory="redis" if redis_url else "embedded",
                    history=database.dialect.name,
                )
                stores = _Stores(database, rows, events, peers)
                async with _agent_server(app.state, settings, engine, stores, saver, web):
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
    agent_server = (assistants, threads, crons, runs, store)
    api = (chat, sessions, catalogue, tool_routes, graphs, *agent_server, system)
    for routes in api:
        app.include_router(routes.router)
    install_errors(app, AGENT_ERRORS)
    app.add_middleware(AroundTheService)  # last, so that it is the outermost
    document_errors(app)
    open_to_origins(app, settings.cors_origins)  # outermost: errors too can be read by web pages
    return app


class _Stores(NamedTuple):
    """Where runs are kept, and who else runs them."""

    database: Database
    rows: GroupCommit
    events: EventLog
    peers: Peers


@asynccontextmanager
async def _agent_server(
    state: State,
    settings: Settings,
    engine: Engine,
    stores: _Stores,
    saver: AsyncRedisSaver,
    web: Web,
) -> AsyncIterator[None]:
    """Open what serves LangGraph's clients: assistants, threads, runs and crons."""
    database, rows, events, peers = stores
    state.assistants = assistants = Assistants(AssistantTable(database), engine.graphs)
    await assistants.begin()
    table, watch = ThreadTable(database), Watch(peers)
    standing = Standing(table, engine, jsonable)
    webhooks = Webhooks(web.post, web.check, _secret(settings.webhook_secret))
    state.runs = runs = Runs(
        engine,
        RunRows(database, rows, peers.name),
        events,
        assistants,
        standing,
        peers,
        watch,
        webhooks,
        dumps,
    )
    state.crons = crons = Crons(CronTable(database), runs, assistants, standing, peers)
    states = States(table, engine, saver, jsonable=jsonable, edited=watch.edited)
    state.threads = threads = Threads(
        table, states, engine, saver, state.sessions, cancel_runs=runs.cancel_thread
    )
    if peers.single:  # whatever is unfinished was begun by a process before this one
        await runs.adopt(await peers.heartbeat())
    async with (
        _beside(sweep(threads), "threads that expire"),
        _beside(crons.keep_time(), "crons"),
        nullcontext() if peers.single else _beside(watch_over(peers, runs), "peers' runs"),
    ):
        yield
    await runs.close()
    await webhooks.close()


def _toolbox(
    settings: Settings, sources: Sequence[ToolSource], store: RedisResultStore, metrics: Metrics
) -> Toolbox:
    """Put the tools together, and say which of those to be approved there are not."""
    found = find_tools(settings.tool_paths)
    toolbox = Toolbox(found, sources, settings=settings, store=store, meter=metrics)
    for pattern in toolbox.unmatched_approvals():
        log.warning("no_tool_to_approve", name=pattern, tools=sorted(found.tools))
    return toolbox


def _candidates(models: Models, toolbox: Toolbox, context: object, given: object) -> Sequence[str]:
    """Check what a context names and an input shows; return the models that would be asked."""
    if not isinstance(context, Context):
        return ()
    toolbox.check(context.tools)
    return models.candidates(context, media=media_of_input(given))


def _data_dir(settings: Settings) -> AbstractContextManager[Path]:
    """Hold the data folder, where anything is kept in it: then it can have one server only."""
    if settings.redis_url and settings.database_url:
        return nullcontext(settings.data_dir)
    return hold_data_dir(settings.data_dir)


@asynccontextmanager
async def _users_app(project: Project, app: FastAPI) -> AsyncIterator[None]:
    """Let the app that `http.app` names stand around this one, and live as long."""
    target = project.section("http").get("app")
    if target is None:
        yield
        return
    users = surround(project.load(target, "http.app"), f"{project.path}: http.app")
    async with users.router.lifespan_context(users) as state:
        app.state.users_app, app.state.users_state = users, state or {}
        yield


@asynccontextmanager
async def _kept_fresh(models: Models) -> AsyncIterator[None]:
    """Read the provider's catalogue now and then; the one that is known serves meanwhile."""

    async def refresh() -> None:
        while True:
            wait = _CATALOGUE_SECONDS
            try:
                await models.refresh()
            except Exception as error:
                log.warning("catalogue_not_refreshed", error=str(error))
                wait = _CATALOGUE_RETRY_SECONDS
            await asyncio.sleep(wait)

    async with _beside(refresh(), "catalogue"):
        yield


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Let something without an end go on beside the service."""
    working = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait({working})


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
