"""What is remembered of the current caller, and of the users whom they name.

A memory is an item of the store. The rules of a project for the store say who may do something
with memories at all; whose they are, the service says: a caller sees their own.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, Protocol

from langgraph.store.base import BaseStore

from everturn.server.access.access import Access, Action
from everturn.server.access.caller import current_caller
from everturn.server.observe.audit import audit


class Memory(Protocol):
    """One memory."""

    @property
    def id(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def thread_id(self) -> str | None: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def updated_at(self) -> datetime: ...
    @property
    def score(self) -> float | None: ...


class Kept(Protocol):
    """What became of something that was to be remembered."""

    @property
    def memory(self) -> Memory: ...
    @property
    def change(self) -> str: ...


class OfOneUser(Protocol):
    """The memories of one user, as the agent keeps them."""

    async def remember(self, text: str, kind: Any = "fact") -> Kept: ...
    async def search(self, query: str = "", *, limit: int, offset: int = 0) -> list[Any]: ...
    async def get(self, memory_id: str) -> Memory: ...
    async def change(self, memory_id: str, text: str | None, kind: Any) -> Memory: ...
    async def forget(self, memory_id: str) -> Memory: ...
    async def forget_all(self) -> int: ...
    def all(self) -> AsyncIterator[Any]: ...


OpenMemories = Callable[[BaseStore, str | None, str | None], OfOneUser]
"""From the store, the caller's identity and a user whom they name."""


class Memories:
    """Memories for the current caller; methods raise as the store and `Access.allowed` do.

    Where there is no memory of an id, and where a text cannot be remembered, they raise what the
    agent's own memory does.
    """

    def __init__(self, store: BaseStore, access: Access, of: OpenMemories) -> None:
        self._store = store
        self._access = access
        self._of = of

    async def list(self, user: str | None, query: str, *, limit: int, offset: int) -> list[Memory]:
        """Return a page of memories: those that meet a query first, then the latest."""
        found = await self._allowed("search", user)
        return await found.search(query, limit=limit, offset=offset)

    async def get(self, user: str | None, memory_id: str) -> Memory:
        """Return a memory."""
        return await (await self._allowed("get", user)).get(memory_id)

    async def add(self, user: str | None, text: str, kind: str) -> Kept:
        """Remember a text, as the agent would."""
        return await (await self._allowed("put", user)).remember(text, kind)

    async def change(
        self, user: str | None, memory_id: str, text: str | None, kind: str | None
    ) -> Memory:
        """Give a memory another text, or another kind."""
        return await (await self._allowed("put", user)).change(memory_id, text, kind)

    async def delete(self, user: str | None, memory_id: str) -> None:
        """Forget a memory."""
        await (await self._allowed("delete", user)).forget(memory_id)
        audit("memory.deleted", target=memory_id)

    async def delete_all(self, user: str | None) -> int:
        """Forget all memories; returns how many they were."""
        count = await (await self._allowed("delete", user)).forget_all()
        audit("memories.deleted", target=user or "")
        return count

    async def export(self, user: str | None) -> AsyncIterator[Memory]:
        """Return all memories."""
        return (await self._allowed("search", user)).all()

    async def _allowed(self, action: Action, user: str | None) -> OfOneUser:
        await self._access.allowed("store", action, {"namespace": ("everturn:memories",)})
        caller = current_caller()
        return self._of(self._store, caller.identity if caller else None, user)
