"""Assistants of the Agent Server API: graphs, and the choices they are run with.

Every graph has an assistant from the start, under the id that LangGraph gives it; so a graph's
name stands for that assistant wherever an assistant is named.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

from everturn.checkpoints.sql.assistants import (
    Assistant,
    AssistantTable,
    AssistantVersion,
    Changes,
    Filter,
    SortBy,
    SortOrder,
)
from everturn.server.access.access import Access, Action
from everturn.server.errors import (
    AssistantExists,
    AssistantNotFound,
    AssistantOfGraph,
    ContextTwice,
    InvalidAssistant,
)
from everturn.server.observe.audit import audit
from everturn.server.projects.graphs import Graphs
from everturn.server.projects.introspection import Introspection

NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""LangGraph's: the id of a graph's own assistant is the UUID of version 5 of its name in here."""

_FRESH_SECONDS = 1.0
"""How long what was read is used without another look: another process may have changed it."""
_MAX_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for, and which page of it."""

    filter: Filter = field(default_factory=Filter)
    limit: int = 10
    offset: int = 0
    sort_by: SortBy = "created_at"
    sort_order: SortOrder = "desc"
    without: Collection[str] = ()
    """Columns that nobody looks at, which are not read."""


class _Read(NamedTuple):
    assistant: Assistant
    until: float


class Assistants:
    """Makes, finds and changes assistants; `introspection` tells of their graphs.

    Methods that take a name or an id raise InvalidAssistant for what is neither a graph's name nor
    a UUID, and AssistantNotFound where there is no such assistant, or it is somebody else's. What
    the project's rules forbid is raised as `Access.allowed` does.
    """

    def __init__(self, table: AssistantTable, graphs: Graphs, access: Access) -> None:
        self.introspection = Introspection(graphs)
        self._table = table
        self._graphs = graphs
        self._access = access
        self._ids = {name: str(uuid5(NAMESPACE, name)) for name in graphs.names}
        self._own = frozenset(self._ids.values())
        self._read: dict[str, _Read] = {}
        self._writes = 0

    async def begin(self) -> None:
        """See that every graph has its assistant."""
        now = datetime.now(UTC)
        await self._table.create(
            *(
                Assistant(
                    assistant_id=assistant_id,
                    graph_id=name,
                    name=name,
                    description=self._graphs.description(name),
                    metadata={"created_by": "system"},
                    created_at=now,
                    updated_at=now,
                )
                for name, assistant_id in self._ids.items()
            )
        )
        for name, assistant_id in self._ids.items():  # an earlier version let them be changed
            there = await self._table.get(assistant_id)
            if there is not None and there.graph_id != name:
                await self._table.change(assistant_id, Changes(graph_id=name))

    async def resolve(self, name_or_id: str) -> Assistant:
        """Return an assistant for a run: as this process wrote it, or as it stood a second ago.

        A graph's own assistant is nobody's: whoever may run something may run it.
        """
        assistant_id = self._id(name_or_id)
        known = self._read.get(assistant_id)
        if known is not None and monotonic() < known.until:
            found = known.assistant
        else:
            found = await self._look_up(assistant_id)
        if assistant_id not in self._own:
            await self._check("read", found, {})
        return found

    async def get(self, name_or_id: str) -> Assistant:
        """Return an assistant as it stands."""
        return await self._allowed("read", name_or_id, {})

    async def _allowed(self, action: Action, name_or_id: str, asked: dict[str, Any]) -> Assistant:
        """Return an assistant with which the caller may do something."""
        found = await self._look_up(self._id(name_or_id))
        await self._check(action, found, asked)
        return found

    async def _check(self, action: Action, found: Assistant, asked: dict[str, Any]) -> None:
        asked["assistant_id"] = UUID(found.assistant_id)
        allowed = await self._access.allowed("assistants", action, asked)
        if not allowed.fits(found.metadata):
            raise _not_found(found.assistant_id)

    async def create(
        self,
        graph_id: str,
        *,
        assistant_id: str | None = None,
        name: str | None = None,
        description: str | None = None,
        config: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        or_get: bool = False,
    ) -> Assistant:
        """Make an assistant.

        Args:
            graph_id: the graph it runs.
            assistant_id: a UUID; none makes a new one.
            name: none is "Untitled", and names need not differ.
            description: for people.
            config: LangGraph's run config.
            context: what the graph may choose from; the same as `config.configurable`.
            metadata: anything.
            or_get: return an assistant of this id as it is, if there is one.

        Raises:
            GraphNotFound: there is no such graph.
            AssistantExists: the id is taken.
            ContextTwice: both `context` and `config.configurable` say something.
        """
        self._graphs.fixed(graph_id)  # raises where there is none
        changes = _both_ways(Changes(config=config, context=context), {}, {})
        now, assistant_id = datetime.now(UTC), assistant_id or str(uuid4())
        asked: dict[str, Any] = {
            "assistant_id": UUID(assistant_id),
            "graph_id": graph_id,
            "config": dict(config or {}),
            "context": dict(context or {}),
            "metadata": dict(metadata or {}),
            "if_exists": "do_nothing" if or_get else "raise",
            "name": name or "Untitled",
        }
        allowed = await self._access.allowed("assistants", "create", asked)
        assistant = Assistant(
            assistant_id=assistant_id,
            graph_id=graph_id,
            name=name or "Untitled",
            description=description,
            config=changes.config or {},
            context=changes.context or {},
            metadata=asked["metadata"] or {},
            created_at=now,
            updated_at=now,
        )
        made = await self._table.create(assistant)
        there = await self._look_up(assistant_id)  # as the database has it
        own = made or (allowed.fits(there.metadata) and await self._may_read(there))
        if not made and not (or_get and own):
            raise AssistantExists(
                f"There is an assistant {assistant_id} already: take another id, or ask for it "
                "with if_exists=do_nothing."
            )
        return there

    async def _may_read(self, assistant: Assistant) -> bool:
        asked = {"assistant_id": UUID(assistant.assistant_id)}
        allowed = await self._access.allowed("assistants", "read", asked)
        return allowed.fits(assistant.metadata)

    async def change(self, name_or_id: str, changes: Changes) -> Assistant:
        """Make the next version of an assistant; what is not said stays.

        Raises:
            GraphNotFound, ContextTwice: as `create` does.
            AssistantOfGraph: a graph's own assistant would be one of another graph.
        """
        if changes.graph_id is not None:
            self._graphs.fixed(changes.graph_id)  # raises where there is none
        asked: dict[str, Any] = {
            "graph_id": changes.graph_id,
            "config": dict(changes.config or {}),
            "context": dict(changes.context or {}),
            "metadata": dict(changes.metadata or {}),
            "name": changes.name,
        }
        now = await self._allowed("update", name_or_id, asked)
        if now.assistant_id in self._own and changes.graph_id not in {None, now.graph_id}:
            raise AssistantOfGraph(
                f"{now.graph_id!r} names this assistant, so it runs that graph: make another "
                f"assistant for {changes.graph_id!r}."
            )
        changes = replace(changes, metadata=asked["metadata"] or changes.metadata)
        changes = _both_ways(changes, now.config, now.context)
        async with self._written(now.assistant_id):
            changed = await self._table.change(now.assistant_id, changes)
        if changed is None:
            raise _not_found(name_or_id)
        return changed

    async def set_latest(self, name_or_id: str, version: int) -> Assistant:
        """Make a version the latest again.

        Raises:
            AssistantNotFound: also where there is no such version.
        """
        assistant_id = (
            await self._allowed("update", name_or_id, {"version": version})
        ).assistant_id
        async with self._written(assistant_id):
            latest = await self._table.set_latest(assistant_id, version)
        if latest is None:
            raise AssistantNotFound(
                f"The version {version} was not found, of the assistant {name_or_id}."
            )
        return latest

    async def versions(
        self, name_or_id: str, *, metadata: Mapping[str, Any] | None, limit: int, offset: int
    ) -> list[AssistantVersion]:
        """Return versions that contain this metadata, the newest first."""
        asked: dict[str, Any] = {"metadata": dict(metadata or {})}
        assistant_id = (await self._allowed("read", name_or_id, asked)).assistant_id
        return await self._table.versions(
            assistant_id, metadata=metadata, limit=limit, offset=offset
        )

    async def deletable(self, name_or_id: str) -> Assistant:
        """Return an assistant that the caller may delete.

        Raises:
            AssistantOfGraph: it is a graph's own, and the graph is served.
        """
        found = await self._allowed("delete", name_or_id, {})
        if found.assistant_id in self._own:
            raise AssistantOfGraph(
                f"The graph {found.graph_id!r} is served, and this is its own assistant: it stays. "
                f"Its first version is back with POST /assistants/{found.assistant_id}/latest and "
                '{"version": 1}.'
            )
        return found

    async def delete(self, name_or_id: str) -> None:
        """Delete an assistant with its versions; raises as `deletable` does."""
        assistant_id = (await self.deletable(name_or_id)).assistant_id
        async with self._written(assistant_id):
            deleted = await self._table.delete(assistant_id)
        if not deleted:
            raise _not_found(name_or_id)
        audit("assistant.deleted", target=assistant_id)

    async def search(self, search: Search) -> tuple[list[Assistant], bool]:
        """Return one page of the assistants that fit, and whether there are more.

        Raises:
            GraphNotFound: the filter names a graph that there is not.
            ListTooLarge: the page is too large for one list.
        """
        found = await self._table.search(
            await self._allowed_filter(search.filter, search.limit, search.offset),
            limit=search.limit + 1,
            offset=search.offset,
            sort_by=search.sort_by,
            sort_order=search.sort_order,
            without=search.without,
        )
        return found[: search.limit], len(found) > search.limit

    async def count(self, wanted: Filter) -> int:
        """Count the assistants that fit.

        Raises:
            GraphNotFound: the filter names a graph that there is not.
        """
        return await self._table.count(await self._allowed_filter(wanted, 0, 0))

    async def _allowed_filter(self, wanted: Filter, limit: int, offset: int) -> Filter:
        if wanted.graph_id is not None:
            self._graphs.fixed(wanted.graph_id)  # raises where there is none
        asked: dict[str, Any] = {
            "graph_id": wanted.graph_id,
            "metadata": dict(wanted.metadata),
            "limit": limit,
            "offset": offset,
        }
        allowed = await self._access.allowed("assistants", "search", asked)
        return replace(wanted, metadata=asked["metadata"] or {}, allowed=allowed)

    def _id(self, name_or_id: str) -> str:
        if name_or_id in self._ids:
            return self._ids[name_or_id]
        try:
            return str(UUID(name_or_id))
        except ValueError:
            raise _invalid(name_or_id, self._ids) from None

    async def _look_up(self, assistant_id: str) -> Assistant:
        writes = self._writes
        assistant = await self._table.get(assistant_id)
        if assistant is None:
            self._read.pop(assistant_id, None)
            raise _not_found(assistant_id)
        if writes == self._writes:  # else it may be older than what was written meanwhile
            if len(self._read) >= _MAX_KEPT:
                self._read.clear()
            self._read[assistant_id] = _Read(assistant, monotonic() + _FRESH_SECONDS)
        return assistant

    @asynccontextmanager
    async def _written(self, assistant_id: str) -> AsyncIterator[None]:
        """Forget what was read of an assistant once it has, perhaps, been written."""
        try:
            yield
        finally:
            self._writes += 1
            self._read.pop(assistant_id, None)


def _both_ways(changes: Changes, config: Mapping[str, Any], context: Mapping[str, Any]) -> Changes:
    """Say a context in `config.configurable` too, and the other way round.

    Graphs from before LangGraph 0.6 read the one, those of today the other. An empty config says
    nothing; an empty context, or an empty `configurable`, takes the choices back.

    Raises:
        ContextTwice: both are said.
    """
    configurable = (changes.config or {}).get("configurable")
    if configurable and changes.context:
        raise ContextTwice(
            "Say the context either as `context` or as `config.configurable`, not as both; "
            "`context` is LangGraph's newer way."
        )
    chosen = changes.context if changes.context is not None else configurable
    if chosen is None and not changes.config:
        return replace(changes, config=None)
    chosen = context if chosen is None else configurable or chosen
    rest = {k: v for k, v in (changes.config or config).items() if k != "configurable"}
    return replace(
        changes, context=chosen, config=rest | ({"configurable": chosen} if chosen else {})
    )


def _not_found(name_or_id: str) -> AssistantNotFound:
    return AssistantNotFound(
        f"The assistant {name_or_id} was not found, or it was deleted: make one with "
        "POST /assistants."
    )


def _invalid(text: str, names: Collection[str]) -> InvalidAssistant:
    there_are = ", ".join(names)
    return InvalidAssistant(
        f"Invalid assistant: {text!r} is neither a UUID nor the name of a graph; "
        f"the graphs are: {there_are}."
    )
