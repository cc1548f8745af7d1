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
from weakref import WeakValueDictionary

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
from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.sql.batcher import Batcher
from everturn.checkpoints.sql.database import Database, check_time
from everturn.checkpoints.sql.pages import FEW, read_page, size_of
from everturn.checkpoints.sql.store import statements as sql
from everturn.checkpoints.sql.store.filling import Filling
from everturn.checkpoints.sql.store.finding import Query, Score, best, ranked, read_new
from everturn.checkpoints.sql.store.meaning import Meaning
from everturn.checkpoints.sql.store.namespaces import (
    bounds,
    check,
    joined,
    literal_prefix,
    matches,
    split,
)
from everturn.checkpoints.sql.store.nearest import Bits, Nearest
from everturn.checkpoints.sql.store.statements import Place
from everturn.checkpoints.sql.store.texts import Text, rows_of, texts_in
from everturn.checkpoints.sql.store.values import as_json, check_filter, fits
from everturn.checkpoints.sql.store.words import asked
from everturn.checkpoints.sql.tables import store_items as items
from everturn.checkpoints.sql.tables import store_texts as texts_table

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
    texts: Sequence[Text]


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
    """The tables `store_items` and `store_texts`. Use `open_store`: it also sweeps them.

    A search with a `query` finds by meaning, where something makes vectors, and by words: those of
    the texts that an item names in `index`, or that the store's index names. Words are looked for
    in the namespace of the search itself, not in those inside it, and not beside a filter.

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
            meaning: what makes vectors of texts; `None` finds by words alone.
            ttl: LangGraph's TTL config, in minutes.
        """
        self.ttl_config = ttl
        self._database = database
        self._meaning = meaning
        self._nearest = Nearest(meaning.numpy) if meaning else None
        self._looking = WeakValueDictionary[str, asyncio.Lock]()
        self.filling = Filling(database, meaning)
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
                found = await self._search(op)
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
        fields = self._meaning.fields if self._meaning else ()
        texts = {place: texts_in(last[place], value, fields) for place, value in values.items()}
        vectors = await self._vectors_of(
            text for found in texts.values() for text in found.values()
        )
        model = self._meaning.model if self._meaning else None
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
            changes[place] = _Write(row, rows_of(place[0], texts[place], vectors, model))
        return changes

    async def _vectors_of(self, texts: Iterable[str]) -> dict[str, bytes]:
        """Return the vectors of texts; none while what makes them is away: they are made later."""
        wanted = list(texts)
        if self._meaning is None or not wanted:
            return {}
        try:
            return await self._meaning.of_texts(wanted)
        except StoreMisconfigured:
            raise
        except Exception as error:
            log.warning("texts_not_embedded", texts=len(wanted), error=str(error))
            self.filling.later()
            return {}

    async def _query(self, op: SearchOp) -> Query | None:
        """Make a query ready; `None` where it has nothing to be found by."""
        if not op.query:
            return None
        words = asked(joined(op.namespace_prefix), op.query) if not op.filter else []
        if self._meaning is None or not await self._compares(op):
            return Query(words) if words else None
        try:
            vector = await self._meaning.of_query(op.query)
        except StoreMisconfigured:
            raise
        except Exception as error:
            log.warning("query_not_embedded", error=str(error))
            return Query(words) if words else None
        return Query(words, vector, self._meaning.model)

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
        found = await self._reading(_at, places)
        return [{place: found[place] for place in each if place in found} for each in group]

    async def _compares(self, op: SearchOp) -> bool:
        """Say whether there is anything to be compared by meaning: else no vector is made."""
        assert self._meaning is not None and self._nearest is not None  # noqa: S101, PT018
        known = self._nearest.bits(joined(op.namespace_prefix), self._meaning.model)
        return bool(len(known)) or await self._searching(_has_vectors, op)

    async def _search(self, op: SearchOp) -> _Found:
        """Find items: the latest, or those whose texts are near the query."""
        query = await self._query(op)
        if query is None:
            rows = await self._searching(_latest, op, _where(op), op.limit, op.offset)
            return [(row, None) for row in rows]
        if op.filter:
            scores = await self._filtered(op, query)
            return await self._searching(_page, op, query, scores)
        if query.vector is None or self._nearest is None or self._meaning is None:
            found, _ = await self._searching(_find, op, query, None, None)
            return found
        prefix = joined(op.namespace_prefix)
        looking = self._looking.setdefault(prefix, asyncio.Lock())
        async with looking:
            bits = self._nearest.bits(prefix, query.model)
            found, outdated = await self._searching(_find, op, query, bits, self._meaning)
            if outdated:
                self._nearest.forget(prefix)
                bits = self._nearest.bits(prefix, query.model)
                found, _ = await self._searching(_find, op, query, bits, self._meaning)
            self._nearest.trim()
        return found

    async def _filtered(self, op: SearchOp, query: Query) -> dict[Place, Score]:
        """Score those items that fit a filter, by meaning, all of them."""
        assert self._meaning is not None  # noqa: S101 - a query with a filter has no words
        model = texts_table.c.model.in_([query.model, ""])
        inside = sql.inside(op.namespace_prefix)
        places, stored = await self._searching(_vectors, op, [*_where(op), inside, model])
        # NumPy lets go of the interpreter while it multiplies.
        scores = await asyncio.to_thread(self._meaning.scores, query.vector, stored)
        pairs = zip(places, scores, strict=True)
        return best((place, Score(score, score)) for place, score in pairs if score is not None)

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


def _where(op: SearchOp) -> list[ColumnElement[bool]]:
    return [sql.alive(_now()), *sql.roughly(op.filter or {})]


def _find(
    connection: Connection, op: SearchOp, query: Query, bits: Bits | None, meaning: Meaning | None
) -> tuple[_Found, bool]:
    """Find by meaning and words; says also whether the bits are out of date."""
    if connection.scalar(sql.ANYTHING, bounds(op.namespace_prefix)) is None:
        return [], False
    if bits is not None:
        read_new(connection, op.namespace_prefix, bits)
    scores, outdated = ranked(connection, query, bits, meaning, op.limit + op.offset)
    return ([], True) if outdated else (_page(connection, op, query, scores), False)


def _page(
    connection: Connection, op: SearchOp, query: Query, scores: Mapping[Place, Score]
) -> _Found:
    """Read a page of what has a score, and then of what has none."""
    order = sorted(scores, key=lambda place: (-scores[place].rank, place))
    page = order[op.offset : op.offset + op.limit]
    there = _at(connection, page, bounded=True) if page else {}
    found: _Found = [(there[place], scores[place].shown) for place in page if place in there]
    if (room := op.limit - len(page)) > 0:  # those that are not compared come after all others
        after = max(0, op.offset - len(order))
        found += _others(connection, op, query, set(order), room, after)
    return found


def _others(
    connection: Connection,
    op: SearchOp,
    query: Query,
    scored: set[Place],
    room: int,
    after: int,
) -> _Found:
    """Read the latest of the items that have no score."""
    where = _where(op)
    if query.vector is not None:
        where.append(sql.without_vectors(query.model))
    some = len(scored) if query.vector is None or query.words else 0
    rows = _latest(connection, op, where, room + after + some, 0)
    others = [row for row in rows if (row["namespace"], row["key"]) not in scored]
    return [(row, None) for row in others[after : after + room]]


def _at(
    connection: Connection, places: Sequence[Place], *, bounded: bool = False
) -> dict[Place, dict[str, Any]]:
    """Read items by their places; `bounded`, only where they are not too large for one list."""
    found, now = {}, _now()
    if bounded and len(places) > FEW:
        size = func.sum(size_of(items.c, connection.dialect))
        groups = sql.in_groups(places)
        check_size(sum(connection.scalar(select(size).where(sql.at(s))) or 0 for s in groups))
    for some in sql.in_groups(places):
        rows = connection.execute(*sql.living(some, now))
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
    inside = sql.inside(op.namespace_prefix)
    if op.namespace_prefix and not connection.scalar(sql.any_below(op.namespace_prefix)):
        inside = sql.exactly(op.namespace_prefix)
    latest = select(items).where(inside, *where).order_by(*sql.LATEST_FIRST)
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


def _has_vectors(connection: Connection, op: SearchOp) -> bool:
    """Say whether there is anything to be compared by meaning."""
    wanted = select(texts_table.c.number).where(
        sql.texts_inside(op.namespace_prefix), texts_table.c.vector.is_not(None)
    )
    return connection.scalar(wanted.limit(1)) is not None


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
    beside = {
        asyncio.create_task(_keep_sweeping(store, minutes), name="store sweeper"),
        asyncio.create_task(store.filling.keep_filling(), name="store texts"),
    }
    try:
        yield store
    finally:
        for each in beside:
            each.cancel()
        await asyncio.wait(beside)
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
        connection.execute(sql.DELETE_TEXTS, here)  # also those of an earlier index
        texts = [
            {"namespace": namespace, "key": key, **text._asdict()}
            for (namespace, key), each in zip(places, writes, strict=True)
            for text in each.texts
        ]
        if texts:
            connection.execute(sql.INSERT_TEXTS, texts)


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
