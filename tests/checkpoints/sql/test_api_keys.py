"""The rows of keys, on both databases."""

from datetime import UTC, datetime, timedelta

from everturn.checkpoints.sql.api_keys import ApiKey, ApiKeyTable, key_used
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import open_group_commit

NOW = datetime.now(UTC)


def key(number: int, expires_at: datetime | None = None) -> ApiKey:
    return ApiKey(
        key_id=f"{number:016x}",
        name=f"key {number}",
        owner="ada",
        scopes=["runs", "metrics"],
        digest=bytes([number]) * 32,
        created_at=NOW + timedelta(seconds=number),
        expires_at=expires_at,
        allowance={"rate_limit": "60/minute", "max_runs": number} if number > 1 else None,
    )


async def test_a_key_is_read_as_it_was_written_until_it_is_revoked(database: Database) -> None:
    table = ApiKeyTable(database)
    for each in (key(2), key(1, expires_at=NOW)):
        await table.add(each)
    assert await table.find(key(2).key_id) == key(2)
    assert await table.find("nothing") is None
    assert await table.find("\0") is None
    await table.revoke(key(2).key_id)
    first, second = await table.all()
    assert (first, first.works()) == (key(1, expires_at=NOW), False)
    assert second.revoked_at is not None
    assert not second.works()
    await table.revoke(key(2).key_id)  # once more
    assert await table.find(key(2).key_id) == second


async def test_use_is_written_with_other_rows(database: Database) -> None:
    table = ApiKeyTable(database)
    await table.add(key(1))
    async with open_group_commit(database) as rows:
        await rows.write(key_used(key(1).key_id))
    found = await table.find(key(1).key_id)
    assert found is not None
    assert found.last_used_at is not None
    assert found.works()
    assert repr(key(1).digest) not in repr(found)
