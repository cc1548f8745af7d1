"""All that is kept of a user: handed over, or deleted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple

from langgraph.store.base import BaseStore, Item

from everturn.checkpoints.sql.crons import Cron
from everturn.checkpoints.sql.pages import FEW
from everturn.checkpoints.sql.users import UserRows
from everturn.server.access.access import Access
from everturn.server.access.caller import current_caller
from everturn.server.access.own_stores import OwnStores
from everturn.server.errors import RunError, UserNotFound
from everturn.server.observe.audit import audit
from everturn.server.resources.assistants import Assistants
from everturn.server.resources.sessions import Sessions
from everturn.server.resources.threads import Threads
from everturn.server.runs.crons import Crons, payload_as_json
from everturn.server.runs.runs import Runs

_PAGE = 100


class Erased(NamedTuple):
    """How many of each were deleted."""

    threads: int
    crons: int
    assistants: int
    store_items: int
    api_keys: int


class Users:
    """Exports and deletes what is a user's; see `checkpoints.sql.users` for what that is.

    An item of the store is a user's if a label of its namespace is the user's name, or if it is in
    the user's own part of the store, where callers have such. Memories are their caller's: those
    that an application keeps of its own user "ada" are not of a caller "ada".
    """

    def __init__(
        self,
        rows: UserRows,
        threads: Threads,
        sessions: Sessions,
        runs: Runs,
        crons: Crons,
        assistants: Assistants,
        store: BaseStore,
        access: Access,
        *,
        memories: str,
        memories_of: Callable[[tuple[str, ...], str], bool],
        forget_answers: Callable[[str], Awaitable[int]],
    ) -> None:
        """Join the rooms.

        Args:
            rows: what SQL keeps of users.
            threads: theirs.
            sessions: theirs.
            runs: theirs.
            crons: theirs.
            assistants: theirs.
            store: their items.
            access: what the caller may do.
            memories: what namespaces of memories begin with.
            memories_of: says whether such a namespace is a user's.
            forget_answers: drops what the response cache keeps for a user.
        """
        self._memories = memories
        self._memories_of = memories_of
        self._rows = rows
        self._threads = threads
        self._sessions = sessions
        self._runs = runs
        self._crons = crons
        self._assistants = assistants
        self._store = store
        self._access = access
        self._forget_answers = forget_answers

    async def export(self, user: str) -> AsyncIterator[dict[str, Any]]:
        """Return all that is kept of a user, one thing after the other; `kind` says what each is.

        A thread comes with its values, its finished turns and its runs.

        Raises:
            UserNotFound: nothing is kept, or the caller is another user and no operator.
        """
        self._check(user)
        threads, crons, assistants = await self._ids(user)
        store = self._store_of(user)
        namespaces = await self._namespaces(store, user)
        if not (threads or crons or assistants or namespaces):
            raise _not_found(user)

        audit("user.exported", target=user)

        async def everything() -> AsyncIterator[dict[str, Any]]:
            for thread_id in threads:
                async for each in self._thread(thread_id):
                    yield each
            for cron_id in crons:
                yield {"kind": "cron", **_cron(await self._crons.get(cron_id))}
            for assistant_id in assistants:
                yield {"kind": "assistant", **asdict(await self._assistants.get(assistant_id))}
            for namespace in namespaces:
                for item in await _items(store, namespace):
                    yield {"kind": "store_item", **item.dict()}

        return everything()

    async def _thread(self, thread_id: str) -> AsyncIterator[dict[str, Any]]:
        row = await self._threads.table.get(thread_id)
        if row is None:  # deleted meanwhile
            return
        filled = await self._threads.filled(row)
        yield {"kind": "thread", **asdict(filled.thread), "values": filled.values}
        async for turn in self._sessions.all_turns(thread_id):
            yield {"kind": "turn", **asdict(turn)}
        offset = 0
        while page := await self._runs.of_thread(thread_id, limit=FEW, offset=offset, status=None):
            for run in page:
                yield {"kind": "run", **asdict(run)}
            offset += len(page)

    async def forget(self, user: str) -> Erased:
        """Delete all that is kept of a user; what runs is cancelled first.

        Raises:
            UserNotFound: nothing is kept, or the caller is another user and no operator.
            ThreadBusy: what runs on a thread would not end; what was before it is gone.
        """
        self._check(user)
        threads, crons, assistants = await self._ids(user)
        # First what starts runs, then the threads they are on.
        done = [
            await _each(crons, self._crons.delete),
            await _each(threads, self._threads.erase),
            await _each(assistants, self._assistants.delete),
        ]
        await self._runs.forget_keys(user)
        await self._rows.delete_webhooks(user)
        keys = await self._rows.delete_keys(user)
        items, store = 0, self._store_of(user)
        for namespace in await self._namespaces(store, user):
            while page := await _items(store, namespace):
                for item in page:
                    await store.adelete(namespace, item.key)
                items += len(page)
        answers = await self._forget_answers(user)
        if not any((*done, items, keys, answers)):
            raise _not_found(user)
        audit("user.forgotten", target=user)
        return Erased(done[1], done[0], done[2], items, keys)

    async def _ids(self, user: str) -> tuple[list[str], list[str], list[str]]:
        rows = self._rows
        return await rows.threads(user), await rows.crons(user), await rows.assistants(user)

    async def _namespaces(self, store: BaseStore, user: str) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        offset = 0
        while page := await store.alist_namespaces(limit=_PAGE, offset=offset):
            own = isinstance(store, OwnStores)
            found += [namespace for namespace in page if own or self._of(namespace, user)]
            offset += len(page)
        return found

    def _of(self, namespace: tuple[str, ...], user: str) -> bool:
        """Say whether a namespace of a store that callers share is a user's."""
        if namespace[:1] == (self._memories,):
            return self._memories_of(namespace, user)
        return user in namespace

    def _store_of(self, user: str) -> BaseStore:
        """Return where a user's items are, among others or not."""
        return self._store.of(user) if isinstance(self._store, OwnStores) else self._store

    def _check(self, user: str) -> None:
        """Refuse another user, where it is known who calls."""
        caller = current_caller()
        if caller and caller.identity != user and not self._access.sees_all():
            raise _not_found(user)


async def _items(store: BaseStore, namespace: tuple[str, ...]) -> list[Item]:
    """A page of the items of a namespace, without those of the namespaces inside it."""
    found: list[Item] = []
    offset = 0
    while page := await store.asearch(namespace, limit=FEW, offset=offset):
        found += [item for item in page if item.namespace == namespace]
        offset += len(page)
    return found


def _cron(cron: Cron) -> dict[str, Any]:
    shown = ("cron_id", "thread_id", "schedule", "timezone", "enabled", "created_at")
    return {**{name: getattr(cron, name) for name in shown}, "payload": payload_as_json(cron)}


async def _each(ids: list[str], delete: Callable[[str], Awaitable[object]]) -> int:
    for each in ids:
        with suppress(RunError):  # it is gone
            await delete(each)
    return len(ids)


def _not_found(user: str) -> UserNotFound:
    return UserNotFound(f"Nothing is kept of a user {user!r}, or it is not yours to see.")
