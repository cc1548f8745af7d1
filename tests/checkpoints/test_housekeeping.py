"""Room is given back while the service runs; sizes are known."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, text

from everturn.checkpoints.connect import Client, open_memory
from everturn.checkpoints.housekeeping import Housekeeping
from everturn.checkpoints.redis.space import redis_space
from everturn.checkpoints.settings import StoreSettings
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.tables import chat_history
from tests.checkpoints.stores import REDIS_URL, in_database, postgres_database
from tests.waiting import PATIENCE, eventually

TURN = {
    "session_id": "s",
    "user_message": "x" * 4000,
    "assistant_message": "y",
    "tools_used": [],
    "model_used": "m",
    "tokens_used": 1,
    "metadata": {},
}


@pytest.fixture
async def database(data_dir: Path) -> AsyncIterator[Database]:
    async with open_database(None, data_dir) as opened:
        yield opened


@pytest.fixture
async def valkey(data_dir: Path) -> AsyncIterator[Client]:
    async with open_memory(None, data_dir) as opened:
        yield opened


async def test_a_file_gives_back_what_deleted_rows_have_left(
    database: Database, valkey: Client, data_dir: Path
) -> None:
    house = Housekeeping(StoreSettings(data_dir=data_dir), database, valkey)
    moment = text("CURRENT_TIMESTAMP")
    turns = [{**TURN, "created_at": moment}] * 3000
    await in_database(database, insert(chat_history).values(turns), seconds=PATIENCE)
    full = (await house.stored()).sql
    assert full > 12_000_000
    await in_database(database, chat_history.delete(), seconds=PATIENCE)
    assert (await house.stored()).sql == full
    await house.give_back()
    assert (await house.stored()).sql < full / 2  # some pages are kept for the next rows
    await house.shrink()
    assert (await house.stored()).sql < 500_000
    assert (data_dir / "everturn.db").stat().st_size < 500_000


async def test_the_append_only_file_shrinks_with_its_data(
    database: Database, valkey: Client, data_dir: Path
) -> None:
    house = Housekeeping(StoreSettings(data_dir=data_dir), database, valkey)
    for number in range(60):
        await valkey.set(f"key{number}", b"x" * 100_000)

    async def file_size() -> int:
        return (await redis_space(valkey)).file

    assert await file_size() > 6_000_000
    await house.give_back()
    await asyncio.sleep(0.1)
    assert await file_size() > 6_000_000  # it holds what there is
    for number in range(60):
        await valkey.delete(f"key{number}")
    await house.give_back()

    async def small() -> bool:
        return await file_size() < 1_000_000

    await eventually(small)


async def test_the_size_of_shared_stores(tmp_path: Path) -> None:
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as database,
        open_memory(REDIS_URL, tmp_path) as redis,
    ):
        settings = StoreSettings(redis_url=SecretStr(REDIS_URL))
        house = Housekeeping(settings, database, redis)
        before = await house.stored()
        assert before.sql > 0
        assert before.redis > 0
        assert any(await house.free()) is False
        await house.give_back()
        await house.shrink()
