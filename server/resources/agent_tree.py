"""Which graphs a run has called, one inside the other, and how each stands.

Read from the checkpoints of its thread: every node that is a graph is a task of one of them. What a
node or a tool calls by itself leaves no task there.
"""

from collections.abc import Mapping
from typing import Any, Literal

from langgraph.types import PregelTask, StateSnapshot

from everturn.checkpoints.sql.runs import UNFINISHED, RunRow, RunStatus
from everturn.checkpoints.sql.threads import Status, Thread
from everturn.server.resources.states import States
from everturn.server.turns.places import LATEST, Place

AgentStatus = Literal["started", "running", "completed", "failed", "interrupted"]
Node = dict[str, Any]
"""`namespace`, `status`, `graph_name` and `children`, as the event protocol names them."""

MAX_STATES = 100
"""Of each graph, the newest: older ones are not looked at."""
_MAX_DEPTH = 5

_OF_RUN: Mapping[RunStatus, AgentStatus] = {
    "pending": "started",
    "running": "running",
    "success": "completed",
    "error": "failed",
    "timeout": "failed",
    "interrupted": "interrupted",
}
_OF_THREAD: Mapping[Status, AgentStatus] = {
    "idle": "completed",
    "busy": "running",
    "interrupted": "interrupted",
    "error": "failed",
}


async def agent_tree(states: States, thread: Thread, run: RunRow | None) -> Node:
    """Return the tree of a run's graphs; without a run the thread's own graph alone.

    Raises:
        GraphNotFound, StateUnreadable: see `States.history`.
    """
    about = run.metadata if run else thread.metadata
    status = _OF_RUN[run.status] if run else _OF_THREAD[thread.status]
    children: list[Node] = []
    if run:
        history = await states.history(thread, LATEST, limit=MAX_STATES)
        own = _of_run(history, run)
        latest = history[0] if history else None
        if latest and latest in own[:1] and latest.interrupts and run.status == "success":
            status = "interrupted"
        children = await _children(states, thread, own, latest, status, _MAX_DEPTH)
    return _node((), str(about.get("graph_id") or ""), status, children)


def _of_run(history: list[StateSnapshot], run: RunRow) -> list[StateSnapshot]:
    """Keep the states whose tasks were a run's, newest first.

    One that goes on where another has stopped, as after an answer, has its first tasks from there.
    """
    own = [state for state in history if (state.metadata or {}).get("run_id") == run.run_id]
    if not own:
        return history[:1] if run.status in UNFINISHED else []
    begun_anew = (own[-1].metadata or {}).get("source") == "input"
    older = [] if begun_anew else history[history.index(own[-1]) + 1 :]
    return own + older[:1]


async def _children(
    states: States,
    thread: Thread,
    history: list[StateSnapshot],
    latest: StateSnapshot | None,
    status: AgentStatus,
    depth: int,
) -> list[Node]:
    """Return the graphs that are tasks of some states, in the order in which they were called."""
    found: list[Node] = []
    for state in reversed(history):
        for task in state.tasks:
            if not isinstance(task.state, dict):
                continue
            ns = str(task.state.get("configurable", {})["checkpoint_ns"])
            own = _status(task, status if state is latest else None)
            inside: list[Node] = []
            if depth > 1:
                inner = await states.history(thread, Place(checkpoint_ns=ns), limit=MAX_STATES)
                newest = inner[0] if inner else None
                inside = await _children(states, thread, inner, newest, own, depth - 1)
            found.append(_node(tuple(ns.split("|")), task.name, own, inside))
    return found


def _status(task: PregelTask, under_way: AgentStatus | None) -> AgentStatus:
    """Say how a task stands; `under_way` is None where its graph has gone on since."""
    if task.error is not None:
        return "failed"
    if under_way is None or task.result is not None:
        return "completed"
    return "interrupted" if task.interrupts else under_way


def _node(namespace: tuple[str, ...], name: str, status: AgentStatus, children: list[Node]) -> Node:
    return {
        "namespace": list(namespace),
        "status": status,
        "graph_name": name,
        **({"children": children} if children else {}),
    }
