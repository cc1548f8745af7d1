"""Namespaces as one text: labels hold no dots, so `a.b` can only be `("a", "b")`."""

from collections.abc import Sequence

from langgraph.store.base import (
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchOp,
    validate_op_namespace,
)

from everturn.checkpoints.errors import InvalidItem
from everturn.checkpoints.sql.tables import storable

Namespace = tuple[str, ...]

_MAX_BYTES = 800
"""Three of them fit into an entry of PostgreSQL's index, 2,704 bytes."""
_AFTER_DOT = chr(ord(".") + 1)
_AFTER_ALL = chr(0x10FFFF) * (_MAX_BYTES // 4 + 1)
"""Comes after every namespace: no character is higher, and none is so long."""


def joined(namespace: Namespace) -> str:
    """Write a namespace as one text."""
    return ".".join(namespace)


def split(text: str) -> Namespace:
    """Read a namespace back."""
    return tuple(text.split("."))


def below(prefix: str) -> tuple[str, str]:
    """Return where the texts of all namespaces inside `prefix` begin, and before what they end."""
    return f"{prefix}.", f"{prefix}{_AFTER_DOT}"


def check(op: Op) -> None:
    """Refuse labels that LangGraph refuses, and those that no database holds.

    Raises:
        InvalidNamespaceError: LangGraph's own, a ValueError.
        InvalidItem: naming the label or the key.
    """
    validate_op_namespace(op)
    if isinstance(op, ListNamespacesOp):
        labels = [label for condition in op.match_conditions or () for label in condition.path]
    elif isinstance(op, SearchOp):
        labels = list(op.namespace_prefix)
    else:
        labels = [*op.namespace, op.key]
    if isinstance(op, PutOp) and isinstance(op.index, list):
        labels += op.index
    for label in labels:
        if not isinstance(label, str) or storable(label) != label:
            raise InvalidItem(f"{label!r} cannot be stored: no NUL, no half of a surrogate pair.")
    if isinstance(op, PutOp):
        if not op.namespace:
            raise InvalidItem("Namespace cannot be empty.")
        for text in (joined(op.namespace), op.key, *(op.index or ())):
            if len(text.encode()) > _MAX_BYTES:
                raise InvalidItem(f"A namespace, key or path has at most {_MAX_BYTES} bytes.")


def bounds(prefix: Namespace) -> dict[str, str]:
    """Return the parameters of a statement that takes a namespace and all those in it."""
    text = joined(prefix)
    first, end = below(text) if prefix else ("", _AFTER_ALL)
    return {"prefix": text, "first": first, "end": end}


def literal_prefix(conditions: Sequence[MatchCondition]) -> tuple[Namespace, bool]:
    """Return what every match begins with, and whether that says it all."""
    prefix: Namespace = ()
    whole = True
    for condition in conditions:
        literal = condition.path[: _first_star(condition.path)]
        if condition.match_type == "prefix" and len(literal) >= len(prefix):
            prefix = literal
        whole = whole and condition.match_type == "prefix" and literal == condition.path
    return prefix, whole and len(conditions) <= 1


def matches(namespace: Namespace, conditions: Sequence[MatchCondition]) -> bool:
    """Say whether a namespace meets all conditions; `*` stands for any one label."""
    return all(_meets(namespace, condition) for condition in conditions)


def _meets(namespace: Namespace, condition: MatchCondition) -> bool:
    length = len(condition.path)
    if length > len(namespace):
        return False
    part = namespace[:length] if condition.match_type == "prefix" else namespace[-length:]
    return all(want in {"*", label} for want, label in zip(condition.path, part, strict=True))


def _first_star(path: Sequence[str]) -> int:
    return list(path).index("*") if "*" in path else len(path)
