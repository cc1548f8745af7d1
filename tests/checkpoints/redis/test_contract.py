"""What a checkpointer must hold and the published suite does not ask, on every store."""

import asyncio
import copy
import decimal
import enum
import math
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP, ChannelVersions
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from tests.checkpoints.redis.samples import checkpoint, listed, looking_into, named, place, put

ODD_IDS = [
    *("*", "a*", "a?", "a[b]", "a:b", "{a}", "}{", "a b", "A", "a", "%41", "ü", "🙂"),
    *("\x00", "\x01", "\ud800", "a\nb", "x" * 500),
]


async def test_pending_writes_come_in_the_order_of_the_super_step(saver: AsyncRedisSaver) -> None:
    config = await put(saver, place())
    await saver.aput_writes(config, [("c", 5), ("c", 6)], "task-1", "~pull, 02")
    await saver.aput_writes(config, [("c", 4)], "task-0", "~pull, 01, b")
    await saver.aput_writes(config, [("c", 3)], "task-9", "~pull, 01")
    await saver.aput_writes(config, [("c", 2)], "task-3", "~pull, 01")
    await saver.aput_writes(config, [("c", 1)], "task-8", "")
    await saver.aput_writes(config, [("c", number) for number in range(7, 19)], "task-2", "~push")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes is not None
    assert [value for _, _, value in found.pending_writes] == [*range(1, 19)]


async def test_versions_of_forks_never_meet(saver: AsyncRedisSaver) -> None:
    root = await put(saver, place(), {"c": "root"})
    found = await saver.aget_tuple(root)
    assert found is not None
    before = str(found.checkpoint["channel_versions"]["c"])
    ends = {}
    for branch in ("left", "right"):
        version = saver.get_next_version(before, None)
        assert version > before
        made = checkpoint({"c": branch}, {"c": version})
        ends[branch] = await saver.aput(root, made, {}, {"c": version})
    for branch, end in ends.items():
        found = await saver.aget_tuple(end)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"c": branch}


@pytest.mark.parametrize("url", ["valkey"], indirect=True)
@pytest.mark.parametrize("current", [None, 7, "7", "0000000007.abc", f"{7:032}.0.123"])
def test_versions_grow(saver: AsyncRedisSaver, current: Any) -> None:
    """Also from those of other savers, and as text, which is how LangGraph compares them."""
    following = saver.get_next_version(current, None)
    assert int(following.split(".")[0]) == (1 if current is None else 8)
    if isinstance(current, str) and len(current) > 10:
        assert following > current
    assert following < saver.get_next_version(following, None)


async def test_latest_is_the_greatest_id_and_not_the_last_put(saver: AsyncRedisSaver) -> None:
    for checkpoint_id in ("3", "1", "2", "3", "3"):
        await put(saver, place(), {"c": checkpoint_id}, checkpoint_id=checkpoint_id)
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["id"] == "3"
    assert await listed(saver, place()) == ["3", "2", "1"]


async def test_hundreds_of_readers_of_one_thread_queue(saver: AsyncRedisSaver) -> None:
    await put(saver, place(), {"c": "x" * 10_000})
    found = await asyncio.gather(*(saver.aget_tuple(place()) for _ in range(400)))
    assert all(each and each.checkpoint["channel_values"]["c"] == "x" * 10_000 for each in found)


async def test_many_threads_side_by_side(saver: AsyncRedisSaver) -> None:
    async def converse(number: int) -> bool:
        config = place(f"thread-{number}")
        for step in range(3):
            config = await put(saver, config, {"c": (number, step)})
        found = await saver.aget_tuple(place(f"thread-{number}"))
        return found is not None and found.checkpoint["channel_values"]["c"] == [number, 2]

    assert all(await asyncio.gather(*(converse(number) for number in range(200))))


async def test_thread_and_namespace_do_not_run_together(saver: AsyncRedisSaver) -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("a", "b"), ("a:b", ""), ("a", "b\0c"), ("a", "b\x01")]
    for thread_id, ns in pairs:
        await put(saver, place(thread_id, ns), {"c": f"{thread_id}|{ns}"})
    for thread_id, ns in pairs:
        found = await saver.aget_tuple(place(thread_id, ns))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"c": f"{thread_id}|{ns}"}
        assert len(await listed(saver, place(thread_id, ns))) == 1


async def test_odd_ids_are_themselves(saver: AsyncRedisSaver) -> None:
    for odd in ODD_IDS:
        config = await put(saver, place(odd, odd), {odd: odd}, checkpoint_id=odd)
        await saver.aput_writes(config, [(odd, odd)], odd, odd)
    for odd in ODD_IDS:
        found = await saver.aget_tuple(place(odd, odd))
        assert found is not None
        assert found.config == place(odd, odd, odd)
        assert found.checkpoint["channel_versions"].keys() == {odd}
        assert found.pending_writes is not None
        assert [write[:2] for write in found.pending_writes] == [(odd, odd)]
    everything = [named(each.config)["thread_id"] async for each in saver.alist(None)]
    assert sorted(everything) == sorted(ODD_IDS)
    await saver.adelete_thread("a*")
    assert await saver.aget_tuple(place("a*", "a*")) is None
    assert await saver.aget_tuple(place("a?", "a?")) is not None


async def test_ids_are_ordered_as_text(saver: AsyncRedisSaver) -> None:
    for odd in ODD_IDS:
        await put(saver, place(), checkpoint_id=odd)
    assert await listed(saver, place()) == sorted(ODD_IDS, reverse=True)


async def test_deletion_leaves_no_key(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    config = await put(saver, place("a"), {"c": "x" * 100_000})
    await put(saver, place("a", "sub:1"))
    await saver.aput_writes(config, [("c", 1)], "task")
    await saver.aput_writes(place("a", "", "never-put"), [("c", "x" * 10_000)], "task")
    await put(saver, place("ab"))
    await saver.adelete_thread("a")
    with looking_into(url) as client:
        keys = list(client.scan_iter(match=f"{{{prefix}:*", count=1000))
    assert sorted(keys) == [f"{{{prefix}:ab}}:{key}".encode() for key in ("data", "index")]


async def test_a_thread_has_two_keys(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    config = place()
    for step in range(20):
        config = await put(saver, config, {"c": ["message " * 100] * step, f"only-{step}": step})
        await saver.aput_writes(config, [("c", step)], f"task-{step}")
        await put(saver, place(ns=f"sub:{step}"), {"c": step})
    with looking_into(url) as client:
        assert len(list(client.scan_iter(match=f"{{{prefix}:*", count=1000))) == 2


async def test_list_of_everything(saver: AsyncRedisSaver) -> None:
    made = set()
    for thread_id in ("a", "b", "a b"):
        for ns in ("", "sub:1", "sub:2"):
            config = await put(saver, place(thread_id, ns))
            made.add(tuple(sorted(named(config).items())))
    found = {tuple(sorted(named(each.config).items())) async for each in saver.alist(None)}
    assert found == made
    assert len(await listed(saver, None, limit=4)) == 4
    assert len(await listed(saver, place("a", None))) == 3


async def test_list_is_newest_first_whatever_the_namespace(saver: AsyncRedisSaver) -> None:
    for number in range(80):
        await put(saver, place(ns=f"ns-{number % 3}"), checkpoint_id=f"{number:03}")
    newest_first = [f"{number:03}" for number in reversed(range(80))]
    everywhere = place(ns=None)
    assert await listed(saver, everywhere) == newest_first
    assert await listed(saver, everywhere, limit=40) == newest_first[:40]
    assert await listed(saver, everywhere, before=place(checkpoint_id="050")) == newest_first[30:]
    assert await listed(saver, place(ns="ns-1"), limit=2) == ["079", "076"]
    assert await listed(saver, place(ns="ns-1"), before=place(checkpoint_id="004")) == ["001"]
    assert await listed(saver, place(ns=None, checkpoint_id="033")) == ["033"]
    assert await listed(saver, place(ns="ns-1", checkpoint_id="033")) == []
    assert await listed(saver, everywhere, limit=0) == []


async def test_list_filters_on_any_metadata(saver: AsyncRedisSaver) -> None:
    for number in range(100):
        metadata = {"source": "loop", "user": {"id": number % 10}, "none": None, "deep": [number]}
        await put(saver, place(tenant=f"t{number % 2}"), metadata=metadata)
    assert len(await listed(saver, place(), filter={"user": {"id": 3}})) == 10
    assert len(await listed(saver, place(), filter={"user": {"id": 3}}, limit=4)) == 4
    assert len(await listed(saver, place(), filter={"deep": [42]})) == 1
    assert len(await listed(saver, place(), filter={"tenant": "t1", "user": {"id": 3}})) == 10
    assert len(await listed(saver, place(ns=None), filter={"none": None}, limit=99)) == 99
    assert await listed(saver, place(), filter={"nobody": "has this"}) == []


async def test_a_bare_list_is_the_list_without_values(saver: AsyncRedisSaver) -> None:
    config = place()
    for number in range(300):
        config = await put(saver, config, {"c": "x" * 10}, checkpoint_id=f"{number:03}")
        await saver.aput_writes(config, [("c", 1)], "task")
    everywhere: list[dict[str, Any]] = [{"limit": 290}, {"filter": {"no": 1}}]
    for which in [*everywhere, {"before": place(checkpoint_id="100")}]:
        for where in (place(), place(ns=None)):
            whole = [each async for each in saver.alist(where, **which)]
            bare = [each async for each in saver.alist_bare(where, **which)]
            assert bare == [
                each._replace(
                    checkpoint={**each.checkpoint, "channel_values": {}}, pending_writes=[]
                )
                for each in whole
            ]
    (one,) = [each async for each in saver.alist_bare(place(checkpoint_id="007"))]
    assert (one.checkpoint["id"], one.checkpoint["channel_values"]) == ("007", {})


async def test_large_checkpoints_are_listed_in_pages(saver: AsyncRedisSaver) -> None:
    values = [bytes([number]) * 1_500_000 for number in range(8)]
    for value in values:
        await put(saver, place(), {"c": value})
    found = [each.checkpoint["channel_values"]["c"] async for each in saver.alist(place(ns=None))]
    assert found == values[::-1]
    found = [each.checkpoint["channel_values"]["c"] async for each in saver.alist(place())]
    assert found == values[::-1]


async def test_writes_may_come_before_their_checkpoint(saver: AsyncRedisSaver) -> None:
    await saver.aput_writes(place(checkpoint_id="1"), [("c", "early")], "task")
    assert await saver.aget_tuple(place()) is None
    assert await saver.aget_tuple(place(checkpoint_id="1")) is None
    await put(saver, place(), checkpoint_id="1")
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.pending_writes == [("task", "c", "early")]


async def test_of_regular_writes_the_first_stays(saver: AsyncRedisSaver) -> None:
    config = await put(saver, place())
    await saver.aput_writes(config, [("c", "first"), ("d", "first")], "task", "path")
    await saver.aput_writes(
        config, [("c", "second"), ("d", "second"), ("e", "new")], "task", "other"
    )
    found = await saver.aget_tuple(config)
    assert found is not None
    assert sorted(found.pending_writes or []) == [
        ("task", "c", "first"),
        ("task", "d", "first"),
        ("task", "e", "new"),
    ]


@pytest.mark.parametrize("channel", [ERROR, INTERRUPT, RESUME, SCHEDULED])
async def test_of_special_writes_the_last_stays(saver: AsyncRedisSaver, channel: str) -> None:
    assert channel in WRITES_IDX_MAP
    config = await put(saver, place())
    await saver.aput_writes(config, [(channel, "first")], "task", "a")
    await saver.aput_writes(config, [("c", 1), (channel, "last")], "task", "b")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == [("task", channel, "last"), ("task", "c", 1)]


class Color(enum.Enum):
    RED = "red"


async def test_values_come_back_as_they_went_in(saver: AsyncRedisSaver) -> None:
    saver = saver.with_allowlist([(__name__, "Color")])  # type: ignore[assignment]  # a clone of the same type
    values: dict[str, Any] = {
        "when": datetime.now(UTC),
        "uuid": uuid.uuid4(),
        "decimal": decimal.Decimal("1.10"),
        "enum": Color.RED,
        "int keys": {1: "a", 2: {3: None}},
        "floats": [math.inf, -math.inf, 1e300, -0.0],
        "bytes": b"\x00\xff",
        "bytearray": bytearray(b"\x00\xff"),
        "set": {1, 2},
        "none": None,
        "empty": "",
        "nothing": [],
        "text": "🙂 \x00",
    }
    config = await put(saver, place(), values)
    await saver.aput_writes(config, list(values.items()), "task")
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == values
    assert {channel: value for _, channel, value in found.pending_writes or ()} == values
    assert type(found.checkpoint["channel_values"]["bytearray"]) is bytearray


async def test_a_checkpoint_comes_back_as_it_went_in(saver: AsyncRedisSaver) -> None:
    versions: ChannelVersions = {"int": 1, "float": 1.5, "text": "0001.abc", "empty": "2"}
    made = checkpoint({"int": 1, "float": 2, "text": 3}, versions)
    config = await saver.aput(place(), made, {"source": "input", "step": -1}, versions)
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.checkpoint == made
    assert found.config == config == place(checkpoint_id=made["id"])
    assert found.parent_config is None
    assert found.pending_writes == []
    child = await put(saver, config)
    found = await saver.aget_tuple(child)
    assert found is not None
    assert found.parent_config == config


async def test_a_channel_that_did_not_change_stays(saver: AsyncRedisSaver) -> None:
    first = checkpoint({"a": 1, "b": "x" * 50_000}, {"a": "1", "b": "1"})
    config = await saver.aput(place(), first, {}, {"a": "1", "b": "1"})
    second = checkpoint({"a": 2, "b": "x" * 50_000}, {"a": "2", "b": "1"})
    config = await saver.aput(config, second, {}, {"a": "2"})
    third = checkpoint({"b": "x" * 50_000}, {"a": "3", "b": "1"})
    config = await saver.aput(config, third, {}, {"a": "3"})
    found = [each.checkpoint["channel_values"] async for each in saver.alist(place())]
    assert found == [made["channel_values"] for made in (third, second, first)]


async def test_metadata_holds_the_config_but_its_dunder_keys(saver: AsyncRedisSaver) -> None:
    config = place(tenant="t", __fence=1, __ttl=60, __everturn="secret")
    stored = await put(saver, config, metadata={"source": "loop", "run_id": "r"})
    assert named(stored).keys() == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    found = await saver.aget_tuple(stored)
    assert found is not None
    assert found.metadata == {"source": "loop", "run_id": "r", "tenant": "t"}


async def test_a_shallow_copy_shares_client_and_memory(saver: AsyncRedisSaver) -> None:
    clone = copy.copy(saver)
    config = await put(saver, place(), {"c": "x" * 100_000})
    found = await clone.aget_tuple(config)
    assert found is not None
    await put(clone, config, {"c": "x" * 100_000 + "y"})
    assert len(await listed(saver, place())) == 2
    assert clone.with_allowlist([("a", "B")]) is not clone
    assert clone.get_next_version(None, None) > ""


async def test_both_savers_share_their_threads(
    saver: AsyncRedisSaver, sync_saver: RedisSaver
) -> None:
    config = await put(saver, place(), {"c": "x" * 10_000})
    found = sync_saver.get_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"c": "x" * 10_000}
    sync_saver.put_writes(config, [("c", 1)], "task")
    again = await saver.aget_tuple(place())
    assert again is not None
    assert again.pending_writes == [("task", "c", 1)]
    assert [each.config for each in sync_saver.list(None)] == [config]
    assert [each.config async for each in sync_saver.alist(place())] == [config]


async def test_synchronous_methods_of_the_asynchronous_saver(saver: AsyncRedisSaver) -> None:
    """They serve other threads than the loop's, where they would wait for themselves."""
    config = await put(saver, place(), {"c": 1})
    assert await asyncio.to_thread(saver.get_tuple, config) == await saver.aget_tuple(config)
    assert len(await asyncio.to_thread(list, saver.list(place()))) == 1
    with pytest.raises(RuntimeError, match="await the a… method"):
        saver.get_tuple(config)
