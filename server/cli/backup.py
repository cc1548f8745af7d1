"""`everturn backup` and `everturn restore`: all that is kept, into one file and back."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from everturn.checkpoints.archive.backup import Copied, back_up
from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.settings import StoreSettings
from everturn.server.cli.config import load_settings
from everturn.server.cli.stores import InUse, open_stores, open_unused_stores, revealed
from everturn.server.environment import WrongSetting
from everturn.server.observe.audit import audit, audited_to, by_command
from everturn.server.observe.logs import configure_logs


def backup(named: Mapping[str, str], path: str) -> int:
    """Write a backup of the stores that the settings name; a service may run meanwhile.

    Returns:
        0, or 1 where there is no backup; why is printed.
    """
    return _run(named, lambda settings: _back_up(settings, Path(path)), f"written to {path}")


def restore(named: Mapping[str, str], path: str) -> int:
    """Put a backup into the stores that the settings name, which are empty and unused.

    Returns:
        0, or 1 where it was not restored; why is printed.
    """
    return _run(named, lambda settings: _restore(settings, Path(path)), f"restored from {path}")


async def _back_up(settings: StoreSettings, path: Path) -> Copied:
    async with open_stores(settings) as stores:
        copied = await back_up(*stores, path)
    audit("backup.written", target=str(path), **by_command())
    return copied


async def _restore(settings: StoreSettings, path: Path) -> Copied:
    # A backup needs none of these: a second less.
    from everturn.checkpoints.archive.restore import restore as restore_archive
    from everturn.checkpoints.redis import AsyncRedisSaver
    from everturn.server.projects.checkpointer import encrypted, load_cipher

    async with open_unused_stores(settings) as stores:
        serde = encrypted(None, load_cipher(revealed(settings.aes_key)))
        saver = AsyncRedisSaver(stores.redis, prefix=stores.prefix, serde=serde)
        copied = await restore_archive(path, *stores, saver)
    audit("backup.restored", target=str(path), **by_command())
    return copied


def _run(
    named: Mapping[str, str],
    work: Callable[[StoreSettings], Coroutine[Any, Any, Copied]],
    done: str,
) -> int:
    configure_logs("WARNING")
    began = monotonic()
    try:
        settings = load_settings(named)
        with audited_to(settings.observe.audit_file):
            copied = asyncio.run(work(settings.stores))
    except (WrongSetting, CheckpointsError, InUse) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    seconds = monotonic() - began
    print(f"{copied.rows} rows and {copied.threads} threads {done} in {seconds:.1f} s")
    return 0
