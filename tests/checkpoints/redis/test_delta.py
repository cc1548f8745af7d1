"""Delta channels: state that is kept as writes and rebuilt from them, through real graphs."""

import operator
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.graph import END, START, StateGraph

from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from tests.checkpoints.redis.samples import Saver, checkpoint, listed, place
from tests.checkpoints.redis.servers import Server

Durability = Literal["sync", "async", "exit"]
DURABILITIES: list[Durability] = ["sync", "async", "exit"]
NODES = ("delta", "alpha", "charlie", "bravo")


def in_order(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    """Order matters: each entry says what stood before it."""
    for entry in (entry for write in writes for entry in write):
        state = [*state, f"{len(state)}:{entry}"]
    return state


class State(TypedDict):
    log: Annotated[list[str], DeltaChannel(in_order, snapshot_frequency=7)]
    turn: int
    plain: Annotated[list[int], operator.add]


def parallel_graph(saver: Saver) -> Any:
    """Four nodes side by side, whose order of names is not that of their task ids."""

    def speaker(name: str) -> Any:
        def speak(state: State) -> dict[str, Any]:
            return {"log": [f"{name}-{state['turn']}"]}

        return speak

    def last(state: State) -> dict[str, Any]:
        return {"log": ["last"], "plain": [state["turn"]]}

    builder = StateGraph(State)
    for name in NODES:
        builder.add_node(name, speaker(name))
        builder.add_edge(START, name)
    builder.add_node("last", last)
    builder.add_edge(list(NODES), "last")
    builder.add_edge("last", END)
    return builder.compile(checkpointer=saver)


@pytest.mark.parametrize("durability", DURABILITIES)
async def test_parallel_nodes_reload_what_was_returned(
    saver: AsyncRedisSaver, durability: Durability
) -> None:
    graph = parallel_graph(saver)
    for turn in range(6):
        given = {"turn": turn, "log": [f"input-{turn}"]}
        returned = await graph.ainvoke(given, place(), durability=durability)
        state = await graph.aget_state(place())
        assert state.values == returned
        assert len(returned["log"]) == 6 * (turn + 1)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_parallel_nodes_reload_what_was_returned_synchronously(
    sync_saver: RedisSaver, durability: Durability
) -> None:
    graph = parallel_graph(sync_saver)
    for turn in range(4):
        given = {"turn": turn, "log": [f"input-{turn}"]}
        returned = graph.invoke(given, place(), durability=durability)
        assert graph.get_state(place()).values == returned


async def test_pruning_keeps_the_thread_readable(saver: AsyncRedisSaver) -> None:
    graph = parallel_graph(saver)
    for turn in range(4):
        await graph.ainvoke({"turn": turn}, place())
    returned = await graph.ainvoke({"turn": 4}, place())
    before = await listed(saver, place())
    await saver.aprune(["thread"])
    after = await listed(saver, place())
    assert after == before[: len(after)]
    assert len(after) < len(before)
    assert (await graph.aget_state(place())).values == returned
    again = await graph.ainvoke({"turn": 9}, place())
    assert again["log"][: len(returned["log"])] == returned["log"]
    assert (await graph.aget_state(place())).values == again


async def test_keeping_few_checkpoints_keeps_the_thread_readable(url: str, prefix: str) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, keep=2) as saver:
        graph = parallel_graph(saver)
        for turn in range(12):
            returned = await graph.ainvoke({"turn": turn}, place())
            assert (await graph.aget_state(place())).values == returned
        assert len(await listed(saver, place())) < 20


async def test_deleting_a_run_keeps_what_later_runs_stand_on(saver: AsyncRedisSaver) -> None:
    graph = parallel_graph(saver)
    for run in ("one", "two"):
        await graph.ainvoke({"turn": 1}, place(run_id=run))
    returned = await graph.ainvoke({"turn": 1}, place(run_id="three"))
    await saver.adelete_for_runs(["two"])
    assert (await graph.aget_state(place())).values == returned
    await saver.adelete_for_runs(["three"], thread_id="thread")
    state = await graph.aget_state(place())
    assert len(state.values["log"]) == 10


async def test_copies_and_forks_rebuild_their_own_branch(saver: AsyncRedisSaver) -> None:
    graph = parallel_graph(saver)
    first = await graph.ainvoke({"turn": 1}, place())
    fork_from = (await graph.aget_state(place())).config
    second = await graph.ainvoke({"turn": 2}, place())
    await saver.acopy_thread("thread", "copy")
    forked = await graph.ainvoke({"turn": 3}, fork_from)
    assert forked["log"][:5] == first["log"]
    assert (await graph.aget_state(place())).values == forked
    assert (await graph.aget_state(place("copy"))).values == second
    branches = [state.values async for state in graph.aget_state_history(place()) if not state.next]
    assert first in branches
    assert second in branches
    assert forked in branches


@pytest.mark.parametrize("durability", DURABILITIES)
async def test_a_thread_deleted_in_the_middle_of_a_run_is_not_continued_without_its_past(
    saver: AsyncRedisSaver, durability: Durability
) -> None:
    """The run holds no values of delta channels that it could store again."""
    deleting = False

    async def speak(state: State) -> dict[str, Any]:
        if deleting:
            await saver.adelete_thread("thread")
        return {"log": ["spoken"], "plain": [1]}

    builder = StateGraph(State)
    builder.add_node("speak", speak)
    builder.add_edge(START, "speak")
    builder.add_edge("speak", END)
    graph: Any = builder.compile(checkpointer=saver)
    await graph.ainvoke({"log": ["one"]}, place(), durability=durability)
    deleting = True
    with pytest.raises(StaleWriter, match="delta channels: start a new run"):
        await graph.ainvoke({"log": ["two"]}, place(), durability=durability)
    assert await listed(saver, place()) == []
    deleting = False
    returned = await graph.ainvoke({"log": ["anew"]}, place(), durability=durability)
    assert returned["log"] == ["0:anew", "1:spoken"]
    assert (await graph.aget_state(place())).values == returned


async def chain(saver: Saver, snapshots: dict[int, Any], length: int) -> list[Any]:
    """A line of checkpoints with a write each and values of "c" where they are given."""
    configs, config = [], place()
    for step in range(length):
        values = {"c": snapshots[step]} if step in snapshots else {}
        made = checkpoint(values, checkpoint_id=f"{step:03}")
        config = await saver.aput(config, made, {}, made["channel_versions"])
        await saver.aput_writes(config, [("c", step), ("d", -step)], f"task-{step}")
        configs.append(config)
    return configs


async def test_history_ends_at_the_nearest_value(saver: AsyncRedisSaver) -> None:
    large = _DeltaSnapshot(["x" * 100] * 100)
    configs = await chain(saver, {1: "old", 3: large}, 7)
    history = await saver.aget_delta_channel_history(config=configs[5], channels=["c", "d", "e"])
    assert history["c"] == {"seed": large, "writes": [("task-3", "c", 3), ("task-4", "c", 4)]}
    assert history["d"] == {"writes": [(f"task-{step}", "d", -step) for step in range(5)]}
    assert history["e"] == {"writes": []}
    assert await saver.aget_delta_channel_history(config=place(), channels=[]) == {}
    latest = await saver.aget_delta_channel_history(config=place(), channels=["c"])
    assert [value for _, _, value in latest["c"]["writes"]] == [3, 4, 5]
    nowhere = await saver.aget_delta_channel_history(config=place("none"), channels=["c"])
    assert nowhere == {"c": {"writes": []}}


async def test_a_circle_of_parents_comes_to_an_end(saver: AsyncRedisSaver) -> None:
    for checkpoint_id, parent in [("1", "3"), ("2", "1"), ("3", "2")]:
        made = checkpoint(checkpoint_id=checkpoint_id)
        metadata: Any = {"counters_since_delta_snapshot": {"c": (1, 1)}}
        await saver.aput(place(checkpoint_id=parent), made, metadata, {})
        await saver.aput_writes(place(checkpoint_id=checkpoint_id), [("c", checkpoint_id)], "task")
    history = await saver.aget_delta_channel_history(config=place(), channels=["c"])
    assert [value for _, _, value in history["c"]["writes"]] == ["3", "1", "2"]
    await saver.aprune(["thread"])
    assert "3" in await listed(saver, place())


async def test_history_is_that_of_the_base_class(
    saver: AsyncRedisSaver, sync_saver: RedisSaver
) -> None:
    """The base class asks for one ancestor after the other; the answer must be the same."""
    configs = await chain(saver, {0: "plain", 4: _DeltaSnapshot([1])}, 9)
    for config in configs:
        asked: dict[str, Any] = {"config": config, "channels": ["c", "d"]}
        expected = await BaseCheckpointSaver.aget_delta_channel_history(saver, **asked)
        assert await saver.aget_delta_channel_history(**asked) == expected
        assert sync_saver.get_delta_channel_history(**asked) == expected


async def test_history_is_one_call(valkey: Server) -> None:
    async with AsyncRedisSaver.from_url(valkey.url, prefix="one-call") as saver:
        configs = await chain(saver, {}, 30)
        with valkey.admin() as admin:
            admin.config_resetstat()
            history = await saver.aget_delta_channel_history(config=configs[-1], channels=["c"])
            calls = admin.info("commandstats")["cmdstat_evalsha"]["calls"]
        await saver.adelete_thread("thread")
    assert len(history["c"]["writes"]) == 29
    assert calls == 1
