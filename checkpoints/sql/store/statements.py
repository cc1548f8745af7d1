"""The store's SQL, the same for SQLite and PostgreSQL but for an upsert and a filter."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from everturn.checkpoints.sql.store.namespaces import Namespace, below, joined
from everturn.checkpoints.sql.tables import store_items as items
from everturn.checkpoints.sql.tables import store_texts as texts

Place = tuple[str, str]
"""Where an item lies: its namespace as one text, and its key."""

PLACE = (items.c.namespace, items.c.key)
LATEST_FIRST = (items.c.updated_at.desc(), *PLACE)
_PLAIN_KEY = re.compile(r"[\w -]+", re.ASCII)
"""Keys that JSON, and SQLite's paths into it, write as they are."""
MANY = 500
"""Places in one statement: SQLite takes 32,766 parameters, PostgreSQL 32,767."""

_MANY_NAMESPACES = 50
"""In one statement: each is a condition of its own."""

_HERE = items.c.namespace == bindparam("at_namespace"), items.c.key == bindparam("at_key")
DELETE = delete(items).where(*_HERE)
DELETE_TEXTS = delete(texts).where(
    texts.c.namespace == bindparam("at_namespace"), texts.c.key == bindparam("at_key")
)
INSERT_TEXTS = insert(texts)
REFRESH = (
    update(items)
    .where(*_HERE, items.c.ttl == bindparam("of_ttl"))
    .values(expires_at=bindparam("until"))
)


_NEVER = literal(datetime.max.replace(tzinfo=UTC), items.c.expires_at.type)


def _bounded(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Take what lies within the `bounds` of a namespace, which come with each execution."""
    inside = (column >= bindparam("first")) & (column < bindparam("end"))
    return or_(column == bindparam("prefix"), inside)


# A search has few rows to read: to write its statements anew each time would take longer.
ANYTHING = select(items.c.key).where(_bounded(items.c.namespace)).limit(1)
"""Asks whether there are items in a namespace, or inside it."""
NEW_TEXTS = (
    select(texts.c.number, texts.c.vector)
    .where(
        _bounded(texts.c.namespace),
        texts.c.number > bindparam("since"),
        texts.c.vector.is_not(None),
        or_(texts.c.model == bindparam("model"), texts.c.model == ""),
    )
    .order_by(texts.c.number)
)
"""Reads the vectors of a model that were written after a number; older ones name no model."""
NEW_NUMBERS = NEW_TEXTS.with_only_columns(texts.c.number)
_LIVING = select(items).where(
    items.c.namespace == bindparam("at_namespace"),
    items.c.key.in_(bindparam("at_keys", expanding=True)),
    func.coalesce(items.c.expires_at, _NEVER) > bindparam("now", type_=items.c.expires_at.type),
)


def upsert(dialect: Dialect, now: datetime) -> Any:
    """Write items; one that is there keeps its time of creation, unless it has expired."""
    new = (postgresql.insert if dialect.name == "postgresql" else sqlite.insert)(items)
    expired = items.c.expires_at <= now
    return new.on_conflict_do_update(
        index_elements=list(PLACE),
        set_={
            **{name: new.excluded[name] for name in ("value", "ttl", "updated_at", "expires_at")},
            "created_at": case((expired, new.excluded.created_at), else_=items.c.created_at),
        },
    )


def alive(now: datetime) -> ColumnElement[bool]:
    """Leave out what has expired, also where it has not been swept yet.

    Written so that no index serves it: SQLite would read all that never expires by that index, to
    find a few items by their places.
    """
    return func.coalesce(items.c.expires_at, _NEVER) > now


def inside(namespace: Namespace) -> ColumnElement[bool]:
    """Take a namespace and all those in it, by the primary key's index; none takes all."""
    return _inside(items.c.namespace, namespace)


def texts_inside(namespace: Namespace) -> ColumnElement[bool]:
    """Take the texts of the items that `inside` takes."""
    return _inside(texts.c.namespace, namespace)


def _inside(column: ColumnElement[str], namespace: Namespace) -> ColumnElement[bool]:
    if not namespace:
        return column.is_not(None)
    text = joined(namespace)
    first, end = below(text)
    return or_(column == text, (column >= first) & (column < end))


def exactly(namespace: Namespace) -> ColumnElement[bool]:
    """Take a namespace without those in it: by an index that has the latest first."""
    return items.c.namespace == joined(namespace)


def any_below(namespace: Namespace) -> Select[Any]:
    """Ask whether there are items in namespaces inside this one."""
    first, end = below(joined(namespace))
    return select(items.c.key).where(items.c.namespace >= first, items.c.namespace < end).limit(1)


def at(places: Iterable[Place]) -> ColumnElement[bool]:
    """Take the items at these places.

    Namespace by namespace: SQLite has no index for a list of pairs, and would read all items.
    """
    keys: dict[str, list[str]] = {}
    wanted = list(places)
    for namespace, key in wanted:
        keys.setdefault(namespace, []).append(key)
    if len(keys) > _MANY_NAMESPACES or not keys:
        return tuple_(*PLACE).in_(wanted)
    some = ((items.c.namespace == name) & items.c.key.in_(those) for name, those in keys.items())
    return or_(*some)


def living(places: Sequence[Place], now: datetime) -> tuple[Select[Any], Mapping[str, Any]]:
    """Return what reads the items at these places, unless they have expired, and its parameters."""
    namespaces = {namespace for namespace, _ in places}
    if len(namespaces) > 1:
        return select(items).where(at(places), alive(now)), {}
    keys = [key for _, key in places]
    return _LIVING, {"at_namespace": namespaces.pop(), "at_keys": keys, "now": now}


def in_groups(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    """Cut a long list of places to what one statement takes."""
    return (places[start : start + MANY] for start in range(0, len(places), MANY))


def roughly(condition: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Let the database leave out most of what a filter leaves out; never more than that."""
    narrowed = []
    for key, wanted in condition.items():
        text = wanted.get("$eq") if isinstance(wanted, Mapping) else wanted
        if isinstance(text, str) and _PLAIN_KEY.fullmatch(key):
            narrowed.append(items.c.value[key].as_string() == text)
    return narrowed


def without_vectors(model: str) -> ColumnElement[bool]:
    """Take items that have nothing to be compared by; older vectors do not say what made them."""
    here = texts.c.namespace == items.c.namespace, texts.c.key == items.c.key
    return ~exists().where(*here, func.length(texts.c.vector) > 0, texts.c.model.in_([model, ""]))


def with_vectors(*, values: bool) -> Select[Any]:
    """Read vectors with their places, and values where they are asked for."""
    here = (texts.c.namespace == items.c.namespace) & (texts.c.key == items.c.key)
    return (
        select(*PLACE, texts.c.vector, *([items.c.value] if values else []))
        .select_from(items.join(texts, here))
        .where(texts.c.vector.is_not(None))
    )


def namespaces() -> Select[Any]:
    """Read each namespace once, in the order of their texts."""
    return select(items.c.namespace).distinct().order_by(items.c.namespace)


def sweep(now: datetime) -> Any:
    """Delete what has expired, except rows that are being written at this moment."""
    expired = select(*PLACE).where(items.c.expires_at <= now).with_for_update(skip_locked=True)
    return delete(items).where(tuple_(*PLACE).in_(expired))
