"""Writers whose clocks differ: a child is newer than its parent, whatever its id says."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from langgraph.checkpoint.base import BaseCheckpointSaver

from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.samples import checkpoint, listed, looking_into, named, place, put


async def chain(
    saver: BaseCheckpointSaver[Any], ids: str, after: str | None = None, ns: str = "", **more: Any
) -> None:
    """Checkpoints, each the child of the one before, the first that of `after`."""
    for checkpoint_id in ids.split():
        parent = place(ns=ns, checkpoint_id=after, **more)
        await put(saver, parent, {"c": checkpoint_id}, checkpoint_id=checkpoint_id)
        after = checkpoint_id


async def latest(saver: BaseCheckpointSaver[Any], ns: str = "") -> str:
    found = await saver.aget_tuple(place(ns=ns))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"c": found.checkpoint["id"]}
    return found.checkpoint["id"]


async def test_a_child_is_newer_than_its_parent(saver: AsyncRedisSaver) -> None:
    await chain(saver, "5 6 3 4 1 7 2")
    assert await latest(saver) == "2"
    assert await listed(saver, place()) == list("2714365")
    assert await listed(saver, place(ns=None)) == list("2714365")
    found = await saver.aget_tuple(place(checkpoint_id="3"))
    assert found is not None
    assert found.parent_config == place(checkpoint_id="6")


async def test_of_one_rank_the_later_put_is_newer(saver: AsyncRedisSaver) -> None:
    await chain(saver, "5 3")
    await chain(saver, "4", after="5")
    assert await latest(saver) == "4"
    await chain(saver, "2", after="5")
    assert await listed(saver, place()) == list("2435")


async def test_a_checkpoint_that_is_put_again_keeps_its_place(saver: AsyncRedisSaver) -> None:
    await chain(saver, "5 3 2")
    await put(saver, place(checkpoint_id="5"), {"c": "again"}, checkpoint_id="3")
    assert await listed(saver, place()) == list("235")
    await put(saver, place(), {"c": "again"}, checkpoint_id="5")
    assert await listed(saver, place()) == list("235")
    found = await saver.aget_tuple(place(checkpoint_id="3"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"c": "again"}


async def test_a_clock_that_goes_right_again(saver: AsyncRedisSaver) -> None:
    await chain(saver, "5 3 4 6 7")
    assert await listed(saver, place()) == list("76435")


async def test_before_follows_the_order(saver: AsyncRedisSaver) -> None:
    order = list("2714365")
    await chain(saver, " ".join(reversed(order)))
    for ns in ("", None):
        for position, checkpoint_id in enumerate(order):
            before = place(checkpoint_id=checkpoint_id)
            older = order[position + 1 :]
            assert await listed(saver, place(ns=ns), before=before) == older
            assert await listed(saver, place(ns=ns), before=before, limit=2) == older[:2]
        assert await listed(saver, place(ns=ns), before=place(checkpoint_id="65")) == order[2:]
        assert await listed(saver, place(ns=ns), before=place(checkpoint_id="9")) == order
        assert await listed(saver, place(ns=ns), before=place(checkpoint_id="0")) == []
    this = place(checkpoint_id="1")
    assert await listed(saver, this, before=place(checkpoint_id="2")) == ["1"]
    assert await listed(saver, this, before=place(checkpoint_id="3")) == []


async def test_late_ones_are_listed_in_pages(saver: AsyncRedisSaver) -> None:
    ids = [f"{number:03}" for number in (*range(500, 520), *range(200), 520, *range(300, 340))]
    await chain(saver, " ".join(ids))
    assert await listed(saver, place()) == ids[::-1]
    assert await listed(saver, place(ns=None)) == ids[::-1]
    assert await listed(saver, place(), before=place(checkpoint_id="520")) == ids[-42::-1]
    assert await latest(saver) == "339"


async def test_a_fork_by_the_holder_of_the_thread_is_the_newest(saver: AsyncRedisSaver) -> None:
    """He alone writes, so what he writes comes last, though his clock is behind."""
    await chain(saver, "5 6 7", __fence=1)
    await chain(saver, "4", after="5", __fence=2)
    assert await latest(saver) == "4"
    await chain(saver, "3", after="4", __fence=2)
    assert await listed(saver, place()) == list("34765")


async def test_a_fork_without_a_token_stands_behind_its_parent(saver: AsyncRedisSaver) -> None:
    await chain(saver, "5 6 7")
    await chain(saver, "4 65", after="5")
    assert await listed(saver, place()) == ["7", "65", "6", "4", "5"]


async def test_a_writer_that_was_overtaken_by_a_slower_clock(saver: AsyncRedisSaver) -> None:
    """Its ids are the greater ones, and it is refused all the same."""
    await chain(saver, "5 6", __fence=1)
    await chain(saver, "3", after="6", __fence=2)
    for parent in ("6", "3"):
        with pytest.raises(StaleWriter):
            await chain(saver, "8", after=parent, __fence=1)
        config = place(checkpoint_id=parent, __fence=1)
        with pytest.raises(StaleWriter):
            await saver.aput_writes(config, [("c", "late")], "task")
    assert await listed(saver, place()) == list("365")


async def test_namespaces_have_orders_of_their_own(saver: AsyncRedisSaver) -> None:
    for ns in ("", "sub", "sub:1", "sub\0"):
        await chain(saver, "5 3", ns=ns)
    await chain(saver, "1 2", ns="other")
    assert await latest(saver, "other") == "2"
    for ns in ("", "sub", "sub:1", "sub\0"):
        assert await listed(saver, place(ns=ns)) == list("35")
        assert await latest(saver, ns) == "3"
    assert await listed(saver, place(ns=None)) == [*["3"] * 4, *["5"] * 4, "2", "1"]


async def test_ids_of_any_length(saver: AsyncRedisSaver) -> None:
    await chain(saver, "a ab aa \0 ~ b \x01 ü")
    await chain(saver, "a", after="ü")
    assert await listed(saver, place()) == ["ü", "\x01", "b", "~", "\x00", "aa", "ab", "a"]


async def test_pruning_keeps_the_newest(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    await chain(saver, "5 6 3 4")
    await chain(saver, "5 6 3", ns="sub")
    await saver.aprune(["thread"])
    assert await listed(saver, place()) == ["4"]
    assert await listed(saver, place(ns="sub")) == ["3"]
    await chain(saver, "1 8", after="4")
    assert await listed(saver, place()) == list("814")
    await saver.aprune(["thread"])
    assert await latest(saver) == "8"
    with looking_into(url) as client:
        index, _ = Keyspace(prefix).thread("thread")
        assert [member[:1] for member in client.zrange(index, 0, -1)] == [b"c", b"c", b"l"]


async def test_a_write_on_its_way_to_a_late_checkpoint(saver: AsyncRedisSaver) -> None:
    await chain(saver, "5 6 3")
    for checkpoint_id in ("2", "4"):
        config = place(checkpoint_id=checkpoint_id)
        await saver.aput_writes(config, [("c", "early")], "task")
    await saver.aprune(["thread"])
    await chain(saver, "4", after="3")
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.pending_writes == [("task", "c", "early")]


async def test_only_the_newest_are_kept(url: str, prefix: str) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, keep=3) as saver:
        await chain(saver, "5 6 7 1 2 3 4")
        assert await listed(saver, place()) == list("432")
        await chain(saver, "8 0", after="4")
        assert await listed(saver, place()) == list("084")


async def test_what_runs_leave_is_deleted(saver: AsyncRedisSaver) -> None:
    config = place()
    for number, run in zip("5634", "abab", strict=True):
        config = await put(saver, config, {"c": number}, {"run_id": run}, checkpoint_id=number)
    await saver.adelete_for_runs(["b"])
    assert await listed(saver, place()) == list("35")


async def test_a_copy_has_the_order(saver: AsyncRedisSaver) -> None:
    await chain(saver, "5 6 3 4")
    await saver.acopy_thread("thread", "copy")
    assert await listed(saver, place("copy")) == list("4365")
    await put(saver, place("copy", checkpoint_id="4"), {"c": "1"}, checkpoint_id="1")
    assert await listed(saver, place("copy")) == list("14365")


async def test_delta_channels_are_rebuilt_from_the_newest(saver: AsyncRedisSaver) -> None:
    """A delta is stored as the writes of the checkpoint before."""
    version, counters = "1", {"counters_since_delta_snapshot": {"d": (1, 1)}}
    config = await saver.aput(place(), checkpoint({"d": ["seed"]}, {"d": "1"}, "5"), {}, {"d": "1"})
    for checkpoint_id in list("341"):
        await saver.aput_writes(config, [("d", checkpoint_id)], "task")
        version = str(int(version) + 1)
        made = checkpoint({}, {"d": version}, checkpoint_id)
        config = await saver.aput(config, made, counters, {"d": version})  # type: ignore[arg-type]  # tests invent metadata
    for _ in range(2):
        found = await saver.aget_delta_channel_history(config=place(), channels=["d"])
        assert found["d"].get("seed") == ["seed"]
        assert [value for _, _, value in found["d"]["writes"]] == list("341")
        await saver.aprune(["thread"])
    assert named(config)["checkpoint_id"] == "1"


async def test_what_an_earlier_version_wrote(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    """It knew names only, and wrote and deleted them beside what this one writes."""
    await chain(saver, "5 6 3 4 7")
    index, data = Keyspace(prefix).thread("thread")
    with looking_into(url) as client:
        for member in client.zrange(index, 0, -1):
            if member.startswith(b"l"):
                client.zrem(index, member)
    assert await listed(saver, place()) == list("76543")
    await chain(saver, "1 2", after="7")
    assert await latest(saver) == "2"
    with looking_into(url) as client:
        client.hdel(data, b"c\x002")
        client.zrem(index, b"c\x002")
    assert await latest(saver) == "1"
    assert await listed(saver, place(), limit=2) == list("17")
    await chain(saver, "0", after="1")
    assert await listed(saver, place(), limit=2) == list("01")


async def test_the_synchronous_saver(sync_saver: RedisSaver) -> None:
    config = place()
    for number in "5634":
        made = checkpoint({"c": number}, checkpoint_id=number)
        config = sync_saver.put(config, made, {}, made["channel_versions"])
    assert [found.checkpoint["id"] for found in sync_saver.list(place())] == list("4365")
    found = sync_saver.get_tuple(place())
    assert found is not None
    assert found.config == config


@dataclass
class Order:
    """The rule, as it is written down: who is newer than whom."""

    keep: int | None
    ranks: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def put(self, checkpoint_id: str, parent: str | None, *, holds: bool) -> None:
        if checkpoint_id in self.places:
            return
        if holds:
            parent = next(iter(self.newest_first()), None)
        followed = self.ranks.get(parent, parent) if parent else ""
        rank = self.ranks[checkpoint_id] = max(checkpoint_id, followed)
        same = [number for of, number in self.places.values() if of == rank]
        self.places[checkpoint_id] = (rank, max(same, default=0) + 1 if rank == followed else 0)
        if self.keep:
            for old in self.newest_first()[self.keep :]:
                self.ranks.pop(old)
                self.places.pop(old)

    def newest_first(self) -> list[str]:
        return sorted(self.places, key=self.places.__getitem__, reverse=True)

    def before(self, checkpoint_id: str) -> list[str]:
        bound = self.places.get(checkpoint_id, (checkpoint_id, 0))
        return [each for each in self.newest_first() if self.places[each] < bound]


IDS = st.text("0123", min_size=1, max_size=2)


@pytest.mark.parametrize("url", ["valkey"], indirect=True)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    puts=st.lists(st.tuples(IDS, st.none() | IDS, st.booleans()), max_size=25),
    keep=st.none() | st.integers(1, 4),
)
def test_any_order_of_puts(
    url: str, prefix: str, puts: list[tuple[str, str | None, bool]], keep: int | None
) -> None:
    order, thread = Order(keep), str(uuid4())
    with RedisSaver.from_url(url, prefix=prefix, keep=keep) as saver:
        for checkpoint_id, parent, holds in puts:
            fence = 1 if holds else None
            made = checkpoint({}, checkpoint_id=checkpoint_id)
            saver.put(place(thread, checkpoint_id=parent, __fence=fence), made, {}, {})
            order.put(checkpoint_id, parent, holds=holds)
            newest = saver.get_tuple(place(thread))
            assert newest is not None
            assert newest.checkpoint["id"] == order.newest_first()[0]
        for ns in ("", None):
            found = [each.checkpoint["id"] for each in saver.list(place(thread, ns))]
            assert found == order.newest_first()
            for checkpoint_id, _, _ in puts:
                before = place(checkpoint_id=checkpoint_id)
                older = saver.list(place(thread, ns), before=before)
                assert [each.checkpoint["id"] for each in older] == order.before(checkpoint_id)
        saver.delete_thread(thread)
