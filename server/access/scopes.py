"""The scopes of our own keys and tokens: the `permissions` of a caller who comes with one."""

from collections.abc import Collection
from typing import Literal, get_args

Scope = Literal["runs", "admin", "metrics"]

RUNS: Scope = "runs"
"""What users do: everything, with what is their own."""
ADMIN: Scope = "admin"
"""What operators do: everything, with what is anybody's."""
METRICS: Scope = "metrics"
"""What monitoring does: read `/metrics`."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


def holds(permissions: Collection[str], scope: Scope) -> bool:
    """Say whether somebody with these permissions has a scope."""
    return scope in permissions or ADMIN in permissions
