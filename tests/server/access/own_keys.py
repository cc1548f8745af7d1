"""Keys of a service under test, made as the command makes them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from everturn.checkpoints.sql.api_keys import ApiKeyTable
from everturn.checkpoints.sql.database import open_database
from everturn.server.access.allowance import Allowance
from everturn.server.access.keys import KEY, make_key
from everturn.server.access.scopes import RUNS, Scope


def key_in(
    data_dir: Path,
    name: str,
    scopes: Sequence[Scope] = (RUNS,),
    expires: timedelta | None = None,
    *,
    revoked: bool = False,
    **amounts: Any,
) -> str:
    """Make a key in the data folder of a service that runs, and return it.

    `amounts` are the members of its `Allowance`.
    """
    new = make_key(name, name, scopes, expires, Allowance(**amounts))

    async def write() -> None:
        async with open_database(None, data_dir, migrate=False) as database:
            await ApiKeyTable(database).add(new.row)
            if revoked:
                await ApiKeyTable(database).revoke(new.row.key_id)

    asyncio.run(write())
    return new.secret


def revoke_in(data_dir: Path, key: str) -> None:
    """Revoke a key of a service that runs."""
    found = KEY.fullmatch(key)
    assert found is not None

    async def write() -> None:
        async with open_database(None, data_dir, migrate=False) as database:
            await ApiKeyTable(database).revoke(found[1])

    asyncio.run(write())


def bearer(key: str) -> dict[str, str]:
    """Return what a client with a key sends."""
    return {"Authorization": f"Bearer {key}"}
