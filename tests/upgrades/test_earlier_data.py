"""The data of earlier versions open under today's code, and their threads go on."""

import json
from pathlib import Path

import pytest

from tests.checkpoints.stores import new_postgres_database
from tests.service import Client, process
from tests.upgrades.data import SETS, Set
from tests.upgrades.story import SETTINGS, go_on

earlier = pytest.mark.parametrize("data", SETS, ids=[each.path.name for each in SETS])


@earlier
def test_a_data_folder_goes_on(data: Set, binary: str, tmp_path: Path) -> None:
    data.unpack(tmp_path / "data")
    with process(tmp_path / "data", **SETTINGS) as running:
        with Client(running.url()) as client:
            go_on(client, data.made("folder"))
        assert running.stop() == 0
    assert no_surprise(running.log) == []


@earlier
async def test_a_postgresql_and_a_redis_go_on(data: Set, binary: str, tmp_path: Path) -> None:
    async with new_postgres_database() as database:
        await data.fill(database)
        with data.redis(binary) as redis:
            url = database.render_as_string(hide_password=False)
            stores = {"EVERTURN_DATABASE_URL": url, "EVERTURN_REDIS_URL": redis.url}
            with process(tmp_path / "data", **SETTINGS, **stores) as running:
                with Client(running.url()) as client:
                    go_on(client, data.made("servers"))
                assert running.stop() == 0
    assert no_surprise(running.log) == []


def no_surprise(log: list[str]) -> list[str]:
    """Return the errors of a log; that nobody takes the webhook is none."""
    said = [json.loads(line) for line in log if line.startswith("{")]
    return [str(each) for each in said if each.get("level") in {"error", "critical"}]
