"""What a project is made of: all that its file names, imported before anything is opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from structlog import get_logger

from everturn.server.access.access import Access, Everybody, HandlerAccess
from everturn.server.access.owners import is_admin
from everturn.server.api.http.authentication import Authentication, Gate
from everturn.server.api.http.users_app import surround
from everturn.server.projects.auth import ProjectAuth, load_auth
from everturn.server.projects.builtin import NO_FILE
from everturn.server.projects.checks import check
from everturn.server.projects.graphs import Graphs, load_graphs
from everturn.server.projects.project import Project, prepare
from everturn.server.projects.store import OpenStore, load_store

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The parts of a project."""

    graphs: Graphs
    open_store: OpenStore
    auth: ProjectAuth | None
    users_app: Starlette | None
    """Of `http.app`, with the service behind its routes."""

    @property
    def access(self) -> Access:
        """What callers may do."""
        if self.auth is None:
            return Everybody()
        handlers = self.auth.handlers
        return HandlerAccess(handlers, is_admin) if self.by_owner else HandlerAccess(handlers)

    @property
    def by_owner(self) -> bool:
        """Whether everything belongs to who made it; else a project's own rules say whose it is."""
        return self.auth is not None and self.auth.by_owner

    def gate(self, max_body_size: int) -> Gate | None:
        """Who comes in; None for everybody. An authenticator that takes a body gets no larger."""
        if self.auth is None:
            return None
        gate = Gate(self.auth, max_body_size=max_body_size)
        gate.users_app = self.users_app
        return gate

    @asynccontextmanager
    async def users_app_around(self, app: FastAPI) -> AsyncIterator[None]:
        """Let the project's app stand around the service, and live as long."""
        if self.users_app is None:
            yield
            return
        async with self.users_app.router.lifespan_context(self.users_app) as state:
            app.state.users_app, app.state.users_state = self.users_app, state or {}
            yield


def load_all(project: Project, own: ProjectAuth | None = None) -> Loaded:
    """Import all that a project names; may block. `own` stands in where it has no `auth`.

    Raises:
        ConfigError: naming the file, the key and the reason.
    """
    prepare(project)
    check(project)
    if project.path is None:
        log.info("built_in_graphs", graphs=list(project.keys.graphs), note=NO_FILE)
    auth = load_auth(project, own)  # before what it guards
    graphs, store = load_graphs(project), load_store(project)
    users, target = None, project.keys.http.app
    if target is not None:
        guarded = Middleware(Authentication, place="users_app") if auth else None
        users = surround(project.load(target, "http.app"), f"{project.name}: http.app", guarded)
    return Loaded(graphs, store, auth, users)
