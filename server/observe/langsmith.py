"""LangSmith, to which LangChain sends what runs do where `LANGSMITH_TRACING` says so.

All of that is LangChain's. It leaves two things to the process around it: secrets in a run's config
go along as metadata, unless their name is `api_key`, and threads that cannot send keep the process
from ending.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from structlog import get_logger

from everturn.checkpoints.confidential import split
from everturn.server.observe.flush import flushed

log = get_logger(__name__)


@asynccontextmanager
async def open_langsmith() -> AsyncIterator[None]:
    """Set LangSmith's client up before the first run, and send the rest at the end.

    Does nothing where its tracing is off.
    """
    from langsmith.utils import get_env_var, tracing_is_enabled

    if not tracing_is_enabled():
        yield
        return
    from langsmith.run_trees import get_cached_client

    os.environ.setdefault("LANGSMITH_USE_DAEMON", "true")
    hidden = get_env_var("HIDE_METADATA", default="") == "true"  # all of it
    client = get_cached_client(hide_metadata=hidden or without_secrets)
    try:
        yield
    finally:
        if not await flushed(client.flush):
            log.warning("langsmith_runs_lost", advice="LangSmith does not answer")


def without_secrets(metadata: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is a secret by its name."""
    return split(metadata).shown
