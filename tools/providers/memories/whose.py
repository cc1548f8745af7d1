"""Whose a memory is: the caller's where the service knows its callers, and the user's they name.

    ("everturn:memories", caller, user)

An application that calls with one key, and names its own users in `context.user`, keeps these
apart. Where nobody has to sign in, there is one caller; where no user is named, one user.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

ROOT = "everturn:memories"
"""The first label of the namespaces of all memories; graphs of your own may use `memories`."""
NOBODY = "(local)"
"""The label of a caller, or of a user, that is not named."""

_CALLER = "langgraph_auth_user_id"
"""Of `configurable`: where LangGraph's servers say who calls."""
_MAX_BYTES = 200


def namespace_of(caller: str | None, user: str | None) -> tuple[str, str, str]:
    """Return the namespace of a user's memories."""
    return ROOT, label_of(caller), label_of(user)


def is_of(namespace: tuple[str, ...], name: str) -> bool:
    """Say whether a namespace of memories is of a caller, or where none signs in, of a user.

    What a caller keeps of a user of their own who happens to have this name is the caller's.
    """
    label = label_of(name)
    return namespace[1:2] == (label,) or namespace[1:] == (NOBODY, label)


def caller_of(configurable: Mapping[str, Any]) -> str | None:
    """Return who calls a graph, where that is known."""
    found = configurable.get(_CALLER)
    return found if isinstance(found, str) and found else None


def label_of(name: str | None) -> str:
    """Return a name as a label of a namespace: those hold no periods, and are not long.

    No two names have one label; what cannot be written is a hash of itself.
    """
    if not name:
        return NOBODY
    label = name.replace("%", "%25").replace(".", "%2E")
    plain = label.isprintable() and not label.startswith("(") and label.strip() == label
    if plain and len(label.encode("utf-8", "surrogatepass")) <= _MAX_BYTES:
        return label
    return f"({blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=20).hexdigest()})"
