"""LangGraph's store on SQLAlchemy tables.

Searches go straight to the database. Writes that come while another is being committed wait and
are committed together, so that any number of writers cost SQLite one commit at a time; and so it is
with reads by key.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, Concatenate, ParamSpec, TypeVar

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)
from sqlalchemy import ColumnElement, Connection, func, select
from structlog import get_logger

from everturn.checkpoints.away import patiently
from everturn.checkpoints.bounds import check_size
from everturn.checkpoints.sql.batcher import Batcher
from everturn.checkpoints.sql.database import Database, check_time
from everturn.checkpoints.sql.pages import FEW, read_page, size_of
from everturn.checkpoints.sql.store import statements as sql
from everturn.checkpoints.sql.store.meaning import Meaning
from everturn.checkpoints.sql.store.namespaces import check, joined, literal_prefix, matches, split
from everturn.checkpoints.sql.store.statements import Place
from everturn.checkpoints.sql.store.values import as_json, check_filter, fits
from everturn.checkpoints.sql.tables import store_items as items

log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_TRANSACTION_SECONDS = 30.0
_SEARCH_SECONDS = 10.0
_SWEEP_MINUTES = 60.0
_ROWS_AT_ONCE = 25
"""Rows of a streamed result; PostgreSQL's are read on the event loop, which breathes in between."""


@dataclass(frozen=True, slots=True)
class _Write:
    """A row to be written."""

    row: Mapping[str, Any]
    vectors: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Delete:
    """An item to be deleted."""


@dataclass(frozen=True, slots=True)
class _Refresh:
    """An item that was read, and lives on for its TTL."""

    ttl: float
    until: datetime


_Change = _Write | _Delete | _Refresh
_Found = list[tuple[Mapping[str, Any], float | None]]
"""Rows of a search with their scores."""


class SQLStore(BaseStore):
    """The tables `store_items` and `store_vectors`. Use `open_store`: it also sweeps them.

    Expired items are never returned, swept or not. A batch reads first, then writes in one
    transaction, the last write of a key winning. Every method raises InvalidItem (a ValueError) or
    LangGraph's InvalidNamespaceError for what cannot be stored, SearchTimeout for a
    search that took too long, ListTooLarge for one that found too much, StoreUnavailable
    while the database does not answer, and StoreMisconfigured where it cannot serve.
    """

    supports_ttl = True

    def __init__(
        self,
        database: Database,
        *,
        meaning: Meaning | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        """Use an open database; must be made in the event loop that it is used in.

        Args:
            database: open and migrated.
            meaning: how texts are compared; `None` ignores the `query` of a search.
            ttl: LangGraph's TTL config, in minutes.
        """
        self.ttl_config = ttl
        self._database = database
        self._meaning = meaning
        self._loop = asyncio.get_running_loop()
        self._writes = Batcher(self._commit, name="store writes", drop_cancelled=True)
        self._reads = Batcher(self._read, name="store reads", drop_cancelled=True)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do `abatch` for a caller in another thread, as sync nodes are.

        Raises:
            RuntimeError: called in the event loop, which it would block for ever.
        """
        if _running_loop() is self._loop:
            raise RuntimeError(
                "The store was called synchronously in the event loop, which this would block: "
                "in async nodes write `await store.aget(…)` in place of `store.get(…)`."
            )
        return asyncio.run_coroutine_threadsafe(self.abatch(ops), self._loop).result()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations and return their results in order."""
        ops = list(ops)
        for op in ops:
            check(op)
            if isinstance(op, SearchOp):
                check_filter(op.filter)
        # Embedding may take a second: before any connection is taken.
        changes = await self._changes([op for op in ops if isinstance(op, PutOp)])
        queries = await self._queries(op for op in ops if isinstance(op, SearchOp))
        results: list[Result] = [None] * len(ops)
        refreshed: dict[Place, _Change] = {}
        gets = {number: op for number, op in enumerate(ops) if isinstance(op, GetOp)}
        if gets:
            places = [_place(op) for op in gets.values()]
            rows = await patiently(partial(self._reads.submit, places))
            for number, op in gets.items():
                if row := rows.get(_place(op)):
                    results[number] = Item(**_common(row))
                    refreshed |= _refresh([row], op.refresh_ttl)
        for number, op in enumerate(ops):
            if isinstance(op, SearchOp):
                found = await self._search(op, queries.get(op.query or ""))
                results[number] = [SearchItem(**_common(row), score=score) for row, score in found]
                refreshed |= _refresh([row for row, _ in found], op.refresh_ttl)
            elif isinstance(op, ListNamespacesOp):
                results[number] = await self._searching(_namespaces, op)
        if changes or refreshed:
            await patiently(partial(self._writes.submit, {**refreshed, **changes}))
        return results

    async def close(self) -> None:
        """Take no more reads by key and no more writes; return when those that wait are made."""
        for batcher in (self._reads, self._writes):
            await batcher.close(_TRANSACTION_SECONDS)

    async def sweep(self) -> int:
        """Delete what has expired; returns how many items."""
        return await self._writing(lambda c: c.execute(sql.sweep(_now())).rowcount)

    async def _changes(self, puts: Sequence[PutOp]) -> dict[Place, _Change]:
        last = {(joined(op.namespace), op.key): op for op in puts}
        values = {place: as_json(op.value) for place, op in last.items() if op.value is not None}
        vectors: dict[Place, dict[str, bytes]] = {}
        if self._meaning and values:
            pairs = [(last[place], value) for place, value in values.items()]
            vectors = dict(zip(values, await self._meaning.of_items(pairs), strict=True))
        now = _now()
        changes: dict[Place, _Change] = {}
        for place, op in last.items():
            if place not in values:
                changes[place] = _Delete()
                continue
            row = {
                "namespace": place[0],
                "key": place[1],
                "value": values[place],
                "ttl": op.ttl,
                "created_at": now,
                "updated_at": now,
                "expires_at": None if op.ttl is None else now + timedelta(minutes=op.ttl),
            }
            changes[place] = _Write(row, vectors.get(place, {}))
        return changes

    async def _queries(self, searches: Iterable[SearchOp]) -> dict[str, Any]:
        queries = [op.query for op in searches if op.query]
        return await self._meaning.of_queries(queries) if self._meaning and queries else {}

    async def _commit(self, group: Sequence[Mapping[Place, _Change]]) -> list[None]:
        """Commit the changes of several callers; the last of a place counts."""
        merged: dict[Place, _Change] = {}
        for changes in group:
            for place, change in changes.items():
                if not (isinstance(change, _Refresh) and place in merged):
                    merged[place] = change
        await self._writing(_apply, merged)
        return [None] * len(group)

    async def _read(self, group: Sequence[Sequence[Place]]) -> list[dict[Place, dict[str, Any]]]:
        """Read the items of several callers by their places."""
        places = list(dict.fromkeys(place for each in group for place in each))
        found = await self._reading(_at, places, sql.alive(_now()))
        return [{place: found[place] for place in each if place in found} for each in group]

    async def _search(self, op: SearchOp, query: Any) -> _Found:
        """Find items: the latest, or those whose texts are near the query."""
        where = [sql.alive(_now()), sql.inside(op.namespace_prefix), *sql.roughly(op.filter or {})]
        if query is None or self._meaning is None:
            rows = await self._searching(_latest, op, where, op.limit, op.offset)
            return [(row, None) for row in rows]
        places, stored = await self._searching(_vectors, op, where)
        # NumPy lets go of the interpreter while it multiplies.
        scores = await asyncio.to_thread(self._meaning.scores, query, stored)
        best: dict[Place, float] = {}
        for place, score in zip(places, scores, strict=True):
            if score is not None:
                best[place] = max(score, best.get(place, score))
        ranked = sorted(best, key=lambda place: (-best[place], place))
        page = ranked[op.offset : op.offset + op.limit]
        rows_there = await self._reading(_at, page, sql.alive(_now()), bounded=True)
        found: _Found = [(rows_there[place], best[place]) for place in page if place in rows_there]
        if (room := op.limit - len(page)) > 0:  # those without any vector come after all others
            after = max(0, op.offset - len(ranked))
            others = await self._searching(
                _latest, op, [*where, sql.without_vectors()], room, after
            )
            found += [(row, None) for row in others]
        return found

    async def _reading(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._database.read(
            lambda connection: work(connection, *args, **kwargs), seconds=_TRANSACTION_SECONDS
        )

    async def _searching(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def search() -> Awaitable[T]:
            return self._database.search(
                lambda connection: work(connection, *args, **kwargs), seconds=_SEARCH_SECONDS
            )

        return await patiently(search)

    async def _writing(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._database.write(
            lambda connection: work(connection, *args, **kwargs), seconds=_TRANSACTION_SECONDS
        )


def _at(
    connection: Connection,
    places: Sequence[Place],
    alive: ColumnElement[bool],
    *,
    bounded: bool = False,
) -> dict[Place, dict[str, Any]]:
    """Read items by their places; `bounded`, only where they are not too large for one list."""
    found = {}
    if bounded and len(places) > FEW:
        size = func.sum(size_of(items.c, connection.dialect))
        groups = sql.in_groups(places)
        check_size(sum(connection.scalar(select(size).where(sql.at(s))) or 0 for s in groups))
    for some in sql.in_groups(places):
        rows = connection.execute(select(items).where(sql.at(some), alive))
        found.update({(row.namespace, row.key): row._asdict() for row in rows})
    return found


def _latest(
    connection: Connection,
    op: SearchOp,
    where: Sequence[ColumnElement[bool]],
    limit: int,
    offset: int,
) -> Sequence[Mapping[Any, Any]]:
    """Read items that fit, the latest first; as far as they are needed."""
    latest = select(items).where(*where).order_by(*sql.LATEST_FIRST)
    if not op.filter:
        return read_page(connection, latest.limit(limit).offset(offset), *sql.PLACE)
    page: list[Mapping[Any, Any]] = []
    passed = held = 0
    sized = latest.add_columns(size_of(items.c, connection.dialect).label("size"))
    with _streamed(connection).execute(sized) as rows:
        for row in rows.mappings():
            check_time(connection)
            if len(page) >= limit:
                break
            if not fits(row["value"], op.filter):
                continue
            passed += 1
            if passed > offset:
                held += row["size"]
                check_size(held)
                page.append(row)
    return page


def _vectors(
    connection: Connection, op: SearchOp, where: Sequence[ColumnElement[bool]]
) -> tuple[list[Place], list[bytes]]:
    """Read the vectors of all items that fit, each with its item's place."""
    places: list[Place] = []
    stored: list[bytes] = []
    with _streamed(connection).execute(
        sql.with_vectors(values=bool(op.filter)).where(*where)
    ) as rows:
        for row in rows:
            check_time(connection)
            if not op.filter or fits(row.value, op.filter):
                places.append((row.namespace, row.key))
                stored.append(row.vector)
    return places, stored


def _namespaces(connection: Connection, op: ListNamespacesOp) -> list[tuple[str, ...]]:
    conditions = op.match_conditions or ()
    prefix, says_all = literal_prefix(conditions)
    listed = sql.namespaces().where(sql.alive(_now()), sql.inside(prefix))
    if says_all and op.max_depth is None:
        page = connection.scalars(listed.limit(op.limit).offset(op.offset))
        return [split(text) for text in page]
    found: dict[tuple[str, ...], None] = {}
    with _streamed(connection).scalars(listed) as texts:
        for namespace in map(split, texts):
            check_time(connection)
            if matches(namespace, conditions):
                found[namespace[: op.max_depth]] = None
    return sorted(found, key=joined)[op.offset : op.offset + op.limit]


def _streamed(connection: Connection) -> Connection:
    """Read results group by group: not all of them may be needed, and there may be many."""
    return connection.execution_options(yield_per=_ROWS_AT_ONCE)


@asynccontextmanager
async def open_store(
    database: Database, *, meaning: Meaning | None = None, ttl: TTLConfig | None = None
) -> AsyncIterator[SQLStore]:
    """Open the store, and sweep what has expired now and then: `sweep_interval_minutes`, or 60."""
    store = SQLStore(database, meaning=meaning, ttl=ttl)
    minutes = (ttl or {}).get("sweep_interval_minutes") or _SWEEP_MINUTES
    sweeping = asyncio.create_task(_keep_sweeping(store, minutes), name="store sweeper")
    try:
        yield store
    finally:
        sweeping.cancel()
        await asyncio.wait({sweeping})
        await store.close()


async def _keep_sweeping(store: SQLStore, minutes: float) -> None:
    while True:
        try:
            await store.sweep()
        except Exception as error:  # expired items stay hidden; the next sweep may delete them
            log.warning("store_not_swept", error=str(error))
        await asyncio.sleep(minutes * 60)


def _apply(connection: Connection, changes: Mapping[Place, _Change]) -> None:
    """Make changes in the order of their places, so that no two transactions lock each other."""
    upsert = sql.upsert(connection.dialect, _now())
    for kind, group in groupby(sorted(changes), key=lambda place: type(changes[place])):
        places = list(group)
        here = [{"at_namespace": namespace, "at_key": key} for namespace, key in places]
        if kind is _Delete:
            connection.execute(sql.DELETE, here)
            continue
        alike = [changes[place] for place in places]
        if kind is _Refresh:
            terms = [(each.ttl, each.until) for each in alike if isinstance(each, _Refresh)]
            rows = [
                {**where, "of_ttl": ttl, "until": until}
                for where, (ttl, until) in zip(here, terms, strict=True)
            ]
            connection.execute(sql.REFRESH, rows)
            continue
        writes = [each for each in alike if isinstance(each, _Write)]
        connection.execute(upsert, [each.row for each in writes])
        connection.execute(sql.DELETE_VECTORS, here)  # also those of an earlier index
        vectors = [
            {"namespace": namespace, "key": key, "path": path, "vector": vector}
            for (namespace, key), each in zip(places, writes, strict=True)
            for path, vector in each.vectors.items()
        ]
        if vectors:
            connection.execute(sql.INSERT_VECTORS, vectors)


def _common(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "namespace": split(row["namespace"]),
        "key": row["key"],
        "value": row["value"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _refresh(rows: Iterable[Mapping[str, Any]], wanted: bool) -> dict[Place, _Change]:
    """Note that items were read, so that those with a TTL live on."""
    now = _now()
    return {
        (row["namespace"], row["key"]): _Refresh(row["ttl"], now + timedelta(minutes=row["ttl"]))
        for row in rows
        if wanted and row["ttl"] is not None
    }


def _place(op: GetOp) -> Place:
    return joined(op.namespace), op.key


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _now() -> datetime:
    return datetime.now(UTC)
