"""What was kept before there were owners is given one: rows without an `owner` in their metadata.

Done at each start, and in the end the same however often, and by however many processes at once.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.json_objects import merged
from everturn.checkpoints.sql.runs import UNFINISHED
from everturn.checkpoints.sql.store import statements
from everturn.checkpoints.sql.store.statements import Place
from everturn.checkpoints.sql.tables import (
    assistant_versions,
    assistants,
    chat_history,
    crons,
    runs,
    threads,
    webhooks,
)
from everturn.checkpoints.sql.tables import store_items as items
from everturn.checkpoints.sql.tables import store_texts as texts

_SECONDS = 60.0
"""What one transaction may take."""
_ROWS_AT_ONCE = 20_000
_ITEMS_AT_ONCE = 500


class Adoption:
    """Gives what is nobody's to an owner. Methods raise as those of `Database` do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def adopt(self, owner: str, label: str, labels: str) -> None:
        """Give everything that has no owner to one.

        Runs that have ended stay as they are: they are their thread's. The assistants of graphs
        are everybody's.

        Args:
            owner: an identity.
            label: the first label of the owner's namespaces in the store.
            labels: how the first labels of all owners begin.
        """
        for change in _changes(owner):
            await self._repeated(partial(_change_some, change=change))
        await self._repeated(partial(_adopt_histories, owner=owner))
        await self._repeated(partial(_adopt_items, label=label, labels=labels))

    async def _repeated(self, some: Callable[[Connection], bool]) -> None:
        """Do something in one transaction after the other, as long as there may be more to do."""
        while await self._database.write(some, seconds=_SECONDS):
            pass


class _Change(NamedTuple):
    """What is said of rows that nobody owns."""

    table: Table
    which: ColumnElement[bool]
    values: Mapping[str, Any]


def _changes(owner: str) -> Iterator[_Change]:
    by_system = assistants.c.metadata["created_by"].as_string() == "system"
    of_graphs = select(assistants.c.assistant_id).where(by_system)
    under_way = runs.c.status.in_(UNFINISHED)
    for table, which in (
        (threads, true()),
        (webhooks, true()),
        (crons, true()),
        (runs, under_way),
        (assistant_versions, assistant_versions.c.assistant_id.not_in(of_graphs)),
        (assistants, assistants.c.assistant_id.not_in(of_graphs)),
    ):
        nobodys = table.c.metadata["owner"].as_string().is_(None)
        given = {"metadata": merged(table.c.metadata, {"owner": owner})}
        yield _Change(table, and_(nobodys, which), given)
    for table, which in ((crons, true()), (runs, under_way)):  # what they do is done as the owner
        yield _Change(table, and_(table.c.caller.is_(None), which), {"caller": {"identity": owner}})


def _change_some(connection: Connection, change: _Change) -> bool:
    place = change.table.primary_key.columns
    some = select(*place).where(change.which).order_by(*place).limit(_ROWS_AT_ONCE)
    changed = update(change.table).where(tuple_(*place).in_(some)).values(change.values)
    return connection.execute(changed).rowcount == _ROWS_AT_ONCE


def _adopt_histories(connection: Connection, owner: str) -> bool:
    """Give a row to each session that ended before rows of such were kept."""
    turns = chat_history.c
    first, last = func.min(turns.created_at), func.max(turns.created_at)
    objects = {"metadata": {"owner": owner}, "config": {}, "interrupts": {}}
    row = {
        "thread_id": turns.session_id,
        "kind": literal("ended"),
        "status": literal("idle"),
        **{name: literal(value, threads.c[name].type) for name, value in objects.items()},
        "created_at": first,
        "updated_at": last,
        "state_updated_at": last,
        "expires_at": last,
    }
    unheld = turns.session_id.is_not(None) & ~exists().where(
        threads.c.thread_id == turns.session_id
    )
    found = select(*row.values()).where(unheld).group_by(turns.session_id)
    new = _insert(connection, threads).from_select(list(row), found)
    connection.execute(new.on_conflict_do_nothing())
    return False


def _insert(connection: Connection, table: Table) -> Any:
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)


def _adopt_items(connection: Connection, label: str, labels: str) -> bool:
    """Move some items behind a label.

    One stays where it is, and unseen, while the owner has another in its place.
    """
    places = _to_adopt(connection, label, labels)
    if not places:
        return False
    prefix = literal(f"{label}.")
    here = statements.at(places)
    moved = [prefix + c if c is items.c.namespace else c for c in items.c]
    new = _insert(connection, items).from_select(list(items.c), select(*moved).where(here))
    connection.execute(new.on_conflict_do_nothing())
    these = tuple_(texts.c.namespace, texts.c.key).in_(places)
    # Words are kept apart by namespace: they are made anew.
    moved_to = {"namespace": prefix + texts.c.namespace, "words": None}
    connection.execute(update(texts).where(these).values(moved_to))
    connection.execute(delete(items).where(here))
    return True


def _to_adopt(connection: Connection, label: str, labels: str) -> list[Place]:
    text, other = items.c.namespace, items.alias()
    first_after = labels[:-1] + chr(ord(labels[-1]) + 1)
    nobodys = or_(text < labels, text >= first_after)  # as the primary key's index has them
    taken = exists().where(
        other.c.namespace == literal(f"{label}.") + text, other.c.key == items.c.key
    )
    found = select(*statements.PLACE).where(nobodys, ~taken).limit(_ITEMS_AT_ONCE)
    return [(row.namespace, row.key) for row in connection.execute(found)]
