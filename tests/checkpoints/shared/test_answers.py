"""Answers in a real Redis: one process asks, others wait; bounded in bytes; sealed; forgotten."""

import asyncio
from typing import Any

import pytest

import everturn.checkpoints.shared.answers
import everturn.checkpoints.shared.tool_cache
from everturn.checkpoints.confidential import Safe
from everturn.checkpoints.encryption import cipher_of
from everturn.checkpoints.shared.answers import RedisAnswerStore
from everturn.checkpoints.shared.tool_cache import RedisResultStore
from tests.checkpoints.shared.clients import store
from tests.checkpoints.stores import Store
from tests.waiting import PATIENCE, eventually

__all__ = ["store"]

MANY = 10_000


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is slow must not look like a Redis that hangs."""
    monkeypatch.setattr(everturn.checkpoints.shared.answers, "_TIMEOUT", PATIENCE)
    monkeypatch.setattr(everturn.checkpoints.shared.tool_cache, "_TIMEOUT", PATIENCE)


def answers(store: Store, max_bytes: int = MANY, **more: Any) -> RedisAnswerStore:
    return RedisAnswerStore(store.client, max_bytes, prefix=store.prefix, **more)


async def test_what_is_kept_is_found_by_all_processes(store: Store) -> None:
    one, two = answers(store), answers(store)
    assert await one.find("a:1", 60) is None
    await one.keep("a:1", '{"süß": "답"}', 60)
    assert await two.find("a:1", 60) == '{"süß": "답"}'
    assert await two.find("a:2", 60) is None
    assert two.bytes == one.bytes == len('{"süß": "답"}'.encode()) + len("a:1")


async def test_others_wait_for_the_one_who_asks(store: Store) -> None:
    one, two = answers(store), answers(store)
    assert await one.find("k", 60) is None
    waiting = [asyncio.create_task(two.find("k", 60)) for _ in range(3)]
    await asyncio.sleep(0.1)
    assert not any(each.done() for each in waiting)
    await one.keep("k", '{"made": "once"}', 60)
    assert await asyncio.gather(*waiting) == ['{"made": "once"}'] * 3


async def test_they_are_let_go_when_there_is_no_answer(store: Store) -> None:
    one, two = answers(store), answers(store)
    assert await one.find("k", 60) is None
    waiting = asyncio.create_task(two.find("k", 60))
    await asyncio.sleep(0.05)
    await one.give_up("k")
    assert await waiting is None


async def test_they_wait_for_a_dead_process_no_longer_than_its_lease(store: Store) -> None:
    assert await answers(store).find("k", 0.3) is None
    assert await answers(store).find("k", 60) is None  # this one makes it now


async def test_a_call_that_is_made_again_does_not_wait_for_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client makes a call again where the connection was lost before the reply came."""
    execute = store.client.execute_command

    async def twice(*args: Any, **how: Any) -> Any:
        await execute(*args, **how)
        return await execute(*args, **how)

    monkeypatch.setattr(store.client, "execute_command", twice)
    tools = RedisResultStore(store.client, store.prefix)
    async with asyncio.timeout(PATIENCE):
        assert await answers(store).find("k", 3600) is None
        assert await tools.find("k", 3600) is None


async def test_an_answer_has_an_end(store: Store) -> None:
    one = answers(store)
    await one.keep("k", "short", 0.05)

    async def gone() -> bool:
        found = await one.find("k", 0.01)
        return found is None

    assert await eventually(gone)


async def test_its_bytes_have_an_end_and_what_ends_first_goes(store: Store) -> None:
    one = answers(store, 100)
    for number, ttl in enumerate((50, 10, 30)):
        await one.keep(f"k{number}", "{" + "x" * 29, ttl)
    assert one.bytes == 96
    await one.keep("k3", "{" + "x" * 29, 40)
    assert one.bytes == 96
    found = [await one.find(f"k{number}", 0.001) for number in range(4)]
    assert [bool(each) for each in found] == [True, False, True, True]
    await one.keep("large", "x" * 200, 60)
    assert await one.find("large", 0.001) is None
    assert one.bytes == 96


async def test_a_new_answer_takes_the_place_of_the_old_one(store: Store) -> None:
    one = answers(store)
    await one.keep("k", "{old" * 100, 60)
    await one.keep("k", "{new}", 60)
    assert await one.find("k", 60) == "{new}"
    assert one.bytes == 6


async def test_what_ended_makes_room_by_itself(store: Store) -> None:
    one = answers(store)
    await one.keep("k", "{" * 500, 0.05)
    await asyncio.sleep(0.1)
    await one.keep("other", "x", 60)
    assert one.bytes == 6


async def test_an_owners_answers_are_forgotten_and_nobody_elses(store: Store) -> None:
    one = answers(store, 10**9)
    for number in range(1200):
        await one.keep(f"ada:{number}", "x", 60)
    await one.keep("bob:1", "{", 60)
    assert await one.forget("ada:") == 1200
    assert await one.find("ada:7", 0.001) is None
    assert await one.find("bob:1", 60) == "{"
    assert one.bytes == 6


async def test_with_a_key_nobody_reads_it_in_redis(store: Store) -> None:
    safe, other = Safe(cipher_of("k" * 32)), Safe(cipher_of("o" * 32))
    one = answers(store, safe=safe)
    await one.keep("k", '{"content": "a word"}', 60)
    names = [name async for name in store.client.scan_iter(match=f"*{store.prefix}*answers")]
    hashes: list[Any] = [await store.client.hgetall(name) for name in names]
    kept = [value for each in hashes for value in each.values()]
    assert kept
    assert not any(b"a word" in value for value in kept)
    assert await answers(store, safe=safe).find("k", 60) == '{"content": "a word"}'
    assert await answers(store, safe=other).find("k", 60) is None
