"""What the tests of the SQL rooms share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from everturn.checkpoints.sql.database import Database, open_database
from tests.checkpoints.stores import postgres_database


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A new database of each kind."""
    if request.param == "sqlite":
        async with open_database(None, tmp_path) as opened:
            yield opened
        return
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as opened,
    ):
        yield opened
