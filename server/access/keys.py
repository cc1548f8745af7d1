"""Our own keys: `evt_<id>_<secret>`. Kept is the SHA-256 of the secret, which has 192 bits.

A key that was read from the database is good for some seconds without another look at it. So one
that is revoked works that much longer in each process, and a turn seldom waits for the database.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex
from time import monotonic
from typing import NamedTuple

from structlog import get_logger

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.sql.api_keys import ApiKey, ApiKeyTable
from everturn.server.access.allowance import NOTHING_OF_THEIR_OWN, Allowance
from everturn.server.access.caller import Caller
from everturn.server.access.credentials import InvalidToken
from everturn.server.access.scopes import Scope

log = get_logger(__name__)

PREFIX = "evt_"
KEY = re.compile(r"evt_([0-9a-f]{16})_([0-9a-f]{48})")
"""A whole key: its id, its secret."""

_FRESH_SECONDS = 5.0
_WITHOUT_STORE_SECONDS = 300.0
"""While the database is away, and nobody can revoke a key there either."""
_MAX_KNOWN = 10_000
_USED_AGAIN = timedelta(hours=1)

# One text for all: who guesses does not learn which keys there are.
_REFUSED = (
    "This key lets nobody in: it is mistyped, expired or revoked. Who runs the service sees by "
    "`everturn keys list` which, and makes a new one by `everturn keys create NAME`."
)


class NewKey(NamedTuple):
    """A key that was just made."""

    secret: str
    """The whole of it, for its owner; it is not kept."""
    row: ApiKey


def make_key(
    name: str,
    owner: str,
    scopes: Sequence[Scope],
    expires: timedelta | None,
    allowance: Allowance = NOTHING_OF_THEIR_OWN,
) -> NewKey:
    """Make a key; it works once its row is written."""
    key_id, secret = token_hex(8), token_hex(24)
    now = datetime.now(UTC)
    row = ApiKey(
        key_id=key_id,
        name=name,
        owner=owner,
        scopes=list(dict.fromkeys(scopes)),
        digest=_digest(secret),
        created_at=now,
        expires_at=None if expires is None else now + expires,
        allowance=allowance.named or None,
    )
    return NewKey(f"{PREFIX}{key_id}_{secret}", row)


@dataclass(slots=True)
class _Known:
    """A key as it was read; moments are of the monotonic clock."""

    row: ApiKey
    read_at: float
    look_again_at: float


class KeyCredentials:
    """The keys in the database, as `Credentials`."""

    def __init__(self, table: ApiKeyTable, used: Callable[[str], object]) -> None:
        """Verify by a table.

        Args:
            table: of the keys.
            used: is called with the id of a key in use, about once an hour; must not block.
        """
        self._table = table
        self._used = used
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, asyncio.Task[_Known | None]] = {}

    async def caller(self, token: str) -> Caller | None:
        """See `Credentials`; raises StoreUnavailable and StoreMisconfigured, too."""
        if not token.startswith(PREFIX):
            return None
        found = KEY.fullmatch(token)
        known = await self._find(found[1]) if found else None
        if found is None or known is None or not _lets_in(known.row, found[2]):
            log.info("key_refused", id=found[1] if found else None)
            raise InvalidToken(_REFUSED)
        row = known.row
        now = datetime.now(UTC)
        if row.last_used_at is None or now - row.last_used_at > _USED_AGAIN:
            known.row = replace(row, last_used_at=now)
            self._used(row.key_id)
        said = {"identity": row.owner, "display_name": row.name, "permissions": row.scopes}
        return Caller({**(row.allowance or {}), **said})

    async def _find(self, key_id: str) -> _Known | None:
        """Return a key as it is, or was some seconds ago."""
        known, now = self._known.get(key_id), monotonic()
        if known and now < known.look_again_at:
            return known
        try:
            return await self._read(key_id)
        except StoreUnavailable:
            if known is None or now - known.read_at > _WITHOUT_STORE_SECONDS:
                raise
            known.look_again_at = monotonic() + _FRESH_SECONDS
            return known

    async def _read(self, key_id: str) -> _Known | None:
        """Read a key once for all who come with it meanwhile."""
        reading = self._reading.get(key_id)
        if reading is None:
            reading = asyncio.create_task(self._read_now(key_id), name="api key", context=Context())
            self._reading[key_id] = reading
            reading.add_done_callback(lambda done: self._has_read(key_id, done))
        return await asyncio.shield(reading)

    async def _read_now(self, key_id: str) -> _Known | None:
        began = monotonic()  # it may be revoked from here on
        row = await self._table.find(key_id)
        self._known.pop(key_id, None)  # the newest is the last, so that the oldest goes first
        if row is None:
            return None
        if len(self._known) >= _MAX_KNOWN:
            self._known.pop(next(iter(self._known)))
        known = self._known[key_id] = _Known(row, began, began + _FRESH_SECONDS)
        return known

    def _has_read(self, key_id: str, reading: asyncio.Task[_Known | None]) -> None:
        del self._reading[key_id]
        if not reading.cancelled():
            reading.exception()  # all who waited may have left


def _lets_in(row: ApiKey, secret: str) -> bool:
    return compare_digest(_digest(secret), row.digest) and row.works()


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
