"""The states of a thread one by one; one that cannot be read does not hide the others."""

import asyncio
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import PregelTask, StateSnapshot

from everturn.checkpoints.bounds import Read, check_size, measured
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


def _stand_in(saved: CheckpointTuple, error: StateUnreadable) -> StateSnapshot:
    task = PregelTask(saved.checkpoint["id"], "__error__", ("__error__",), error)
    return StateSnapshot(
        values={},
        next=(),
        config=saved.config,
        metadata=saved.metadata,
        created_at=saved.checkpoint["ts"],
        parent_config=saved.parent_config,
        tasks=(task,),
        interrupts=(),
    )
