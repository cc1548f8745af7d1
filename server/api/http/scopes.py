"""Which scope each route needs, where callers come with keys of ours: the one table of it."""

from collections.abc import Callable, Mapping

from everturn.server.access.scopes import ADMIN, METRICS, RUNS, Scope
from everturn.server.api.http.authentication import is_open

NEEDED: Mapping[str, Scope] = {
    "/metrics": METRICS,
    "/api/now": METRICS,
    "/api/users": ADMIN,
    "/api/webhooks": ADMIN,
}
"""By path, for it and all that is below. What is not here, and not open, needs `runs`."""


def scopes_by_path(*, open_metrics: bool) -> Callable[[str], Scope | None]:
    """Return what says which scope a path needs: None where it is open to everybody."""

    def scope_of(path: str) -> Scope | None:
        if open_metrics and path == "/metrics":
            return None
        for place, scope in NEEDED.items():
            if path == place or path.startswith(f"{place}/"):
                return scope
        return None if is_open(path) else RUNS

    return scope_of
