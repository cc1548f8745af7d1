"""Finds the `Web` that a tool should use: the server's, or one of this event loop.

A server shares its own in `configurable["__everturn"]`, which reaches tools wherever they run.
LangGraph's development server and scripts share none; there the environment decides.
"""

import asyncio
from weakref import WeakKeyDictionary

from everturn.tools.kit.web.client import Web
from everturn.tools.kit.web.settings import WebSettings

SERVICES_KEY = "__everturn"
"""Of `configurable`, where a server puts what it shares; see `graph.services`."""

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Web] = WeakKeyDictionary()


async def current_web() -> Web:
    """Return the `Web` for the tool that calls this.

    Raises:
        ValidationError: without a server, the settings of the environment are wrong.
    """
    from langchain_core.runnables import ensure_config  # half a second, which settings do without

    services = ensure_config().get("configurable", {}).get(SERVICES_KEY) or {}
    shared: Web | None = services.get("web")
    return shared or await _of_this_loop()


async def _of_this_loop() -> Web:
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        settings = await asyncio.to_thread(WebSettings)  # reads `.env`
        # Nothing closes it at the end, so it keeps no connection open. Of two calls that come
        # here at once, both use the first one's.
        _by_loop.setdefault(loop, Web(settings, idle=0))
    return _by_loop[loop]
