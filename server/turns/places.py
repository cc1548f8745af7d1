"""Where in a thread: which state is meant, and what waits there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.types import Interrupt, StateSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which state of a thread is meant; the latest of the root graph, if nothing is said."""

    checkpoint_ns: str = ""
    checkpoint_id: str | None = None
    checkpoint_map: Mapping[str, str] | None = None


LATEST = Place()

# What is a client's business of a configurable: the rest is the service's.
_PLACE = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")


def interrupts_of(snapshot: StateSnapshot) -> dict[str, list[dict[str, Any]]]:
    """Return what a state waits for, by the id of the task that asks."""
    return {
        task.id: [interrupt_as_json(each) for each in task.interrupts]
        for task in snapshot.tasks
        if task.interrupts
    }


def interrupt_as_json(interrupt: Interrupt) -> dict[str, Any]:
    """Return an interrupt as clients know it, with the schema of its answer where there is one."""
    known: dict[str, Any] = {"id": interrupt.id, "value": interrupt.value}
    if interrupt.response_schema is not None:
        known["response_schema"] = interrupt.response_schema
    return known


def place_as_json(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a configurable what says which state of which thread is meant."""
    return {name: configurable[name] for name in _PLACE if configurable.get(name) is not None}
