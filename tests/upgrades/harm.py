"""What a migration does to processes that do not know it, seen in the tables before and after."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Inspector, inspect

from everturn.checkpoints.sql.migrations import schema_of


class Column(NamedTuple):
    kind: str
    required: bool
    given: bool
    """Whether the database has a value for it where a row comes without."""


class Table(NamedTuple):
    columns: dict[str, Column]
    demands: set[str]
    """What each row must meet."""


def tables(connection: Connection) -> dict[str, Table]:
    """Read what the database demands of those who write to it."""
    schema, found = schema_of(connection), inspect(connection)
    return {
        name: Table(
            {each["name"]: _column(each) for each in found.get_columns(name, schema)},
            set(_demands(found, name, schema)),
        )
        for name in found.get_table_names(schema)
    }


def _demands(found: Inspector, table: str, schema: str | None) -> Iterator[str]:
    yield f"primary key {found.get_pk_constraint(table, schema)['constrained_columns']}"
    for index in found.get_indexes(table, schema):
        if index["unique"]:
            yield f"unique {index['column_names']}"
    for unique in found.get_unique_constraints(table, schema):
        yield f"unique {unique['column_names']}"
    for check in found.get_check_constraints(table, schema):
        yield f"check {check['sqltext']}"
    for key in found.get_foreign_keys(table, schema):
        yield f"foreign key {key['constrained_columns']}"


def _column(found: Any) -> Column:
    given = found["default"] is not None or bool(found.get("autoincrement") is True)
    return Column(str(found["type"]), not found["nullable"], given)


def harm(before: dict[str, Table], after: dict[str, Table]) -> set[str]:
    """Say what processes that know only the tables of before would stumble over."""
    found = {f"drops {name}" for name in before.keys() - after.keys()}
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        found |= {f"drops {name}.{column}" for column in old.columns.keys() - new.columns.keys()}
        found |= {f"demands of {name}: {each}" for each in new.demands - old.demands}
        for column, now in new.columns.items():
            was = old.columns.get(column)
            if now.required and not now.given and (was is None or not was.required or was.given):
                found.add(f"demands a value of {name}.{column}")
            if was is not None and was.kind != now.kind:
                found.add(f"makes {name}.{column} {now.kind}")
    return found
