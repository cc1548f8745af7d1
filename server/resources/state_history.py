"""The states of a thread one by one; one that cannot be read does not hide the others.

Where nobody asks for values, no state is read: see `outlines_of`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import PregelTask, StateSnapshot

from everturn.checkpoints.bounds import Read, check_size, measured
from everturn.checkpoints.redis.aio import AsyncRedisSaver
from everturn.server.errors import StateUnreadable
from everturn.server.projects.graphs import Graph
from everturn.server.turns.reading import reading


async def states_of(
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    config: RunnableConfig,
    *,
    limit: int,
    before: RunnableConfig | None,
    metadata: Mapping[str, Any] | None,
) -> list[StateSnapshot]:
    """Return states, newest first; in place of one that cannot be read, its error as a task's.

    Raises:
        StateUnreadable: not even a checkpoint can be read.
        ListTooLarge: together they are too large for one list.
    """
    found: list[StateSnapshot] = []
    wanted = dict(metadata) if metadata else None
    thread_id = config.get("configurable", {})["thread_id"]
    read = Read()
    while len(found) < limit:
        left = limit - len(found)
        try:
            with reading(thread_id), measured(read):
                states = graph.aget_state_history(config, filter=wanted, before=before, limit=left)
                async for state in states:
                    check_size(read.size)
                    found.append(state)
                    before = state.config
                    await asyncio.sleep(0)  # to read a long conversation takes milliseconds
            break
        except StateUnreadable as error:
            with reading(thread_id):
                saved = checkpointer.alist(config, filter=wanted, before=before, limit=1)
                unread = [each async for each in saved]
            if not unread:
                raise
            found.append(_stand_in(unread[0], error))
            before = unread[0].config
    return found


class Outline(NamedTuple):
    """A checkpoint without its state."""

    snapshot: StateSnapshot
    """Whose values, tasks and interrupts are empty, whatever the state has."""
    made_by: list[str]
    """The nodes whose step made it, by name, each once."""


async def outlines_of(
    checkpointer: AsyncRedisSaver,
    config: RunnableConfig,
    *,
    limit: int,
    before: RunnableConfig | None,
    metadata: Mapping[str, Any] | None,
) -> list[Outline]:
    """Return the outlines of what `states_of` lists, and read no state for them.

    Raises:
        StateUnreadable: a checkpoint cannot be read.
    """
    wanted = dict(metadata) if metadata else None
    with reading(config.get("configurable", {})["thread_id"]):
        found = [
            each
            async for each in checkpointer.alist_bare(
                config, filter=wanted, before=before, limit=limit
            )
        ]
        seen = {_id_of(each.config): each.checkpoint["versions_seen"] for each in found}
        for parent in {_id_of(each.parent_config): each.parent_config for each in found}.values():
            if parent is not None and _id_of(parent) not in seen:
                async for each in checkpointer.alist_bare(parent, limit=1):
                    seen[_id_of(parent)] = each.checkpoint["versions_seen"]
    return [Outline(_bare(each), _made_by(each, seen)) for each in found]


def _made_by(saved: CheckpointTuple, seen: Mapping[str | None, Mapping[str, Any]]) -> list[str]:
    """Which nodes have run since the checkpoint before: they have seen newer versions of channels.

    `versions_seen` says of each node what made it run last.
    """
    before = seen.get(_id_of(saved.parent_config), {})
    now = saved.checkpoint["versions_seen"]
    return sorted(
        name
        for name, versions in now.items()
        if not name.startswith("__") and versions != before.get(name)
    )


def _id_of(config: RunnableConfig | None) -> str | None:
    return (config or {}).get("configurable", {}).get("checkpoint_id")


def _bare(saved: CheckpointTuple, *tasks: PregelTask) -> StateSnapshot:
    return StateSnapshot(
        values={},
        next=(),
        config=saved.config,
        metadata=saved.metadata,
        created_at=saved.checkpoint["ts"],
        parent_config=saved.parent_config,
        tasks=tasks,
        interrupts=(),
    )


def _stand_in(saved: CheckpointTuple, error: StateUnreadable) -> StateSnapshot:
    return _bare(saved, PregelTask(saved.checkpoint["id"], "__error__", ("__error__",), error))
