"""The sets of data below `fixtures`, and how they are put into stores again."""

import json
import tarfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine

from tests.checkpoints.redis.servers import Server, serving
from tests.upgrades.story import Json

FIXTURES = Path(__file__).parent / "fixtures"
FOLDER, DUMP, REDIS, ABOUT = "folder.tar.xz", "postgres.sql", "redis.rdb", "made.json"
FOLDER_PARTS = ("everturn.db", "appendonlydir")


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as what can be compared."""
    return tuple(map(int, version.split(".")))


class Set(NamedTuple):
    """The data that one version made."""

    path: Path

    @property
    def release(self) -> tuple[int, ...]:
        """The numbers of the version; none for one that was not released."""
        return numbers(self.path.name) if self.path.name[0].isdecimal() else ()

    def made(self, kind: str) -> Json:
        """The ids of what was made in the `folder` or in the `servers`."""
        about: Json = json.loads((self.path / ABOUT).read_text())
        found: Json = about[kind]
        return found

    def unpack(self, data_dir: Path) -> None:
        """Make the data folder."""
        data_dir.mkdir(mode=0o700)
        with tarfile.open(self.path / FOLDER) as packed:
            packed.extractall(data_dir, filter="data")

    async def fill(self, database: URL) -> None:
        """Fill an empty PostgreSQL."""
        engine = create_async_engine(database)
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.execute((self.path / DUMP).read_text())  # many statements at once
        await engine.dispose()

    def redis(self, binary: str) -> AbstractContextManager[Server]:
        """Start a server with what was in Redis; it writes nothing here."""
        return serving(binary, "--dir", str(self.path), "--dbfilename", REDIS)


SETS = [Set(path) for path in sorted(FIXTURES.iterdir())]
RELEASES = sorted((each for each in SETS if each.release), key=lambda each: each.release)
NEWEST = RELEASES[-1]
