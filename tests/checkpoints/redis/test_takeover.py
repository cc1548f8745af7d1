"""One thread, several writers: fencing tokens, and two processes at once."""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
from langgraph.pregel.remote import RemoteGraph

from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.redis.address import Unsent
from tests.checkpoints.redis.samples import listed, named, place, put

ROOT = Path(__file__).parents[3]


async def test_a_writer_that_was_overtaken_is_refused(saver: AsyncRedisSaver) -> None:
    first, second = 1_764_000_000_000_000, 1_764_000_000_000_001
    config = await put(saver, place(__fence=first), {"c": "first"})
    await put(saver, place(__fence=second), {"c": "second"})
    with pytest.raises(StaleWriter, match=f"{first} is older than {second}"):
        await put(saver, place(__fence=first), {"c": "late" * 10_000})
    stale = place(__fence=first, checkpoint_id=named(config)["checkpoint_id"])
    with pytest.raises(StaleWriter):
        await saver.aput_writes(stale, [("c", "late")], "task")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == []
    assert len(await listed(saver, place())) == 2


async def test_loading_a_thread_is_taking_it_over(saver: AsyncRedisSaver) -> None:
    """Else the old writer could add what the new one has not read."""
    config = await put(saver, place(__fence=1), {"c": 1})
    await saver.aget_tuple(place(__fence=2))
    with pytest.raises(StaleWriter):
        await put(saver, place(__fence=1), {"c": 2})
    await saver.aget_tuple(place(__fence=1))
    await saver.aput_writes(
        place(__fence=2, checkpoint_id=named(config)["checkpoint_id"]),
        [("c", 1)],
        "task",
    )


async def test_without_a_token_a_writer_is_accepted(saver: AsyncRedisSaver) -> None:
    await put(saver, place(__fence=5), {"c": 1})
    await put(saver, place(), {"c": 2})
    assert len(await listed(saver, place())) == 2
    with pytest.raises(StaleWriter):
        await put(saver, place(__fence=4), {"c": 2})


async def test_threads_have_tokens_of_their_own(saver: AsyncRedisSaver) -> None:
    await put(saver, place("a", __fence=5))
    await put(saver, place("b", __fence=1))
    assert len(await listed(saver, None)) == 2


@pytest.mark.parametrize("url", ["valkey"], indirect=True)
@pytest.mark.parametrize("bad", [-1, 2**53, "7", 1.0])
async def test_a_token_is_a_whole_number(saver: AsyncRedisSaver, bad: object) -> None:
    with pytest.raises(ValueError, match="__fence"):
        await put(saver, place(__fence=bad))


WRITER = """
import sys
from everturn.checkpoints.redis import RedisSaver
from tests.checkpoints.redis.samples import checkpoint, place

url, prefix, name = sys.argv[1:]
with RedisSaver.from_url(url, prefix=prefix) as saver:
    found, said = None, []
    for number in range(40):
        said.append(f"{name}-{number} " * 40)
        made = checkpoint({"shared": said, name: number})
        config = saver.put(place(), made, {"writer": name}, made["channel_versions"])
        saver.put_writes(config, [("c", said)], f"task-{name}")
        found = saver.get_tuple(config)
        assert found.checkpoint["channel_values"] == {"shared": said, name: number}, found
        assert found.pending_writes == [(f"task-{name}", "c", said)], found
"""


async def test_two_processes_on_one_thread(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    command = [sys.executable, "-c", WRITER, url, prefix]
    writers = [
        await asyncio.create_subprocess_exec(*command, name, cwd=ROOT, stderr=subprocess.PIPE)
        for name in ("left", "right")
    ]
    for writer in writers:
        _, errors = await writer.communicate()
        assert writer.returncode == 0, errors.decode()
    numbers: dict[str, list[int]] = {"left": [], "right": []}
    async for found in saver.alist(place()):
        name = dict(found.metadata)["writer"]
        assert isinstance(name, str)
        numbers[name].append(found.checkpoint["channel_values"][name])
        assert len(found.checkpoint["channel_values"]["shared"]) == numbers[name][-1] + 1
    assert numbers == {"left": list(range(39, -1, -1)), "right": list(range(39, -1, -1))}


async def test_a_remote_graph_does_not_send_a_fence_on(saver: AsyncRedisSaver) -> None:
    config = place(__fence=Unsent(5), __ttl=Unsent(60), __everturn=MappingProxyType({"a": 1}))
    await put(saver, config, {"c": 1})
    with pytest.raises(StaleWriter):
        await put(saver, place(__fence=Unsent(4)), {"c": 2})
    sent = RemoteGraph("far", client=cast("Any", object()))._sanitize_config(config)
    assert not [name for name in sent.get("configurable", {}) if name.startswith("__")]
