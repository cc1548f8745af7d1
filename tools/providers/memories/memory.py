"""One memory, and how it is kept as an item of the store."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args

from langgraph.store.base import Item

Kind = Literal["fact", "preference", "person", "plan"]
KINDS: tuple[Kind, ...] = get_args(Kind)

INDEX = ["text"]
"""What of an item is searched."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Something that is known of a user."""

    id: str
    text: str
    kind: Kind
    thread_id: str | None
    """Where it was said, as far as that is known."""
    created_at: datetime
    updated_at: datetime
    score: float | None = None
    """How well it meets a query; none where it was not compared."""


def value_of(
    text: str, kind: Kind, thread_id: str | None, created_at: datetime | None
) -> dict[str, Any]:
    """Return what is kept of a memory; not every store keeps when an item was made first."""
    made = {} if created_at is None else {"created_at": created_at.isoformat()}
    return {"text": text, "kind": kind, "thread_id": thread_id, **made}


def memory_of(item: Item) -> Memory:
    """Read a memory; a client may have written the item itself, with anything in it."""
    text, kind, thread = (item.value.get(name) for name in ("text", "kind", "thread_id"))
    return Memory(
        id=item.key,
        text=text if isinstance(text, str) else "",
        kind=cast("Kind", kind) if kind in KINDS else "fact",
        thread_id=thread if isinstance(thread, str) else None,
        created_at=_moment(item.value.get("created_at")) or item.created_at,
        updated_at=item.updated_at,
        score=getattr(item, "score", None),
    )


def _moment(written: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(written)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None
