"""`everturn migrate`: bring the database to the tables of this version, and do no more than that.

The service does so itself as it starts. A deployment may want it done before that: once, with
rights that the service need not have, and without a start that takes as long as the tables do.
"""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from time import monotonic

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable
from everturn.checkpoints.local.data_dir import hold_data_dir
from everturn.checkpoints.settings import StoreSettings
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.migrations import HEAD
from everturn.server.cli.config import load_settings
from everturn.server.cli.stores import revealed
from everturn.server.environment import WrongSetting

_PAUSE_SECONDS = 1.0


def migrate(named: Mapping[str, str], wait: float) -> int:
    """Do it, and say where the tables are; a database that is away is waited for so many seconds.

    Of several at once one does it, and the others wait for it.
    """
    try:
        asyncio.run(_migrate(load_settings(named).stores, monotonic() + wait))
    except (WrongSetting, CheckpointsError) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    print(f"The tables are those of this version (revision {HEAD}).")
    return 0


async def _migrate(settings: StoreSettings, until: float) -> None:
    url = revealed(settings.database_url)
    # A file is migrated when no service uses it; PostgreSQL while older processes go on.
    with nullcontext(settings.data_dir) if url else hold_data_dir(settings.data_dir) as folder:
        while True:
            try:
                async with open_database(url, folder):
                    return
            except StoreUnavailable:
                if not monotonic() < until:  # `nan`, too, is over
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)
