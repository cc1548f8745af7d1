"""Keys of our own: who comes in with one, how often the database is asked, and when it is away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from structlog.testing import CapturingLogger

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.sql.api_keys import ApiKey, ApiKeyTable
from everturn.checkpoints.sql.database import open_database
from everturn.server.access import keys
from everturn.server.access.credentials import InvalidToken
from everturn.server.access.keys import KEY, KeyCredentials, NewKey, make_key
from everturn.server.access.scopes import ADMIN, RUNS, holds
from tests.waiting import eventually


class Table(ApiKeyTable):
    """Counts what is read, and can be away."""

    reads = 0
    away = False

    async def find(self, key_id: str) -> ApiKey | None:
        self.reads += 1
        if self.away:
            raise StoreUnavailable("it is away")
        return await super().find(key_id)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    async with open_database(None, tmp_path) as database:
        yield Table(database)


@pytest.fixture
def used() -> list[str]:
    return []


@pytest.fixture
def credentials(table: Table, used: list[str]) -> KeyCredentials:
    return KeyCredentials(table, used.append)


async def made(table: Table, expires: timedelta | None = None) -> NewKey:
    new = make_key("laptop", "ada", [RUNS, ADMIN, RUNS], expires)
    await table.add(new.row)
    return new


async def refusal(credentials: KeyCredentials, token: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        await credentials.caller(token)
    return str(refused.value)


async def test_who_has_a_key_comes_in_as_its_owner(
    table: Table, credentials: KeyCredentials
) -> None:
    new = await made(table, timedelta(days=1))
    caller = await credentials.caller(new.secret)
    assert caller is not None
    assert (caller.identity, caller.display_name) == ("ada", "laptop")
    assert caller.permissions == [RUNS, ADMIN]
    assert await credentials.caller("ey.another.kind") is None
    found = KEY.fullmatch(new.secret)
    assert found is not None
    assert found[2] not in repr(new.row)  # it is not kept
    assert len({make_key("a", "a", [RUNS], None).secret for _ in range(100)}) == 100


async def test_all_who_do_not_come_in_learn_the_same(
    table: Table, credentials: KeyCredentials, used: list[str]
) -> None:
    good, expired, revoked = await made(table), await made(table, timedelta(0)), await made(table)
    await table.revoke(revoked.row.key_id)
    other_secret = good.secret[:-4] + ("0000" if not good.secret.endswith("0000") else "1111")
    unknown = make_key("x", "x", [RUNS], None).secret
    tokens = [other_secret, unknown, expired.secret, revoked.secret]
    tokens += ["evt_", "evt_x", good.secret[:-1], f"{good.secret}0", good.secret.upper()[4:]]
    tokens += [f"{good.secret} ", f"{good.secret}\n", "evt_é"]
    refusals = {await refusal(credentials, token) for token in tokens if token.startswith("evt_")}
    assert len(refusals) == 1
    assert used == []


async def test_the_log_has_which_key_was_refused_and_nothing_of_its_secret(
    table: Table, credentials: KeyCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, expired = CapturingLogger(), await made(table, timedelta(0))
    monkeypatch.setattr(keys, "log", log)
    for token in (expired.secret, "evt_x"):
        await refusal(credentials, token)
    assert [(call.args, call.kwargs) for call in log.calls] == [
        (("key_refused",), {"id": expired.row.key_id}),
        (("key_refused",), {"id": None}),
    ]


async def test_many_at_once_cost_one_read(table: Table, credentials: KeyCredentials) -> None:
    new = await made(table)
    found = await asyncio.gather(*(credentials.caller(new.secret) for _ in range(50)))
    assert {caller.identity for caller in found if caller} == {"ada"}
    await credentials.caller(new.secret)
    await refusal(credentials, new.secret[:-4] + "zzzz")  # no key at all
    await refusal(credentials, new.secret[:-48] + "0" * 48)  # known to be another's
    assert table.reads == 1


async def test_one_who_leaves_takes_no_read_along(
    table: Table, credentials: KeyCredentials
) -> None:
    new = await made(table)
    first = asyncio.create_task(credentials.caller(new.secret))
    second = asyncio.create_task(credentials.caller(new.secret))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None
    assert table.reads == 1


async def test_a_revoked_key_is_read_again_soon(
    table: Table, credentials: KeyCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_FRESH_SECONDS", 0.0)
    new = await made(table)
    assert await credentials.caller(new.secret)
    await table.revoke(new.row.key_id)
    await refusal(credentials, new.secret)


@pytest.mark.clock
async def test_a_known_key_expires_in_time(table: Table, credentials: KeyCredentials) -> None:
    new = await made(table, timedelta(seconds=2))
    assert await credentials.caller(new.secret)
    await eventually(lambda: not new.row.works())
    await refusal(credentials, new.secret)
    assert table.reads == 1


async def test_a_slow_read_lets_a_revoked_key_in_no_longer(
    table: Table, credentials: KeyCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, find, now = await made(table), table.find, monotonic()

    async def slowly(key_id: str) -> ApiKey | None:
        row = await find(key_id)
        await table.revoke(key_id)  # just after it was read
        monkeypatch.setattr(keys, "monotonic", lambda: now + keys._FRESH_SECONDS)
        return row

    monkeypatch.setattr(keys, "monotonic", lambda: now)
    monkeypatch.setattr(table, "find", slowly)
    assert await credentials.caller(new.secret)
    monkeypatch.setattr(table, "find", find)
    await refusal(credentials, new.secret)


async def test_a_key_works_while_the_database_is_away(
    table: Table, credentials: KeyCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_FRESH_SECONDS", 0.0)
    new, other = await made(table), await made(table)
    assert await credentials.caller(new.secret)
    table.away = True
    assert await credentials.caller(new.secret)
    with pytest.raises(StoreUnavailable):
        await credentials.caller(other.secret)
    monkeypatch.setattr(keys, "_WITHOUT_STORE_SECONDS", 0.0)
    with pytest.raises(StoreUnavailable):  # not for ever
        await credentials.caller(new.secret)
    table.away = False
    assert await credentials.caller(new.secret)


async def test_use_is_reported_once_an_hour(
    table: Table,
    credentials: KeyCredentials,
    used: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = await made(table)
    for _ in range(3):
        await credentials.caller(new.secret)
    assert used == [new.row.key_id]
    monkeypatch.setattr(keys, "_USED_AGAIN", timedelta(0))
    await credentials.caller(new.secret)
    assert used == [new.row.key_id] * 2


async def test_few_keys_are_remembered(
    table: Table, credentials: KeyCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_MAX_KNOWN", 2)
    some = [await made(table) for _ in range(3)]
    for each in (*some, some[2], some[0]):
        await credentials.caller(each.secret)
    assert table.reads == 4  # the first had to make room


def test_an_operator_has_every_scope() -> None:
    assert holds([ADMIN], "metrics")
    assert not holds([RUNS], "metrics")
    assert not holds([], RUNS)
