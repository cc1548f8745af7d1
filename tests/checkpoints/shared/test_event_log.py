"""The event log of runs, at a real Redis."""

import asyncio
import random
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everturn.checkpoints.shared.event_log import END, EventLog, Frame, open_event_log
from everturn.checkpoints.shared.frames import Packer, opened, times_of, unpack, unzipped
from tests.checkpoints.shared.clients import store
from tests.checkpoints.stores import Store

__all__ = ["store"]


async def lives(store: Store, run_id: str, name: str = "events") -> int:
    return int(await store.client.ttl(f"{{{store.prefix}:run:{run_id}}}:{name}"))


def text(size: int) -> bytes:
    """Data that cannot be packed."""
    return random.randbytes(size).replace(b"\n", b" ")


def say(events: EventLog, *numbers: int, attempt: int = 1, data: bytes = b"{}") -> None:
    for number in numbers:
        events.append("r", attempt, Frame(number, "values", data))


async def numbers(events: EventLog) -> list[tuple[int, int]]:
    return [(attempt, frame.number) for attempt, frame in await events.read("r", (0, 0))]


async def test_a_run_that_is_silent_for_long_keeps_its_log_until_some_time_after_its_end(
    store: Store,
) -> None:
    async with open_event_log(store.client, prefix=store.prefix, ttl=60) as events:
        say(events, 1)
        await events.written()
        assert await lives(store, "r") > 3600
        events.append("r", 1, Frame(2, END, b"null"))
        await events.written()
        assert 0 < await lives(store, "r") <= 60


async def test_what_was_appended_is_there_to_read_although_a_reader_left(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        say(events, 1, 2)
        leaves = asyncio.create_task(events.written())
        await asyncio.sleep(0)
        leaves.cancel()
        say(events, 3)
        await events.written()
        assert await numbers(events) == [(1, 1), (1, 2), (1, 3)]


async def test_an_attempt_that_was_overtaken_writes_no_more(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        say(events, 1)
        await events.written()
        say(events, 1, attempt=2)
        await events.written()
        say(events, 2)
        await events.written()
        assert await numbers(events) == [(1, 1), (2, 1)]
        assert (await events.last("r") or (0,))[0] == 2


async def test_the_oldest_events_go_first(store: Store) -> None:
    opened = open_event_log(store.client, prefix=store.prefix, max_bytes=1000)
    async with opened as events:
        for number in range(1, 11):
            say(events, number, data=text(300))
            await events.written()
        assert await numbers(events) == [(1, 8), (1, 9), (1, 10)]


async def test_it_is_read_page_by_page(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        for number in range(1, 101):
            say(events, number, data=text(50_000))
        await events.written()
        page = await events.read("r", (0, 0))
        assert sum(len(frame.data) for _, frame in page) < 500_000
        assert [frame.number async for frame in events.read_all("r")] == list(range(1, 101))


async def test_what_waits_to_be_written_has_an_end(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        for number in range(1, 1001):
            say(events, number, data=text(50_000))
        events.append("r", 1, Frame(1001, END, b"null"))
        await events.written()
        found = [frame.number async for frame in events.read_all("r")]
    assert found[-1] == 1001
    assert found == list(range(found[0], 1002))
    assert len(found) * 50_000 < 10_000_000


async def test_all_logs_together_have_an_end(store: Store) -> None:
    opened = open_event_log(store.client, prefix=store.prefix, max_bytes_of_all=1_000_000)
    async with opened as events:
        for run in range(10):
            for number in range(1, 11):
                events.append(f"{run}", 1, Frame(number, "values", text(50_000)))
            events.append(f"{run}", 1, Frame(11, END, b"null"))
            await events.written()
        kept = [[frame.number async for frame in events.read_all(f"{run}")] for run in range(10)]
    assert sum(map(len, kept)) * 50_000 < 1_500_000
    assert kept[-1] == list(range(1, 12))
    assert all(numbers[-1] == 11 for numbers in kept)  # how a run ended is known of each


async def test_a_run_that_goes_on_keeps_its_share(store: Store) -> None:
    opened = open_event_log(store.client, prefix=store.prefix, max_bytes_of_all=1_000_000)
    async with opened as events:
        for number in range(1, 41):
            for run in range(4):
                events.append(f"{run}", 1, Frame(number, "values", text(50_000)))
            await events.written()
        for run in range(4):
            found = [frame.number async for frame in events.read_all(f"{run}")]
            assert found[-1] == 40
            assert 3 <= len(found) <= 6


def token(number: int, message: str) -> Frame:
    """An event as a run streams it: a word, and what is said of all words."""
    about = {f"name_{n}": f"{message} {n}" for n in range(40)}
    return Frame(number, "messages", orjson.dumps([{"content": f"word{number}", **about}, about]))


async def sizes(store: Store, run_id: str) -> int:
    keys = [f"{{{store.prefix}:run:{run_id}}}:{name}" for name in ("events", "models")]
    return sum([int(await store.client.memory_usage(key) or 0) for key in keys])


async def stream(events: EventLog, run_id: str, messages: Sequence[str]) -> list[Frame]:
    """Append tokens, each with an entry of its own."""
    frames = [token(n, message) for n, message in enumerate(messages, 1)]
    for frame in frames:
        events.append(run_id, 1, frame)
        await events.written()
    return frames


@pytest.mark.parametrize("order", ["one", "one after the other", "in turns", "each another"])
async def test_what_is_read_is_what_was_written(store: Store, order: str) -> None:
    messages = {
        "one": ["a"] * 60,
        "one after the other": ["a"] * 20 + ["bb"] * 20 + ["c"] * 20,
        "in turns": ["a", "bb"] * 30,
        "each another": [str(n) for n in range(60)],
    }[order]
    async with open_event_log(store.client, prefix=store.prefix) as events:
        written = await stream(events, "r", messages)
        assert [frame async for frame in events.read_all("r")] == written
        async with open_event_log(store.client, prefix=store.prefix) as elsewhere:
            assert [frame async for frame in elsewhere.read_all("r")] == written
            for at in (0, 7, 33, 59):
                assert (await elsewhere.read("r", (1, at)))[0] == (1, written[at])
            assert await elsewhere.last("r") == (1, written[-1])


async def test_a_stream_of_tokens_is_kept_small(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        written = await stream(events, "r", ["a"] * 50)
        assert sum(len(frame.data) for frame in written) > 50_000
        assert await sizes(store, "r") < 8_000
        assert events.kept_bytes < 5_000


async def test_the_log_of_a_run_that_is_not_resumable_is_kept_for_a_moment(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix, ttl=60) as events:
        await stream(events, "r", ["a"] * 3)
        assert await lives(store, "r") > 3600
        events.brief.append("r", 1, Frame(4, END, b"null"))
        await events.written()
        assert 0 < await lives(store, "r") <= 10
        assert 0 < await lives(store, "r", "models") <= 10
        assert [frame.number async for frame in events.read_all("r")] == [1, 2, 3, 4]
        await events.delete("r")
        assert await sizes(store, "r") == 0
        assert events.kept_bytes == 0


async def test_a_log_waits_for_a_slow_reader(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        await stream(events, "r", ["a"] * 9)
        events.brief.append("r", 1, Frame(10, END, b"null"))
        await events.written()
        page = await events.read("r", (0, 0))
        assert page[-1][1].number < 10
        for name in ("events", "models"):
            assert await lives(store, "r", name) > 60
        await events.read("r", (1, 9))
        assert await lives(store, "r") > 60


async def test_what_cannot_be_put_together_any_more_is_left_out(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        written = await stream(events, "r", ["a"] * 5)
        await store.client.delete(f"{{{store.prefix}:run:r}}:models")
        assert [frame async for frame in events.read_all("r")] == written[:1]


async def test_entries_of_an_earlier_version_are_read(store: Store) -> None:
    async with open_event_log(store.client, prefix=store.prefix) as events:
        key = f"{{{store.prefix}:run:r}}:events"
        fields = {"first": 1, "frames": b'values\n{"a":1}\nmessages\n[1]\n'}
        await store.client.xadd(key, fields, id="1-2")  # type: ignore[arg-type]
        found = [frame async for frame in events.read_all("r")]
    assert found == [Frame(1, "values", b'{"a":1}'), Frame(2, "messages", b"[1]")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.binary(max_size=700),
            st.integers(min_value=0, max_value=1 << 45),
        ),
        max_size=20,
    )
)
def test_whatever_is_packed_comes_out_again(events: list[tuple[str, bytes, int]]) -> None:
    frames = [
        Frame(n, name, data.replace(b"\n", b""), at) for n, (name, data, at) in enumerate(events, 1)
    ]
    packer = Packer(1)
    models: dict[bytes, bytes] = {}
    found: list[Frame] = []
    for frame in frames:
        packed, made = packer.pack([frame])
        models |= {number: unzipped(each) for number, each in made.items()}
        found += unpack(frame.number, opened(packed), models, times_of([frame]))
    assert found == frames
    lines = [b"name", b"data"] * len(frames)
    moments = [each.at for each in unpack(1, lines, {}, times_of(frames))]
    assert moments == [frame.at for frame in frames]
