"""`everturn gc`: delete what is kept no longer now, and give back its room."""

import asyncio
import sys
from collections.abc import Mapping

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.housekeeping import Freed, Housekeeping, Stored
from everturn.checkpoints.settings import StoreSettings
from everturn.server.cli.config import load_settings
from everturn.server.cli.stores import open_stores
from everturn.server.environment import WrongSetting
from everturn.server.observe.logs import configure_logs

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_NAMES = {"sql": "database", "redis": "keys in Redis", "aof": "append-only file"}


def gc(named: Mapping[str, str]) -> int:
    """Do it, beside a running service or without one, and print what it freed."""
    configure_logs("WARNING")
    try:
        asyncio.run(_gc(load_settings(named).stores))
    except (WrongSetting, CheckpointsError) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    return 0


async def _gc(settings: StoreSettings) -> None:
    async with open_stores(settings) as stores:
        house = Housekeeping(settings, stores.database, stores.redis)
        before = await house.stored()
        freed = await house.free()
        await house.shrink()
        _print(freed, before, await house.stored())


def _print(freed: Freed, before: Stored, after: Stored) -> None:
    for name, count in freed._asdict().items():
        print(f"{name:<17} {count:>9} deleted")
    for store, name in _NAMES.items():
        was, now = getattr(before, store), getattr(after, store)
        print(f"{name:<17} {_size(was):>9} -> {_size(now)}")


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1000:  # noqa: PLR2004
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {_UNITS[-1]}"
