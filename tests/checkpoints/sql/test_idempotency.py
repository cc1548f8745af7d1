"""Keys of requests: found, kept with their answers, and gone in time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everturn.checkpoints.errors import ValueRefused
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.group_commit import open_group_commit
from everturn.checkpoints.sql.idempotency import (
    KeyRow,
    KeyTable,
    answer_kept,
    key_released,
    key_taken,
)
from everturn.checkpoints.sql.runs import RunRow, RunRows

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def key(number: int, *, age: timedelta = timedelta(0), temporary: bool = False) -> KeyRow:
    return KeyRow(
        caller="ada",
        key=f"key {number}",
        fingerprint="same",
        run_id=f"run {number}",
        thread_id=f"thread {number}",
        temporary=temporary,
        created_at=NOW - age,
    )


async def test_a_key_that_is_taken_takes_nothing_with_it(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database, open_group_commit(database) as rows:
        runs, keys = RunRows(database, rows, "here"), KeyTable(database)
        first, second = (RunRow(run_id=each, thread_id="t", assistant_id="a") for each in "12")
        await runs.insert(first, key_taken(key(1)))
        other = runs.insert(RunRow(run_id="3", thread_id="t", assistant_id="a"))
        with pytest.raises(ValueRefused):
            await runs.insert(second, key_taken(key(1)))
        await other
        assert [await runs.get(each) is not None for each in "123"] == [True, False, True]
        assert await keys.find("ada", "key 1", NOW - DAY) == key(1)
        assert await keys.find("bob", "key 1", NOW - DAY) is None


async def test_an_answer_is_kept_until_its_key_is_released(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database, open_group_commit(database) as rows:
        keys = KeyTable(database)
        await rows.write(key_taken(key(1)))
        assert await keys.answer("run 1") is None
        await rows.write(answer_kept("run 1", b"{}"))
        assert await keys.answer("run 1") == b"{}"
        await rows.write(key_released("run 1"))
        assert await keys.find("ada", "key 1", NOW - DAY) is None


async def test_old_keys_go_with_the_rows_that_were_kept_for_them(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database, open_group_commit(database) as rows:
        runs, keys = RunRows(database, rows, "here"), KeyTable(database)
        old = [key(number, age=2 * DAY, temporary=number % 2 == 1) for number in range(4)]
        for each in (*old, key(4, temporary=True)):
            run = RunRow(run_id=each.run_id, thread_id=each.thread_id, assistant_id="a")
            await runs.insert(run, key_taken(each))
            if each.run_id != "run 3":  # which goes on
                await runs.update(run, "success")
        assert await keys.delete_before(NOW - DAY, 3) == 3
        assert await keys.delete_before(NOW - DAY, 3) == 1
        assert await keys.delete_before(NOW - DAY, 3) == 0
        left = [number for number in range(5) if await runs.get(f"run {number}")]
        assert left == [0, 2, 3, 4]
        assert await keys.find("ada", "key 4", NOW - DAY) is not None
        assert await keys.delete_of("bob", 3) == 0
        assert await keys.delete_of("ada", 3) == 1
        assert await runs.get("run 4") is None


async def test_a_key_that_has_expired_is_free(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database, open_group_commit(database) as rows:
        keys = KeyTable(database)
        await rows.write(key_taken(key(1, age=2 * DAY)))
        assert await keys.find("ada", "key 1", NOW - DAY) is None
        await rows.write(key_taken(key(1)))
