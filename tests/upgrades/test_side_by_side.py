"""Processes of today's version and of the next one, at one PostgreSQL and one Redis."""

import asyncio
from pathlib import Path

import pytest

from tests.checkpoints.redis.servers import serving
from tests.checkpoints.stores import new_postgres_database
from tests.service import ROOT, process
from tests.upgrades.next_version import make_next_version
from tests.upgrades.rolling import Site, replace

pytestmark = pytest.mark.clock


async def test_one_version_is_replaced_by_the_next_without_harm_to_either(
    binary: str, tmp_path: Path
) -> None:
    newer = make_next_version(tmp_path / "next")
    async with new_postgres_database() as database:
        with serving(binary) as redis:
            stores = {
                "EVERTURN_DATABASE_URL": database.render_as_string(hide_password=False),
                "EVERTURN_REDIS_URL": redis.url,
            }
            site = Site(tmp_path, stores, ROOT, newer)
            with site.left:
                await asyncio.to_thread(replace, site)
            with process(tmp_path / "late", **stores) as late:  # an older one comes back
                assert await asyncio.to_thread(late.ended) == 1
    assert "revision next, which this Everturn does not know" in late.log[-1]
    assert "docs/upgrades.md" in late.log[-1]
