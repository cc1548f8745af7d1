"""From LangGraph's StateSnapshot to the ThreadState of the Agent Server API."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.constants import START
from langgraph.types import PregelTask, StateSnapshot

from everturn.server.errors import message_of
from everturn.server.resources.state_history import Outline
from everturn.server.streams.modes import public
from everturn.server.turns.places import interrupt_as_json, place_as_json

FIELDS = (
    "values",
    "next",
    "tasks",
    "metadata",
    "created_at",
    "checkpoint",
    "parent_checkpoint",
    "interrupts",
    "checkpoint_id",
    "parent_checkpoint_id",
)


MADE_BY = "made_by"
OUTLINE_FIELDS = (
    *("metadata", "created_at", "checkpoint", "parent_checkpoint"),
    *("checkpoint_id", "parent_checkpoint_id", MADE_BY),
)
"""Of a state: what is known without reading it."""


def outline_as_json(outline: Outline, select: Collection[str]) -> dict[str, Any]:
    """Describe a checkpoint by `OUTLINE_FIELDS`."""
    made_by = {MADE_BY: outline.made_by} if MADE_BY in select else {}
    return {**state_as_json(outline.snapshot, select), **made_by}


def state_as_json(
    snapshot: StateSnapshot | None, select: Collection[str] | None = None
) -> dict[str, Any]:
    """Describe a state, or only the `select`ed fields of it; `values.<key>` selects one value.

    `None` is the state of a thread that has none.
    """
    checkpoint = parent = metadata = created_at = None
    values: Any = {}
    next_nodes: list[str] = []
    tasks: list[dict[str, Any]] = []
    interrupts: list[dict[str, Any]] = []
    if snapshot is not None:
        checkpoint, parent = _checkpoint(snapshot.config), _checkpoint(snapshot.parent_config)
        metadata, created_at = _public_metadata(snapshot.metadata), snapshot.created_at
        values, next_nodes = snapshot.values, list(snapshot.next)
        tasks = [_task(task) for task in snapshot.tasks]
        interrupts = [interrupt_as_json(each) for each in snapshot.interrupts]
    state = {
        "values": values,
        "next": next_nodes,
        "tasks": tasks,
        "metadata": metadata,
        "created_at": created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": interrupts,
        "checkpoint_id": checkpoint and checkpoint["checkpoint_id"],
        "parent_checkpoint_id": parent and parent["checkpoint_id"],
    }
    return _selected(state, select) if select else state


def _checkpoint(config: RunnableConfig | None) -> dict[str, Any] | None:
    configurable = (config or {}).get("configurable") or {}
    return place_as_json(configurable) if configurable.get("checkpoint_id") else None


def _task(task: PregelTask) -> dict[str, Any]:
    inner = task.state
    return {
        "id": task.id,
        "name": task.name,
        "path": task.path,
        "error": None if task.error is None else _words(task.error),
        "interrupts": [interrupt_as_json(each) for each in task.interrupts],
        # A subgraph's state is either given, or where to ask for it.
        "checkpoint": place_as_json(inner.get("configurable", {}))
        if isinstance(inner, dict)
        else None,
        "state": state_as_json(inner) if isinstance(inner, StateSnapshot) else None,
        "result": task.result,
    }


def _words(error: Any) -> str:
    return message_of(error if isinstance(error, str) else repr(error))


def _public_metadata(metadata: Any) -> Any:
    if not isinstance(metadata, Mapping):
        return None
    return public({key: value for key, value in metadata.items() if not key.startswith("__")})


def _selected(state: Mapping[str, Any], select: Collection[str]) -> dict[str, Any]:
    chosen = {name: state[name] for name in FIELDS if name in select}
    keys = [name.removeprefix("values.") for name in select if name.startswith("values.")]
    if keys and "values" not in select:
        values = state["values"]
        chosen["values"] = {
            key: values[key] for key in keys if isinstance(values, Mapping) and key in values
        }
    return chosen


def checkpoint_summaries(states: Sequence[StateSnapshot]) -> list[dict[str, Any]]:
    """Describe states as the event protocol lists checkpoints, newest first.

    Which node made one is said by the state before it, where that is among them and one node ran.
    """
    by_id = {_id(state.config): state for state in states}
    found = []
    for state in states:
        metadata = _public_metadata(state.metadata) or {}
        before = by_id.get(_id(state.parent_config))
        ran = {task.name for task in before.tasks} if before else set()
        ran -= {START}
        found.append(
            {
                "id": _id(state.config),
                "timestamp": state.created_at,
                "step": metadata.get("step", -1),
                **({"node_name": next(iter(ran))} if len(ran) == 1 else {}),
                "metadata": metadata,
            }
        )
    return found


def _id(config: RunnableConfig | None) -> str | None:
    return (config or {}).get("configurable", {}).get("checkpoint_id")
