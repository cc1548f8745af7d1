"""The composition root: opens everything in one lifespan, wires the rooms, mounts the routes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

from fastapi import FastAPI
from langgraph.store.base import BaseStore
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from structlog import get_logger

from everturn.checkpoints.connect import Client, open_memory
from everturn.checkpoints.local.data_dir import hold_data_dir
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.shared.circuits import RedisCircuits
from everturn.checkpoints.shared.event_log import EventLog, open_event_log
from everturn.checkpoints.shared.locks import LocalThreadLocks, RedisThreadLocks
from everturn.checkpoints.shared.old_sessions import move_sessions
from everturn.checkpoints.shared.peers import Peers, SinglePeer, open_peers
from everturn.checkpoints.shared.tool_cache import RedisResultStore
from everturn.checkpoints.sql.assistants import AssistantTable
from everturn.checkpoints.sql.crons import CronTable
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, open_group_commit
from everturn.checkpoints.sql.history import History
from everturn.checkpoints.sql.migrations.others import count_tables_of_others
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
from everturn.server.api import invoke
from everturn.server.api.agent_server import assistants as assistant_routes
from everturn.server.api.agent_server import crons as cron_routes
from everturn.server.api.agent_server import runs as run_routes
from everturn.server.api.agent_server import store as store_routes
from everturn.server.api.agent_server import threads as thread_routes
from everturn.server.api.chat import messages as message_routes
from everturn.server.api.chat import sessions as session_routes
from everturn.server.api.http.body_limit import AnnouncedBodyLimit
from everturn.server.api.http.cors import PlainTextJson, cors_options, origin_pattern
from everturn.server.api.http.deps import Info, Service
from everturn.server.api.http.json import dumps, jsonable
from everturn.server.api.http.problems import (
    Kind,
    UnexpectedErrors,
    answer_errors,
    document_errors,
)
from everturn.server.api.http.users_app import AroundTheService, surround
from everturn.server.api.operators import models as model_routes
from everturn.server.api.operators import system
from everturn.server.api.operators import tools as tool_routes
from everturn.server.environment import WrongSetting
from everturn.server.observe.metrics import Metrics
from everturn.server.own_graphs import asks_our_models
from everturn.server.projects.graphs import Graphs, load_graphs
from everturn.server.projects.project import Project, load_project
from everturn.server.projects.store import load_store, warn_of_checkpointer
from everturn.server.resources.assistants import Assistants
from everturn.server.resources.expiry import sweep
from everturn.server.resources.sessions import Sessions
from everturn.server.resources.states import States
from everturn.server.resources.thread_status import ThreadStatus
from everturn.server.resources.threads import Threads
from everturn.server.runs.crons import Crons
from everturn.server.runs.recovery import watch_over
from everturn.server.runs.runs import Runs
from everturn.server.runs.webhooks import Webhooks
from everturn.server.settings import ServerSettings, Settings
from everturn.server.streams.thread import Watch
from everturn.server.turns.engine import Engine
from everturn.server.turns.memory import ThreadMemory
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
        project = load_project(settings.server.config)  # first: a wrong one opens nothing
        loaded, open_store = load_graphs(project), load_store(project)
        warn_of_checkpointer(project)
        app.state.asks_models = asks_our_models(loaded)
        if app.state.asks_models and settings.refused_models:
            raise WrongSetting(settings.refused_models)
        provider = settings.models if app.state.asks_models else settings.models.without_provider()
        async with (
            _stores(settings) as stores,
            open_store(stores.database) as store,
            open_models(provider, _shared_circuits(settings, stores)) as models,
            _catalogue_refreshed(models),
            open_web(settings.web) as web,
            open_mcp(settings.mcp) as mcp,
            _users_app(project, app),
            _service(settings, loaded, stores, store, models, web, mcp) as app.state.service,
        ):
            app.state.tables_of_others = await stores.database.read(count_tables_of_others)
            yield

    app = FastAPI(
        title="Everturn",
        summary="Every turn gets an answer, and no acknowledged turn is lost.",
        version=version("everturn"),
        lifespan=lifespan,
        middleware=request_path(settings.server),
    )
    for routes in (
        *(message_routes, session_routes, model_routes, tool_routes, invoke),
        *(assistant_routes, thread_routes, cron_routes, run_routes, store_routes, system),
    ):
        app.include_router(routes.router)
    answer_errors(app, AGENT_ERRORS)
    document_errors(app)
    return app


def request_path(settings: ServerSettings) -> list[Middleware]:
    """Return what a request goes through on its way to a route, the outermost first."""
    origins = origin_pattern(settings.cors_origins)
    size = {"max_body_size": settings.max_body_size}
    return [
        Middleware(CORSMiddleware, **cors_options(origins)),  # errors too can be read by web pages
        Middleware(PlainTextJson, origins=origins),  # Studio's JSON, which comes as text
        Middleware(AroundTheService),  # `http.app`, whose middleware sees every request
        Middleware(UnexpectedErrors),  # a bug anywhere below is a 500
        Middleware(AnnouncedBodyLimit, **size),  # by Content-Length, before a byte is read
        Middleware(RequestBodyLimitMiddleware, **size),  # and as the bytes come
    ]


class _Stores(NamedTuple):
    """Where everything is kept, and which other processes share it."""

    redis: Client
    database: Database
    rows: GroupCommit
    events: EventLog
    peers: Peers


@asynccontextmanager
async def _stores(settings: Settings) -> AsyncIterator[_Stores]:
    """Open Redis and the database, or the data folder where they are not named."""
    redis_url, database_url = (
        _secret(settings.stores.redis_url),
        _secret(settings.stores.database_url),
    )
    prefix = settings.stores.redis_prefix
    # Processes that share both stores share their runs.
    shared = bool(redis_url and database_url)
    folder = (
        nullcontext(settings.stores.data_dir) if shared else hold_data_dir(settings.stores.data_dir)
    )
    with folder as data_dir:
        async with (
            open_memory(redis_url, data_dir, appendfsync=settings.stores.appendfsync) as redis,
            open_database(database_url, data_dir) as database,
            open_group_commit(database) as rows,
            open_peers(redis, prefix=prefix) if shared else nullcontext(SinglePeer()) as peers,
            open_event_log(redis, prefix=prefix, announced=shared) as events,
        ):
            yield _Stores(redis, database, rows, events, peers)


@asynccontextmanager
async def _service(
    settings: Settings,
    loaded: Graphs,
    stores: _Stores,
    store: BaseStore,
    models: Models,
    web: Web,
    mcp: Sequence[ToolSource],
) -> AsyncIterator[Service]:
    """Wire the rooms, and run what goes on beside the requests."""
    redis, database, rows, events, peers = stores
    prefix = settings.stores.redis_prefix
    table = ThreadTable(database)
    await move_sessions(redis, table, prefix=prefix, lifetime=settings.server.session_ttl)

    saver = AsyncRedisSaver(redis, prefix=prefix)
    graphs = loaded.with_memory(saver, store)
    metrics = Metrics()
    toolbox = _toolbox(settings, mcp, RedisResultStore(redis, prefix), metrics)
    engine = Engine(
        graphs,
        # The data folder has one server, so its threads need no lock in Redis.
        RedisThreadLocks(redis, prefix=prefix) if settings.stores.redis_url else LocalThreadLocks(),
        Services(models=models, tools=toolbox, web=web),
        partial(_candidates, models, toolbox),
        turn_timeout=settings.models.turn_timeout,
        thread_wait=settings.server.thread_wait,
    )
    memory, history, watch = ThreadMemory(saver, graphs), History(database), Watch(peers)
    webhooks = Webhooks(web.post, web.check, _secret(settings.server.webhook_secret))
    assistants = Assistants(AssistantTable(database), graphs)
    await assistants.begin()
    status = ThreadStatus(table, memory, jsonable)
    run_rows = RunRows(database, rows, peers.name)
    runs = Runs(
        engine,
        memory,
        run_rows,
        events,
        assistants,
        status,
        peers,
        watch,
        webhooks,
        metrics,
        dumps,
    )
    crons = Crons(CronTable(database), runs, assistants, status, peers)
    states = States(table, engine, saver, jsonable=jsonable, edited=watch.edited)
    threads = Threads(table, states, engine, memory, saver, history, runs)
    sessions = Sessions(
        table,
        threads,
        memory,
        history,
        graphs,
        lifetime=settings.server.session_ttl,
        window=settings.server.window,
        max_message_length=settings.server.max_message_length,
    )
    if peers.single:  # whatever is unfinished was started by a process before this one
        await runs.adopt(await peers.heartbeat())
    async with (
        _background(sweep(threads), "threads that expire"),
        _background(crons.keep_time(), "crons"),
        nullcontext() if peers.single else _background(watch_over(peers, runs), "peers' runs"),
    ):
        yield Service(
            settings=settings.server,
            info=_info(settings, stores, graphs, models),
            runs=runs,
            sessions=sessions,
            threads=threads,
            assistants=assistants,
            crons=crons,
            store=store,
            history=history,
            metrics=metrics,
            models=models,
            toolbox=toolbox,
        )
    await runs.close()
    await webhooks.close()


def _info(settings: Settings, stores: _Stores, graphs: Graphs, models: Models) -> Info:
    return Info(
        everturn_version=version("everturn"),
        langgraph_py_version=version("langgraph"),
        graphs=graphs.names,
        models=models.catalogue.names,
        memory="redis" if settings.stores.redis_url else "embedded",
        history=stores.database.dialect.name,
    )


def _shared_circuits(settings: Settings, stores: _Stores) -> RedisCircuits | None:
    """Services at one Redis see each other's open circuits."""
    if settings.stores.redis_url is None:
        return None
    return RedisCircuits(stores.redis, settings.models.account, settings.stores.redis_prefix)


def _toolbox(
    settings: Settings, sources: Sequence[ToolSource], store: RedisResultStore, metrics: Metrics
) -> Toolbox:
    """Put the tools together, and say which of those to be approved there are not."""
    found = find_tools(settings.tools.tool_paths)
    toolbox = Toolbox(found, sources, settings=settings.tools, store=store, meter=metrics)
    for pattern in toolbox.unmatched_approvals():
        log.warning("no_tool_to_approve", name=pattern, tools=sorted(found.tools))
    return toolbox


def _candidates(models: Models, toolbox: Toolbox, context: object, given: object) -> Sequence[str]:
    """Check what a context names and an input shows; return the models that would be asked."""
    if not isinstance(context, Context):
        return ()
    toolbox.check(context.tools)
    return models.candidates(context, media=media_of_input(given))


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
async def _catalogue_refreshed(models: Models) -> AsyncIterator[None]:
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

    async with _background(refresh(), "catalogue"):
        yield


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Let something without an end go on beside the service."""
    working = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait({working})


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
