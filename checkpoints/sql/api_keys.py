"""The table `api_keys`: who may enter with a key of ours. No secret is in it, only its digest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.tables import api_keys

_OF_THIS = update(api_keys).where(api_keys.c.key_id == bindparam("this"))
_USED = _OF_THIS.values(last_used_at=bindparam("now"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A row; moments are aware and in UTC."""

    key_id: str
    name: str
    owner: str
    scopes: Sequence[str]
    digest: bytes = field(repr=False)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    allowance: Mapping[str, Any] | None = None

    def works(self) -> bool:
        """Whether it is neither revoked nor expired."""
        now = datetime.now(UTC)
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_COLUMNS = [api_keys.c[each.name] for each in fields(ApiKey)]


def key_used(key_id: str) -> Row:
    """Write down that a key is used now."""
    return Row(_USED, {"this": key_id, "now": datetime.now(UTC)})


class ApiKeyTable:
    """The rows. Every method raises StoreUnavailable or StoreMisconfigured as the database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKey) -> None:
        """Write a new key."""
        row = {each.name: getattr(key, each.name) for each in fields(key)}
        await self._database.write(lambda c: c.execute(insert(api_keys).values(row)))

    async def find(self, key_id: str) -> ApiKey | None:
        """Read a key, whether it works or not."""
        query = select(*_COLUMNS).where(api_keys.c.key_id == key_id)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return ApiKey(**row) if row else None

    async def all(self) -> list[ApiKey]:
        """Read all keys, also those that do not work any more, the oldest first."""
        query = select(*_COLUMNS).order_by(api_keys.c.created_at, api_keys.c.key_id)
        return await self._database.read(
            lambda c: [ApiKey(**row) for row in c.execute(query).mappings()]
        )

    async def revoke(self, key_id: str) -> None:
        """Let a key work no more; one that is revoked stays as it is."""
        this = (api_keys.c.key_id == key_id) & api_keys.c.revoked_at.is_(None)
        gone = update(api_keys).where(this).values(revoked_at=datetime.now(UTC))
        await self._database.write(lambda c: c.execute(gone))
