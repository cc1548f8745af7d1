"""Threads: a row says what they are, checkpoints what was said. Chat sessions are threads."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple, Protocol, cast

from langgraph.checkpoint.base import BaseCheckpointSaver

from everturn.checkpoints.bounds import Read, check_size, measured
from everturn.checkpoints.errors import ListTooLarge, SearchTimeout, ThreadBusy
from everturn.checkpoints.redis.storage import ThreadStorage
from everturn.checkpoints.sql.history import History
from everturn.checkpoints.sql.json_objects import contained
from everturn.checkpoints.sql.matches import Match
from everturn.checkpoints.sql.pages import FEW
from everturn.checkpoints.sql.searched import SortOrder
from everturn.checkpoints.sql.threads import (
    Filter,
    SortBy,
    Thread,
    ThreadTable,
    new_thread_id,
)
from everturn.server.access.access import Access, Action, rule_id
from everturn.server.errors import InvalidInput, StateUnreadable, ThreadExists
from everturn.server.observe.audit import audit
from everturn.server.resources.states import (
    UPDATE_WAIT_SECONDS,
    States,
    Step,
    thread_not_found,
)
from everturn.server.runs.runs import Runs
from everturn.server.turns.engine import Engine
from everturn.server.turns.memory import ThreadMemory

_PAGE = 100
_AT_ONCE = 8
"""Threads whose values are read side by side; a state may have megabytes."""
_VALUES_SECONDS = 30.0
"""What a search for values may take."""
MAX_READ = 10_000
"""Threads whose values one search reads: values are not in SQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for, and which page of it."""

    filter: Filter = field(default_factory=Filter)
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the thread's values contain."""
    limit: int = 10
    offset: int = 0
    sort_by: SortBy = "updated_at"
    sort_order: SortOrder = "desc"
    with_values: bool = True
    without: Collection[str] = ()
    """Columns of a thread that nobody looks at, which are not read."""


class Found(NamedTuple):
    """A thread, and its values if they were asked for and there are any."""

    thread: Thread
    values: Any = None


class Measuring(Protocol):
    """A checkpointer that knows what a thread takes in its store."""

    async def astorage(self, thread_id: str) -> ThreadStorage: ...


class Threads:
    """Makes, finds, copies and deletes threads; `states` reads and changes what they hold."""

    def __init__(
        self,
        table: ThreadTable,
        states: States,
        engine: Engine,
        memory: ThreadMemory,
        checkpointer: BaseCheckpointSaver[Any],
        history: History,
        runs: Runs,
        access: Access,
    ) -> None:
        """Wire it up.

        Args:
            table: the rows.
            states: what the threads hold.
            engine: keeps turns of one thread apart.
            memory: what the threads remember.
            checkpointer: copies and prunes it.
            history: the finished turns of threads.
            runs: what runs on a thread that is deleted, and what it streamed.
            access: what the caller may do.
        """
        self.table = table
        self.states = states
        self._engine = engine
        self._memory = memory
        self._checkpointer = checkpointer
        self._history = history
        self._runs = runs
        self._access = access

    async def create(
        self,
        thread: Thread,
        *,
        or_get: bool = False,
        supersteps: Sequence[Sequence[Step]] = (),
    ) -> Found:
        """Make a thread, with a state if `supersteps` say one.

        Args:
            thread: its row.
            or_get: return a thread of this id as it is, if there is one.
            supersteps: updates to apply one after the other.

        Raises:
            ThreadExists: the id is taken.
            ThreadHasNoGraph, GraphNotFound, InvalidUpdate: of the supersteps; no thread was made.
        """
        thread, allowed = await self.permitted(thread, or_get=or_get)
        if supersteps:
            self.states.graph_of(thread)  # raises, before anything is made
        there = (
            await self.table.get(thread.thread_id) if not await self.table.create(thread) else None
        )
        own = there is not None and allowed.fits(there.metadata) and await self._may_read(there)
        if there and there.has_expired and own:
            await self.forget(thread.thread_id)
            await self.table.create(thread)
        elif there:
            if or_get and own:
                return await self.filled(there)
            raise ThreadExists(
                f"There is a thread {thread.thread_id} already: take another id, or ask for it "
                "with if_exists=do_nothing."
            )
        if not supersteps:
            return Found(thread)
        try:
            await self.states.build(thread, supersteps)
        except BaseException:
            await self.forget(thread.thread_id)
            raise
        return await self.filled(await self._row(thread.thread_id))

    async def permitted(self, thread: Thread, *, or_get: bool = False) -> tuple[Thread, Match]:
        """Return a thread that is to be made as the project's rules have it.

        With it, which thread of this id the caller may be given instead.
        """
        asked: dict[str, Any] = {
            "thread_id": rule_id(thread.thread_id),
            "metadata": dict(thread.metadata),
            "if_exists": "do_nothing" if or_get else "raise",
        }
        allowed = await self._access.allowed("threads", "create", asked)
        return replace(thread, metadata=asked["metadata"] or {}), allowed

    async def reachable(self) -> None:
        """Ask for nothing, of the rows and of the memory.

        Raises:
            StoreUnavailable: one of them does not answer.
        """
        await asyncio.gather(self.table.get(""), self._memory.messages(""))

    async def row(self, thread_id: str) -> Thread:
        """Return a thread as its row says.

        Raises:
            ThreadNotFound: there is none, or it is somebody else's; so do all methods that take an
                id. What the project's rules forbid is raised as `Access.allowed` does.
        """
        return await self._allowed_row("read", thread_id, {})

    async def _may_read(self, thread: Thread) -> bool:
        asked = {"thread_id": rule_id(thread.thread_id)}
        return (await self._access.allowed("threads", "read", asked)).fits(thread.metadata)

    async def _allowed_row(self, action: Action, thread_id: str, asked: dict[str, Any]) -> Thread:
        asked["thread_id"] = rule_id(thread_id)
        allowed = await self._access.allowed("threads", action, asked)
        thread = await self._row(thread_id)
        if not allowed.fits(thread.metadata):
            raise thread_not_found(thread_id)
        return thread

    async def _row(self, thread_id: str) -> Thread:
        thread = await self.table.get(thread_id)
        if thread is None or thread.has_expired:
            raise thread_not_found(thread_id)
        return thread

    async def get(self, thread_id: str) -> Found:
        """Return a thread with its values."""
        return await self.filled(await self.row(thread_id))

    async def filled(self, thread: Thread) -> Found:
        """Return a thread with its values; where they cannot be read, its `error` says why."""
        try:
            return Found(thread, await self.states.values(thread))
        except StateUnreadable as error:
            why = {"error": type(error).__name__, "message": str(error)}
            return Found(replace(thread, error=why))

    async def patch(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        ttl: Mapping[str, Any] | None = None,
    ) -> Thread:
        """Merge metadata and replace the ttl, where given.

        Raises:
            InvalidInput: a ttl for a chat session, which has its own.
        """
        asked: dict[str, Any] = {"metadata": dict(metadata or {})}
        there = await self._allowed_row("update", thread_id, asked)
        if there.kind == "session" and ttl is not None:
            raise InvalidInput("ttl: a chat session lives EVERTURN_SESSION_TTL seconds.")
        thread = await self.table.patch(thread_id, metadata=asked["metadata"], ttl=ttl)
        if thread is None:
            raise thread_not_found(thread_id)
        return thread

    async def delete(self, thread_id: str) -> None:
        """Cancel what runs on a thread and delete it whole.

        Its row, its runs and what they streamed, its checkpoints and its history are gone.

        Raises:
            ThreadBusy: what runs would not end; nothing was deleted.
        """
        await self._allowed_row("delete", thread_id, {})
        await self.erase(thread_id)

    async def erase(self, thread_id: str) -> None:
        """Delete a thread as `delete` does, whoever asks: the caller knows that it may be."""
        await self._runs.cancel_thread(thread_id)
        async with self._engine.hold(thread_id):
            await self.forget(thread_id)
            await self.forget_history(thread_id)
        audit("thread.deleted", target=thread_id)

    async def delete_all(self, wanted: Filter) -> None:
        """Delete all threads that fit, and that the caller may delete, as `delete` does.

        Raises:
            ThreadBusy: on one of them; those before it are gone.
        """
        asked = {"metadata": dict(wanted.metadata)}
        allowed = await self._access.allowed("threads", "delete", asked)
        wanted = replace(wanted, allowed=allowed)
        while page := await self.table.ids(wanted, limit=_PAGE):
            for thread_id in page:
                await self.erase(thread_id)

    async def forget(self, thread_id: str) -> None:
        """Delete a thread that is held, all but its history."""
        await self._forget_content(thread_id)
        await self.table.delete(thread_id)

    async def end_session(self, thread_id: str) -> None:
        """Delete what a session remembers; with a history, its row stays, to be found again."""
        await self._forget_content(thread_id)
        if await self._history.exists(thread_id):
            await self.table.end(thread_id)
        else:
            await self.table.delete(thread_id)

    async def _forget_content(self, thread_id: str) -> None:
        await self._runs.forget_thread(thread_id)
        await self._memory.forget(thread_id)

    async def forget_history(self, thread_id: str) -> None:
        """Delete the history of a thread."""
        await self._history.delete(thread_id)

    @asynccontextmanager
    async def idle(self, thread_id: str) -> AsyncIterator[Thread | None]:
        """Hold a thread on which nothing runs; yields its row, if it is still there.

        Raises:
            ThreadBusy: something runs.
        """
        async with self._engine.hold(thread_id, UPDATE_WAIT_SECONDS):
            thread = await self.table.get(thread_id)
            if thread is not None and thread.status == "busy":
                raise ThreadBusy(f"A run is on in the thread {thread_id}.")
            yield thread

    async def prune(self, thread_ids: Sequence[str], *, keep_latest: bool) -> int:
        """Delete threads, or all but their newest checkpoints; returns how many there were."""
        asked = {"thread_ids": list(thread_ids)}
        allowed = await self._access.allowed("threads", "delete", asked)
        wanted = Filter(ids=thread_ids, allowed=allowed)
        there = await self.table.ids(wanted, limit=len(thread_ids))
        if keep_latest:
            await self.keep_latest(there)
        else:
            for thread_id in there:
                await self.erase(thread_id)
        return len(there)

    async def keep_latest(self, thread_ids: Sequence[str]) -> None:
        """Delete all but the newest checkpoint of each namespace of threads."""
        await self._checkpointer.aprune(thread_ids, strategy="keep_latest")

    async def copy(self, thread_id: str) -> Thread:
        """Make a thread that has been through the same; nothing that runs is taken along."""
        source = await self.row(thread_id)
        now = datetime.now(UTC)
        copied = replace(
            source,
            thread_id=new_thread_id(),
            status="idle" if source.status == "busy" else source.status,
            config={},  # it has no run
            created_at=now,
            updated_at=now,
            state_updated_at=now,
        )
        copied, _ = await self.permitted(copied)
        await self._checkpointer.acopy_thread(thread_id, copied.thread_id)
        await self.table.create(copied)
        return copied

    async def storage(self, thread_id: str) -> ThreadStorage:
        """Return what a thread's checkpoints take where they are stored."""
        await self.row(thread_id)
        return await cast("Measuring", self._checkpointer).astorage(thread_id)

    async def search(self, search: Search) -> tuple[list[Found], bool]:
        """Return one page of the threads that fit, and whether there are more.

        Raises:
            InvalidInput: it would read the values of too many threads.
            SearchTimeout: it took too long.
            ListTooLarge: the page is too large for one list.
        """
        search = await self._allowed_search(search)
        if search.values:
            found = await self._page_by_values(search)
        else:
            threads = await self._page(search, search.limit + 1, search.offset)
            found = [Found(thread) for thread in threads]
        page, more = found[: search.limit], len(found) > search.limit
        if search.with_values and not search.values:
            page = await self._with_values([each.thread for each in page])
        return page, more

    async def count(self, search: Search) -> int:
        """Count the threads that fit.

        Raises:
            InvalidInput: it would read the values of too many threads.
            SearchTimeout: it took too long.
        """
        search = await self._allowed_search(replace(search, limit=0))
        if not search.values:
            return await self.table.count(search.filter)
        counted = 0
        async with aclosing(self._fitting(search)) as fitting:
            async for _ in fitting:
                counted += 1
                if counted == MAX_READ:
                    break
        return counted

    async def _allowed_search(self, search: Search) -> Search:
        wanted = search.filter
        asked: dict[str, Any] = {
            "metadata": dict(wanted.metadata),
            "values": dict(search.values),
            "status": wanted.status,
            "limit": search.limit,
            "offset": search.offset,
            **({} if wanted.ids is None else {"ids": [rule_id(each) for each in wanted.ids]}),
        }
        allowed = await self._access.allowed("threads", "search", asked)
        wanted = replace(wanted, metadata=asked["metadata"] or {}, allowed=allowed)
        return replace(search, filter=wanted)

    async def _page(self, search: Search, limit: int, offset: int) -> list[Thread]:
        return await self.table.search(
            search.filter,
            limit=limit,
            offset=offset,
            sort_by=search.sort_by,
            sort_order=search.sort_order,
            without=search.without,
        )

    async def _page_by_values(self, search: Search) -> list[Found]:
        """Read one page of the threads whose values fit, and one more."""
        page: list[Found] = []
        passed = held = 0
        async with aclosing(self._fitting(search)) as fitting:
            async for found, size in fitting:
                passed += 1
                if passed <= search.offset:
                    continue
                held += size
                check_size(held)
                page.append(found)
                if len(page) > search.limit:
                    break
        return page

    async def _with_values(self, threads: Sequence[Thread]) -> list[Found]:
        page: list[Found] = []
        held = 0
        for start in range(0, len(threads), _AT_ONCE):
            for found, size in await self._filled(threads[start : start + _AT_ONCE]):
                held += size
                page.append(found)
            check_size(held)
        return page

    async def _fitting(self, search: Search) -> AsyncGenerator[tuple[Found, int]]:
        """Read threads in their order; those whose values fit, each with its size in bytes."""
        until = monotonic() + _VALUES_SECONDS
        offset, limit = 0, _PAGE
        while offset < MAX_READ:
            try:
                page = await self._page(search, limit, offset)
            except ListTooLarge:
                limit = FEW
                continue
            for start in range(0, len(page), _AT_ONCE):
                some = await self._filled(page[start : start + _AT_ONCE])
                fitting = await asyncio.to_thread(self._of_these, some, search.values, until)
                for each in fitting:
                    yield each
            if len(page) < limit:
                return
            offset += limit
        raise InvalidInput(
            f"values: more than {MAX_READ} threads would have to be read; "
            "say more of them in metadata, status or ids."
        )

    def _of_these(
        self, threads: Sequence[tuple[Found, int]], wanted: Mapping[str, Any], until: float
    ) -> list[tuple[Found, int]]:
        fitting = []
        for found, size in threads:
            if monotonic() > until:
                raise SearchTimeout(
                    f"The search for values was ended after {_VALUES_SECONDS:g} s: "
                    "say more of the threads in metadata, status or ids."
                )
            if contained(wanted, self.states.jsonable(found.values)):
                row = found.thread
                of_row = len(json.dumps([row.metadata, row.config, row.interrupts]))
                fitting.append((found, size + of_row))
        return fitting

    async def _filled(self, threads: Sequence[Thread]) -> list[tuple[Found, int]]:
        """Read the values of threads side by side: they share their trips to Redis."""
        return list(await asyncio.gather(*map(self._measured, threads)))

    async def _measured(self, thread: Thread) -> tuple[Found, int]:
        """Return a thread with its values, and how many bytes those have."""
        read = Read()
        with measured(read):
            return await self.filled(thread), read.size
