"""The memories of one user: kept, found, changed and forgotten."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Literal, NamedTuple
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakValueDictionary

from langgraph.store.base import BaseStore, PutOp

from everturn.tools.kit.values import plain
from everturn.tools.providers.memories.alike import LIKE, same, shared
from everturn.tools.providers.memories.memory import INDEX, Kind, Memory, memory_of, value_of
from everturn.tools.providers.memories.settings import MemorySettings

Change = Literal["new", "changed", "known"]

_LIKE = 5
"""Memories that a new one is compared with."""
_PAGE = 100

_NOTHING_SECONDS, _KNOWN = 5.0, 10_000
_nothing = WeakKeyDictionary[BaseStore, dict[tuple[str, ...], float]]()
"""Which users have no memories, and until when that is taken for true."""
_keeping = WeakValueDictionary[tuple[int, tuple[str, ...]], asyncio.Lock]()


class InvalidMemory(ValueError):
    """A text that cannot be remembered; says why."""


class TooManyMemories(InvalidMemory):
    """The user has as many as there may be."""


class MemoryNotFound(LookupError):
    """There is no memory of this id."""


class Kept(NamedTuple):
    """What became of something that was to be remembered."""

    memory: Memory
    change: Change
    like: Sequence[Memory] = ()
    """Others that may say the same."""


class Memories:
    """Those of one user; every method raises as the store does."""

    def __init__(
        self, store: BaseStore, namespace: tuple[str, ...], settings: MemorySettings
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._settings = settings

    async def remember(
        self,
        text: str,
        kind: Kind = "fact",
        *,
        thread_id: str | None = None,
        replaces: str = "",
        key: str | None = None,
    ) -> Kept:
        """Keep a text: as a change of what says nearly the same, or as a new memory.

        Args:
            text: what is to be remembered.
            kind: what it is.
            thread_id: where it was said.
            replaces: the id of the memory whose place it takes.
            key: the id of a new memory; the same twice is one memory.

        Raises:
            InvalidMemory: the text is empty or too long, or there are too many memories.
            MemoryNotFound: there is none to replace.
        """
        text = self._checked(text)
        async with self._one_at_a_time():
            like: list[Memory] = []
            old: Memory | None
            if replaces:
                old = await self.get(replaces)
            else:
                found = await self.search(text, limit=_LIKE)
                old = next((each for each in found if same(each.text, text)), None)
                like = [each for each in found if shared(each.text, text) >= LIKE]
            if old and old.text == text and old.kind == kind:
                return Kept(old, "known")
            if old is None:
                await self._check_room()
            new_key = old.id if old else key or uuid4().hex[:16]
            await self._put(new_key, text, kind, thread_id, old)
        others = [each for each in like if each.id != new_key]
        return Kept(await self.get(new_key), "changed" if old else "new", others)

    async def search(self, query: str = "", *, limit: int, offset: int = 0) -> list[Memory]:
        """Return memories: those that meet a query first, and then the latest."""
        items = await self._store.asearch(
            self._namespace, query=query.strip() or None, limit=limit, offset=offset
        )
        found = [memory_of(item) for item in items if item.namespace == self._namespace]
        return [memory for memory in found if memory.text]

    async def fitting(self, query: str, *, limit: int) -> list[Memory]:
        """Return what joins a prompt; most users have nothing, and that is known for a moment.

        What another process writes meanwhile joins a moment later.
        """
        nothing = _nothing.setdefault(self._store, {})
        if nothing.get(self._namespace, 0.0) > monotonic():
            return []
        found = await self.search(query, limit=limit)
        if not found:
            if len(nothing) >= _KNOWN:
                nothing.clear()
            nothing[self._namespace] = monotonic() + _NOTHING_SECONDS
        return found

    async def get(self, memory_id: str) -> Memory:
        """Return a memory.

        Raises:
            MemoryNotFound: there is none of this id.
        """
        item = await self._store.aget(self._namespace, memory_id) if memory_id else None
        if item is None:
            raise MemoryNotFound(f"there is no memory {memory_id!r}")
        return memory_of(item)

    async def change(self, memory_id: str, text: str | None, kind: Kind | None) -> Memory:
        """Give a memory another text or kind; raises as `get` and `remember` do."""
        async with self._one_at_a_time():
            old = await self.get(memory_id)
            text = old.text if text is None else self._checked(text)
            await self._put(memory_id, text, kind or old.kind, None, old)
        return await self.get(memory_id)

    async def forget(self, memory_id: str) -> Memory:
        """Delete a memory, and return what it was; raises as `get` does."""
        memory = await self.get(memory_id)
        await self._store.adelete(self._namespace, memory_id)
        return memory

    async def forget_all(self) -> int:
        """Delete all memories; returns how many they were."""
        count = 0
        while items := await self._store.asearch(self._namespace, limit=_PAGE):
            await self._store.abatch([PutOp(item.namespace, item.key, None) for item in items])
            count += len(items)
        return count

    async def all(self) -> AsyncIterator[Memory]:
        """Yield every memory, the latest first."""
        offset = 0
        while items := await self._store.asearch(self._namespace, limit=_PAGE, offset=offset):
            for item in items:
                yield memory_of(item)
            offset += len(items)

    async def _put(
        self, key: str, text: str, kind: Kind, thread_id: str | None, old: Memory | None
    ) -> None:
        _nothing.get(self._store, {}).pop(self._namespace, None)
        said_in = thread_id or (old.thread_id if old else None)
        value = value_of(text, kind, said_in, old.created_at if old else None)
        await self._store.aput(self._namespace, key, value, INDEX)

    def _checked(self, text: str) -> str:
        text = str(plain(text)).strip()
        if not text:
            raise InvalidMemory("there is nothing to remember: the text is empty")
        if len(text) > (most := self._settings.memory_size):
            raise InvalidMemory(
                f"a memory has at most {most:,} characters, and this has {len(text):,}: say it "
                "shorter, or in several memories"
            )
        return text

    async def _check_room(self) -> None:
        most = self._settings.memory_limit
        if await self._store.asearch(self._namespace, limit=1, offset=most - 1):
            raise TooManyMemories(
                f"there are {most:,} memories already, as many as there may be: forget some first"
            )

    def _one_at_a_time(self) -> asyncio.Lock:
        """Of two calls that remember the same at once, the second one finds it."""
        place = id(asyncio.get_running_loop()), self._namespace
        return _keeping.setdefault(place, asyncio.Lock())
