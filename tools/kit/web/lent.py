"""Finds the way out that a tool should use: the server's, or one of this event loop.

A server lends its own in `configurable["__everturn"]`, which reaches tools wherever they run.
Under LangGraph's development server and in scripts nobody does; then the environment decides.
"""

import asyncio
from weakref import WeakKeyDictionary

from langchain_core.runnables import ensure_config

from everturn.tools.kit.web.client import Web
from everturn.tools.kit.web.settings import WebSettings

_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Web] = WeakKeyDictionary()


def current_web() -> Web:
    """Return the way out for the tool that asks."""
    services = ensure_config().get("configurable", {}).get("__everturn") or {}
    lent: Web | None = services.get("web")
    return lent or _of_this_loop()


def _of_this_loop() -> Web:
    loop = asyncio.get_running_loop()
    if loop not in _of_loops:
        # Nobody will close it, so it keeps no connection open.
        _of_loops[loop] = Web(WebSettings(), idle=0)
    return _of_loops[loop]
