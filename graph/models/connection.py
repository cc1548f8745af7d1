"""Sending a request on a connection that may have been closed a moment ago.

A server closes a connection that was idle for a while, uvicorn's after 5 seconds, and may do so
just when the next request is on its way. Nothing failed then but the connection.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

_CONNECTING = ("connection.connect_tcp", "connection.connect_unix_socket")


async def send(http: "httpx2.AsyncClient", request: "httpx2.Request") -> "httpx2.Response":
    """Send a request and return the head of its response; on a stale connection, once more.

    Raises what the client raises on a connection that was made for this request.
    """
    import httpx2

    for last in (False, False, True):
        fresh = False

        async def trace(event: str, _: Any) -> None:
            nonlocal fresh
            fresh = fresh or event.startswith(_CONNECTING)

        request.extensions["trace"] = trace
        try:
            return await http.send(request, stream=True, follow_redirects=False)
        except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
            # A stale connection leaves the pool; there may be more than one of them in it.
            if fresh or last:
                raise
    raise AssertionError("the last attempt returns or raises")
