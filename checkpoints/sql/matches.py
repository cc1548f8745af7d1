"""Which metadata a row may have: said once, in Python for one row and in SQL for a search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, false, or_, true

from everturn.checkpoints.sql.json_objects import contained, contains, member_equals

Metadata = Mapping[str, Any]


class Match(Protocol):
    """A condition on an object of JSON."""

    def fits(self, metadata: Metadata) -> bool:
        """Say whether an object meets it."""
        ...

    def condition(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Say the same in SQL, of a column of JSON objects."""
        ...


@dataclass(frozen=True, slots=True)
class Contains:
    """The object contains this one, as PostgreSQL's `@>` understands it."""

    wanted: Metadata

    def fits(self, metadata: Metadata) -> bool:
        """See `Match`; so do the others."""
        return contained(dict(self.wanted), dict(metadata))

    def condition(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return contains(column, self.wanted)


@dataclass(frozen=True, slots=True)
class Equals:
    """The object has this key, with exactly this value."""

    key: str
    value: Any

    def fits(self, metadata: Metadata) -> bool:
        return self.key in metadata and bool(metadata[self.key] == self.value)

    def condition(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return member_equals(column, self.key, self.value)


@dataclass(frozen=True, slots=True)
class Every:
    """All of these are met."""

    parts: tuple[Match, ...] = ()

    def fits(self, metadata: Metadata) -> bool:
        return all(part.fits(metadata) for part in self.parts)

    def condition(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(true(), *(part.condition(column) for part in self.parts))


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these is met."""

    parts: tuple[Match, ...]

    def fits(self, metadata: Metadata) -> bool:
        return any(part.fits(metadata) for part in self.parts)

    def condition(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return or_(false(), *(part.condition(column) for part in self.parts))


EVERYTHING = Every()
"""No condition: every row meets it."""
