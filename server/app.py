"""The composition root: opens everything in one lifespan, wires the rooms, mounts the routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI
from langgraph.store.base import BaseStore
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from structlog import get_logger

from everturn import __version__
from everturn.checkpoints.cancelling import cancelled
from everturn.checkpoints.confidential import Safe
from everturn.checkpoints.connect import Client, open_memory
from everturn.checkpoints.housekeeping import Housekeeping
from everturn.checkpoints.local.data_dir import hold_data_dir, share_data_dir
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.settings import StoreSettings
from everturn.checkpoints.shared.answers import RedisAnswerStore
from everturn.checkpoints.shared.circuits import RedisCircuits
from everturn.checkpoints.shared.event_log import EventLog, open_event_log
from everturn.checkpoints.shared.limits import RedisLimits
from everturn.checkpoints.shared.locks import LocalThreadLocks, RedisThreadLocks
from everturn.checkpoints.shared.now import NowCopies
from everturn.checkpoints.shared.old_sessions import move_sessions
from everturn.checkpoints.shared.peers import Peers, SinglePeer, open_peers
from everturn.checkpoints.shared.runs_at_once import RedisRunsAtOnce
from everturn.checkpoints.shared.spending import Spending
from everturn.checkpoints.shared.tool_cache import RedisResultStore
from everturn.checkpoints.sql.adoption import Adoption
from everturn.checkpoints.sql.assistants import AssistantTable
from everturn.checkpoints.sql.crons import CronTable
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.group_commit import GroupCommit, open_group_commit
from everturn.checkpoints.sql.history import History
from everturn.checkpoints.sql.idempotency import KeyTable
from everturn.checkpoints.sql.migrations.others import count_tables_of_others
from everturn.checkpoints.sql.quiet import QuietSessions
from everturn.checkpoints.sql.runs import RunRows
from everturn.checkpoints.sql.threads import ThreadTable
from everturn.checkpoints.sql.users import UserRows
from everturn.checkpoints.sql.webhooks import WebhookTable
from everturn.graph.cache.key import caller_name, owner_part
from everturn.graph.cache.response_cache import ResponseCache
from everturn.graph.context import Context, TeamContext
from everturn.graph.errors import (
    InvalidAPIKey,
    InvalidContent,
    InvalidSchema,
    NoModelFits,
    NoModelLeft,
    ProviderFailed,
    RequestRefused,
    UnknownModel,
)
from everturn.graph.incoming import media_of_input
from everturn.graph.models.provider import Models, open_models
from everturn.graph.models.response_schema import schema_of
from everturn.graph.services import Services
from everturn.graph.specialists import check_specialists
from everturn.graph.summaries.summaries import MAX_BYTES as SUMMARIES_BYTES
from everturn.graph.summaries.summaries import Summaries
from everturn.graph.texts import characters_of
from everturn.server.access.access import Access
from everturn.server.access.budgets import Budgets
from everturn.server.access.limits import rate_limits
from everturn.server.access.oauth_settings import OAuthSettings
from everturn.server.access.own_stores import LABEL, OwnStores
from everturn.server.access.own_stores import label_of as owner_label
from everturn.server.access.sign_in import SignInAtProvider
from everturn.server.api import invoke
from everturn.server.api.agent_server import assistants as assistant_routes
from everturn.server.api.agent_server import commands as command_routes
from everturn.server.api.agent_server import crons as cron_routes
from everturn.server.api.agent_server import runs as run_routes
from everturn.server.api.agent_server import stateless_runs as stateless_routes
from everturn.server.api.agent_server import store as store_routes
from everturn.server.api.agent_server import thread_events as event_routes
from everturn.server.api.agent_server import thread_socket as socket_routes
from everturn.server.api.agent_server import thread_states as state_routes
from everturn.server.api.agent_server import threads as thread_routes
from everturn.server.api.chat import export as export_routes
from everturn.server.api.chat import memories as memory_routes
from everturn.server.api.chat import messages as message_routes
from everturn.server.api.chat import sessions as session_routes
from everturn.server.api.http import docs
from everturn.server.api.http.authentication import Authentication
from everturn.server.api.http.body_limit import AnnouncedBodyLimit, CallersBodyLimit
from everturn.server.api.http.body_values import BodyValuesLimit
from everturn.server.api.http.closed import without_closed
from everturn.server.api.http.configurable_headers import ConfigurableHeaders
from everturn.server.api.http.cors import (
    PageOrigins,
    PlainTextJson,
    allowed_origins,
    cors_options,
)
from everturn.server.api.http.deps import Info, Service
from everturn.server.api.http.hosts import OwnNames, OwnPagesOnly
from everturn.server.api.http.json import dumps, jsonable
from everturn.server.api.http.loopback import KnownInside, reachable_inside
from everturn.server.api.http.methods import in_order
from everturn.server.api.http.mount_prefix import MountPrefix
from everturn.server.api.http.own_routes import OwnRoutes
from everturn.server.api.http.problems import (
    Kind,
    UnexpectedErrors,
    answer_errors,
    document_errors,
)
from everturn.server.api.http.proxies import BehindProxies, Proxies
from everturn.server.api.http.rate_limit import RateLimit
from everturn.server.api.http.request_id import RequestId
from everturn.server.api.http.request_spans import RequestSpans
from everturn.server.api.http.security import document_auth
from everturn.server.api.http.security_headers import SecurityHeaders
from everturn.server.api.http.users_app import AroundTheService
from everturn.server.api.operators import metrics as metric_routes
from everturn.server.api.operators import models as model_routes
from everturn.server.api.operators import now as now_routes
from everturn.server.api.operators import system
from everturn.server.api.operators import tools as tool_routes
from everturn.server.api.operators import usage as usage_routes
from everturn.server.api.operators import users as user_routes
from everturn.server.api.operators import webhooks as webhook_routes
from everturn.server.api.page import routes as page_routes
from everturn.server.api.page.page import Page
from everturn.server.entrance import Entrance
from everturn.server.errors import ConfigError
from everturn.server.loading import Loaded, load_all
from everturn.server.observe.audit import audited_to
from everturn.server.observe.context import hash_callers_by
from everturn.server.observe.langsmith import open_langsmith
from everturn.server.observe.metrics import Metrics
from everturn.server.observe.now.others import Others
from everturn.server.observe.now.watch import Now
from everturn.server.observe.traces import open_traces, traces_wanted
from everturn.server.own_embeddings import meaning_of
from everturn.server.own_graphs import asks_our_models, provider_of, remembers
from everturn.server.own_guards import admitted_to, guards_of
from everturn.server.projects.checkpointer import load_cipher, load_serde, thread_ttl
from everturn.server.projects.config import Http, ThreadTTL
from everturn.server.projects.graphs import Graphs
from everturn.server.projects.imports import off_the_loop
from everturn.server.projects.project import Project, read_project
from everturn.server.resources.assistants import Assistants
from everturn.server.resources.deliveries import Deliveries
from everturn.server.resources.distilling import Distilling
from everturn.server.resources.expiry import sweep
from everturn.server.resources.memories import Memories
from everturn.server.resources.retention import keep_house
from everturn.server.resources.sessions import Sessions
from everturn.server.resources.states import States
from everturn.server.resources.store_items import StoreItems
from everturn.server.resources.thread_status import ThreadStatus
from everturn.server.resources.threads import Threads
from everturn.server.resources.users import Users
from everturn.server.runs.admission import Admission
from everturn.server.runs.at_once import RunsAtOnce
from everturn.server.runs.crons import Crons
from everturn.server.runs.idempotency import Keys
from everturn.server.runs.recovery import watch_over
from everturn.server.runs.runs import Runs
from everturn.server.runs.slots import Slots
from everturn.server.runs.thread_events import ThreadEvents
from everturn.server.runs.webhook_policy import load_policy
from everturn.server.runs.webhooks import Webhooks
from everturn.server.settings import ServerSettings, Settings
from everturn.server.streams.thread import Watch
from everturn.server.turns.engine import Engine
from everturn.server.turns.lost_memory import LostMemory
from everturn.server.turns.memory import ThreadMemory
from everturn.tools import UnknownTool, find_tools
from everturn.tools.kit.mcp.sources import open_mcp
from everturn.tools.kit.toolbox import Toolbox, ToolSource
from everturn.tools.kit.web import Web, open_web
from everturn.tools.providers.memories.memories import (
    InvalidMemory,
    MemoryNotFound,
    TooManyMemories,
)
from everturn.tools.providers.memories.memories import Memories as MemoriesOfUser
from everturn.tools.providers.memories.settings import MEMORY_TOOLS, MemorySettings
from everturn.tools.providers.memories.whose import ROOT, is_of, label_of, namespace_of

if TYPE_CHECKING:
    from everturn.server.observe.otel.traces import Traces

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
    InvalidSchema: Kind(422, "invalid-schema"),
    UnknownTool: Kind(422, "unknown-tool"),
    InvalidMemory: Kind(422, "invalid-memory"),
    TooManyMemories: Kind(409, "too-many-memories"),
    MemoryNotFound: Kind(404, "memory-not-found"),
}


def create_app(settings: Settings, *, several: bool = False, listens: bool = True) -> FastAPI:
    """Build the service. `langgraph.json` is read; nothing is opened before its lifespan begins.

    With `several` it is one of the processes that share a data folder: see `share_data_dir`.
    Those at one Redis and one database that are named share these anyway. What no client can
    reach, as it does not `listens`, needs nobody who may enter.

    The lifespan raises `CheckpointsError` where a store or the data folder cannot be used, and
    both raise `ConfigError` where `langgraph.json` cannot be served; all say what to do.
    """
    background = _takes_background(settings, several=several, listens=listens)
    named = "config" in settings.server.model_fields_set
    project = read_project(settings.server.config, named=named)
    http = project.keys.http
    entrance = Entrance(settings, project, listens=listens)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _observed(settings), reachable_inside(app):
            # First: a wrong project opens nothing.
            loaded = await off_the_loop(partial(load_all, project, entrance.own))
            app.state.gate = loaded.gate(settings.server.max_body_size)
            app.state.asks_models = asks_our_models(loaded.graphs)
            provider = provider_of(settings, asked=app.state.asks_models)
            async with (
                open_traces() as app.state.traces,  # first: they send what the last runs leave
                open_langsmith(),
                _stores(settings, several=several) as stores,
                open_models(provider, _shared_circuits(settings, stores)) as models,
                loaded.open_store(stores.database, await meaning_of(models)) as store,
                _catalogue_refreshed(models),
                open_web(settings.web) as web,
                entrance.opened(
                    stores.database, stores.rows, partial(web.read, "The identity provider")
                ),
                open_mcp(settings.mcp) as mcp,
                _service(
                    *(settings, project, loaded, stores, store, models, web, mcp),
                    OwnRoutes(app, web),
                    app.state.traces,
                    background=background,
                ) as app.state.service,
                loaded.users_app_around(app),  # which may ask the service as it starts
                _going_on(
                    app.state.service,
                    stores.peers,
                    thread_ttl(project),
                    _distilling(settings, app.state.service, stores, models, loaded.graphs),
                ),
                _kept_as_set(settings.stores, stores, app.state.service.metrics),
            ):
                app.state.rate_limits = rate_limits(
                    settings.limits,
                    RedisLimits(stores.redis, settings.stores.redis_prefix),
                    app.state.service.metrics.limit_hit,
                    auth=app.state.gate is not None,
                )
                if page is not None:
                    page.guarded = app.state.gate is not None
                    page.sign_in = _sign_in(settings.oauth, web)
                app.state.tables_of_others = await stores.database.read(count_tables_of_others)
                stores.database.clients_wait = True
                yield

    app = FastAPI(
        title="Everturn",
        summary="Every turn gets an answer, and no acknowledged turn is lost.",
        version=__version__,
        docs_url=None,  # FastAPI's own page comes from another origin; see `docs`
        redoc_url=None,
        lifespan=lifespan,
        middleware=request_path(settings.server, http),
        openapi_url=None if http.disable_meta else "/openapi.json",
        telemetry={"tracing": not traces_wanted()},  # FastAPI's own spans; older ones have none
    )
    page = app.state.page = (
        Page(http.mount_prefix) if settings.server.page and not http.disable_ui else None
    )
    doors = (
        *([page_routes] if page else []),
        *(message_routes, session_routes, export_routes, model_routes, tool_routes, invoke),
        *(assistant_routes, thread_routes, state_routes, cron_routes, run_routes),
        *(command_routes, event_routes, socket_routes, stateless_routes, store_routes),
        *(memory_routes, user_routes, usage_routes, webhook_routes, now_routes, system, docs),
        *([metric_routes] if settings.observe.metrics_port is None else []),
    )
    app.state.routes = in_order(without_closed(door.router, http) for door in doors)
    # `include_router` would make each of them anew, at the first request: 0.15 s of it.
    app.router.routes.extend(app.state.routes.routes)
    app.state.mount_prefix = http.mount_prefix
    answer_errors(app, AGENT_ERRORS)
    document_errors(app)
    document_auth(app)
    return app


def _takes_background(settings: Settings, *, several: bool, listens: bool) -> bool:
    """Say whether runs of the background begin in this process.

    Raises:
        ConfigError: they would begin in none.
    """
    if settings.server.role == "all" or not listens:
        return True
    if settings.stores.local and not several:
        raise ConfigError(
            "EVERTURN_ROLE=api leaves runs of the background to `everturn worker`, which cannot "
            "share the data folder of one process: name EVERTURN_REDIS_URL and "
            "EVERTURN_DATABASE_URL, or leave EVERTURN_ROLE out."
        )
    return False


def request_path(settings: ServerSettings, http: Http) -> list[Middleware]:
    """Return what a request goes through on its way to a route, the outermost first."""
    origins = allowed_origins(settings, http.cors)
    size = {"max_body_size": settings.max_body_size}
    prefix, headers = http.mount_prefix, http.configurable_headers
    names = OwnNames(settings.host, settings.allowed_hosts)
    proxies = Proxies(settings.trusted_proxies)
    return [
        Middleware(RequestId),
        Middleware(SecurityHeaders),
        *([Middleware(BehindProxies, proxies=proxies)] if proxies else []),  # whose client is it?
        Middleware(OwnPagesOnly, names=names, origins=origins),  # no DNS rebinding, no forgery
        # Errors too can be read by web pages.
        Middleware(PageOrigins, **cors_options(origins, http.cors)),
        *([Middleware(MountPrefix, prefix=prefix)] if prefix else []),  # from here on without it
        Middleware(PlainTextJson),  # Studio's JSON, which comes as text
        *([Middleware(ConfigurableHeaders, patterns=headers)] if headers else []),
        *([Middleware(RequestSpans)] if traces_wanted() else []),
        Middleware(KnownInside),  # what is started here can ask the service without a URL
        Middleware(Authentication, place="first"),  # with `middleware_order: auth_first`
        Middleware(AroundTheService),  # `http.app`, whose middleware sees every request
        Middleware(UnexpectedErrors),  # a bug anywhere below is a 500
        Middleware(AnnouncedBodyLimit, **size),  # by Content-Length, before a byte is read
        Middleware(RequestBodyLimitMiddleware, **size),  # and as the bytes come
        # Nobody comes to a route without a user, where there is `auth`: nor does the body.
        Middleware(Authentication),
        Middleware(CallersBodyLimit),  # nor more of it than who asks may send
        Middleware(BodyValuesLimit),  # few bytes can be many values
        Middleware(RateLimit),  # and nobody too often
    ]


@asynccontextmanager
async def _observed(settings: Settings) -> AsyncIterator[None]:
    """Say whom the log means by which name, and where the audit goes."""
    derived = filter(None, map(_secret, (settings.stores.database_url, settings.stores.aes_key)))
    hash_callers_by(_secret(settings.observe.caller_key) or " ".join(derived))
    with audited_to(settings.observe.audit_file):
        yield


class _Stores(NamedTuple):
    """Where everything is kept, and which other processes share it."""

    redis: Client
    database: Database
    rows: GroupCommit
    events: EventLog
    peers: Peers


@asynccontextmanager
async def _stores(settings: Settings, *, several: bool) -> AsyncIterator[_Stores]:
    """Open Redis and the database, or the data folder where they are not named."""
    redis_url, database_url = (
        _secret(settings.stores.redis_url),
        _secret(settings.stores.database_url),
    )
    prefix = settings.stores.redis_prefix
    # Processes that share both stores share their runs.
    shared = several or not settings.stores.local
    with _data_dir(settings.stores, several=several) as data_dir:
        async with (
            open_memory(redis_url, data_dir, appendfsync=settings.stores.appendfsync) as redis,
            open_database(database_url, data_dir) as database,
            open_group_commit(database) as rows,
            open_peers(redis, prefix=prefix, lease=settings.stores.lease)
            if shared
            else nullcontext(SinglePeer()) as peers,
            open_event_log(
                redis, prefix=prefix, ttl=settings.stores.keep_events, announced=shared
            ) as events,
        ):
            database.clients_wait = False  # until the start is over
            yield _Stores(redis, database, rows, events, peers)


def _data_dir(stores: StoreSettings, *, several: bool) -> AbstractContextManager[Path]:
    if not stores.local:
        return nullcontext(stores.data_dir)
    return share_data_dir(stores.data_dir) if several else hold_data_dir(stores.data_dir)


@asynccontextmanager
async def _service(
    settings: Settings,
    project: Project,
    loaded: Loaded,
    stores: _Stores,
    store: BaseStore,
    models: Models,
    web: Web,
    mcp: Sequence[ToolSource],
    own_routes: OwnRoutes,
    traces: "Traces | None",
    *,
    background: bool,
) -> AsyncIterator[Service]:
    """Wire the rooms; `background` says whether runs of the background begin here."""
    redis, database, rows, events, peers = stores
    prefix = settings.stores.redis_prefix
    ttl = thread_ttl(project)
    keep = settings.stores.ttl_of_unused
    table = ThreadTable(database, ttl.for_new_threads or keep)
    if keep and not ttl.for_new_threads:
        await table.adopt_ttl()
    await move_sessions(redis, table, prefix=prefix, lifetime=settings.server.session_ttl)
    if loaded.by_owner:
        store = OwnStores(store)
        if owner := settings.access.default_owner:
            await Adoption(database).adopt(owner, owner_label(owner), LABEL)

    cipher = load_cipher(_secret(settings.stores.aes_key))
    saver = AsyncRedisSaver(redis, prefix=prefix, serde=load_serde(project, cipher))
    history = History(database)
    saver.on_empty = LostMemory(history.had_turns).check
    safe = Safe(cipher)
    graphs = loaded.graphs.with_memory(saver, store)
    access = loaded.access
    metrics = saver.meter = Metrics()
    models.embedded = metrics.models.count_embeddings
    metrics.on_look(lambda: metrics.models.say_circuits(models.breaker.states()))
    metrics.on_look(lambda: metrics.stores.event_log.set(events.kept_bytes))
    guards = await off_the_loop(partial(guards_of, settings.guards, metrics.guard_verdict))
    answers, summaries, forget_answers = _kept(settings, redis, safe, metrics)
    toolbox = _toolbox(settings, mcp, RedisResultStore(redis, prefix), saver, metrics)
    engine = Engine(
        graphs,
        # The threads of a process that has its stores to itself need no lock in Redis.
        RedisThreadLocks(redis, lease=settings.stores.lease, prefix=prefix)
        if settings.stores.redis_url or not peers.single
        else LocalThreadLocks(),
        Services(
            models=models,
            tools=toolbox,
            web=web,
            guards=guards,
            memory=settings.memory,
            answers=answers,
            summaries=summaries,
        ),
        partial(_candidates, models, toolbox),
        turn_timeout=settings.models.turn_timeout,
        thread_wait=settings.server.thread_wait,
        store_wait=settings.server.store_wait,
        admit=partial(admitted_to, guards),
    )
    memory, watch = ThreadMemory(saver, graphs), Watch(peers)
    webhook_table = WebhookTable(database, rows, peers.name, safe)
    webhooks = Webhooks(
        webhook_table,
        own_routes.post,
        own_routes.check,
        _secret(settings.server.webhook_secret),
        load_policy(project),
        metrics.webhook_sent,
    )
    assistants = Assistants(AssistantTable(database), graphs, access)
    await assistants.begin()
    status = ThreadStatus(table, memory, jsonable)
    keys = Keys(KeyTable(database), dumps, settings.server.idempotency_ttl, safe)
    budgets = Budgets(settings.budgets, Spending(redis, prefix), refused=metrics.limit_hit)
    run_rows = RunRows(database, rows, peers.name, safe)
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
        access,
        Admission(settings.server.start_wait),
        Slots(
            settings.server.max_runs,
            settings.server.max_queued,
            settings.server.start_wait,
            background=background,
        ),
        RunsAtOnce(
            RedisRunsAtOnce(redis, prefix),
            settings.limits.max_runs_per_caller,
            peers,
            metrics.limit_hit,
        ),
        settings.server.max_queued,
        keys,
        budgets,
        traces,
    )
    metrics.on_look(runs.say_what_waits)
    crons = Crons(CronTable(database, safe), runs, assistants, status, peers, access)
    states = States(
        table,
        engine,
        saver,
        runs,
        jsonable=jsonable,
        edited=watch.edited,
        configurable=runs.newest_configurable,
        access=access,
    )
    threads = Threads(table, states, engine, memory, saver, history, runs, access)
    sessions = Sessions(
        table,
        threads,
        memory,
        history,
        graphs,
        access,
        toolbox.flaws,
        characters_of,
        lifetime=settings.server.session_ttl,
        window=settings.server.window,
        max_message_length=settings.server.max_message_length,
    )
    now = _now(NowCopies(redis, prefix), peers, models, runs, access, metrics)
    yield Service(
        settings=settings.server,
        info=_info(settings, stores, graphs, models),
        runs=runs,
        events=ThreadEvents(runs, run_rows, dumps),
        sessions=sessions,
        threads=threads,
        assistants=assistants,
        crons=crons,
        webhooks=webhooks,
        deliveries=Deliveries(webhook_table, webhooks, access),
        store=StoreItems(store, access, memories=ROOT, label_of=label_of),
        memories=Memories(store, access, partial(_memories_of, settings.memory)),
        users=Users(
            *(UserRows(database), threads, sessions, runs, crons, assistants, store, access),
            memories=ROOT,
            memories_of=is_of,
            forget_answers=forget_answers,
        ),
        metrics=metrics,
        now=now,
        models=models,
        toolbox=toolbox,
        budgets=budgets,
    )
    await runs.close()
    await summaries.close()
    await webhooks.close()
    await now.save()


def _now(
    copies: NowCopies, peers: Peers, models: Models, runs: Runs, access: Access, metrics: Metrics
) -> Now:
    """Make what shows the service now; among several processes, of all of them."""
    now = Now(
        metrics.now,
        peers.name,
        copies,
        models.health,
        runs.say_what_waits,
        runs.measure,
        access.sees_all,
    )
    if not peers.single:
        now.others = Others(metrics.now, copies, peers, now.about)
    return now


@asynccontextmanager
async def _going_on(
    service: Service, peers: Peers, ttl: ThreadTTL, distil: Coroutine[Any, Any, None] | None
) -> AsyncIterator[None]:
    """Go on with the runs that were left, and do what is done beside the requests."""
    if peers.single:  # whatever is unfinished was started by a process before this one
        await service.runs.take_from_the_dead((await peers.heartbeat()).alive)
    watch = nullcontext() if peers.single else _background(watch_over(peers, service.runs), "peers")
    others = _background(service.now.others.answer(), "now, to others")
    async with (
        _background(sweep(service.threads, service.runs, **ttl.sweeps), "what expires"),
        _background(service.crons.keep_time(), "crons"),
        _background(service.runs.take_what_waits(), "queue"),
        _background(service.runs.keep_places(), "places"),
        _background(service.webhooks.deliver(), "webhooks"),
        _background(distil, "memories") if distil else nullcontext(),
        watch,
        _background(service.now.keep(), "now"),
        others,
    ):
        yield


@asynccontextmanager
async def _kept_as_set(
    settings: StoreSettings, stores: _Stores, metrics: Metrics
) -> AsyncIterator[None]:
    """Keep things for as long as the settings say."""
    house = Housekeeping(settings, stores.database, stores.redis)
    async with (
        _background(keep_house(house, metrics), "housekeeping"),
        _background(metrics.keep_looking(), "figures"),
    ):
        yield


def _info(settings: Settings, stores: _Stores, graphs: Graphs, models: Models) -> Info:
    return Info(
        everturn_version=__version__,
        langgraph_py_version=version("langgraph"),
        graphs=graphs.names,
        models=models.catalogue.names,
        memory="redis" if settings.stores.redis_url else "embedded",
        history=stores.database.dialect.name,
    )


def _shared_circuits(settings: Settings, stores: _Stores) -> RedisCircuits | None:
    """Services at one Redis see each other's open circuits."""
    if settings.stores.redis_url is None and stores.peers.single:
        return None
    return RedisCircuits(stores.redis, settings.models.account, settings.stores.redis_prefix)


def _sign_in(settings: OAuthSettings, web: Web) -> SignInAtProvider | None:
    """Have people sign in at the identity provider, where it knows the page."""
    if settings.auth_client_id is None:
        return None
    return SignInAtProvider(settings, partial(web.read, "The identity provider"))


def _kept(
    settings: Settings, redis: Client, safe: Safe, metrics: Metrics
) -> tuple[ResponseCache, Summaries, Callable[[str], Awaitable[int]]]:
    """Return what keeps answers, what sums up, and what forgets both of a user."""
    prefix, most = settings.stores.redis_prefix, settings.cache.response_cache_bytes
    kept = RedisAnswerStore(redis, most, safe, prefix)
    notes = RedisAnswerStore(redis, SUMMARIES_BYTES, safe, prefix, name="summaries")
    metrics.on_look(lambda: metrics.stores.response_cache.set(kept.bytes))

    async def forget(user: str) -> int:
        of_user = owner_part(caller_name(user))
        return await kept.forget(of_user) + await notes.forget(of_user)

    answers = ResponseCache(settings.cache, kept, metrics.response_cache_used)
    return answers, Summaries(settings.summaries, notes, metrics.summary_counted), forget


def _toolbox(
    settings: Settings,
    sources: Sequence[ToolSource],
    store: RedisResultStore,
    answers: AsyncRedisSaver,
    metrics: Metrics,
) -> Toolbox:
    """Put the tools together, and say which of those to be approved there are not."""
    found = find_tools(settings.tools.tool_paths)
    toolbox = Toolbox(
        found,
        sources,
        settings=settings.tools,
        store=store,
        answers=answers,
        meter=metrics,
        without=MEMORY_TOOLS if settings.memory.memory == "off" else (),
    )
    for pattern in toolbox.unmatched_approvals():
        log.warning("no_tool_to_approve", name=pattern, tools=sorted(found.tools))
    return toolbox


def _memories_of(
    settings: MemorySettings, store: BaseStore, caller: str | None, user: str | None
) -> MemoriesOfUser:
    return MemoriesOfUser(store, namespace_of(caller, user), settings)


def _distilling(
    settings: Settings, service: Service, stores: _Stores, models: Models, graphs: Graphs
) -> Coroutine[Any, Any, None] | None:
    """With EVERTURN_MEMORY=auto: look through what has gone quiet. `None` where nothing can."""
    if settings.memory.memory != "auto":
        return None
    graph = remembers(graphs)
    if graph is None or not models.catalogue.names:
        log.warning("memory_not_automatic", reason="no graph of ours, or no model, remembers")
        return None
    window = min(settings.server.idempotency_ttl / 2, 43_200.0)
    return Distilling(
        QuietSessions(stores.database), service.runs, graph, settings.memory.memory_quiet, window
    ).keep_distilling()


def _candidates(models: Models, toolbox: Toolbox, context: object, given: object) -> Sequence[str]:
    """Check what a context names and an input shows; return the models that would be asked."""
    if not isinstance(context, Context):
        return ()
    if context.response_schema is not None:
        schema_of(context.response_schema)
    toolbox.check(context.tools)
    if isinstance(context, TeamContext):
        toolbox.check(context.own_tools)
        check_specialists(context.specialists)
    return models.candidates(context, media=media_of_input(given))


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
        await cancelled(working)


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
