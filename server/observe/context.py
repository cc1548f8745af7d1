"""What every line of the log says of where it comes from, without being told.

structlog's context variables carry it, which tasks inherit: `request_id`, bound as a request comes
in, and `thread_id`, `run_id` and `caller`, bound where a run is executed.
"""

import hmac
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from structlog.contextvars import bound_contextvars

from everturn.server.access.caller import Caller

_CHARACTERS = 16

_key = b"everturn"
_client: ContextVar[str | None] = ContextVar("client_address", default=None)


def hash_callers_by(key: str) -> None:
    """Hash callers by a key from now on: the same in all processes of an installation.

    Without one, `""`, they are hashed all the same; who knows a name finds its hash.
    """
    global _key  # noqa: PLW0603 - the log has one for the process
    _key = key.encode() or b"everturn"


def caller_hash(caller: Caller | None) -> str | None:
    """Return what the log says in place of a caller's name; None is everybody, or the service."""
    if caller is None:
        return None
    return hmac.digest(_key, caller.identity.encode(), "sha256").hex()[:_CHARACTERS]


def run_named(run_id: str, thread_id: str, caller: Caller | None) -> AbstractContextManager[Any]:
    """Have each line of the log that is written in this block name the run."""
    return bound_contextvars(run_id=run_id, thread_id=thread_id, caller=caller_hash(caller))


def seen_from(scope: MutableMapping[str, Any]) -> None:
    """Remember from where a request comes: the ASGI scope's `client`, as proxies say it."""
    client = scope.get("client")
    _client.set(str(client[0]) if client else None)


def client_address() -> str | None:
    """Return from where the current request comes; None outside of any."""
    return _client.get()
