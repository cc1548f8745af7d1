"""What browsers and caches are told with every answer, unless the answer says it otherwise.

Nothing is taken for another type than it says, shown in another site's frame, or named to a site
that a link leads to. No cache keeps data, and no page of another origin can take it in as a script
or a picture: it could not read it, but would learn whether it is there.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DATA = (
    *(b"application/json", b"application/problem+json", b"application/x-ndjson"),
    *(b"text/event-stream", b"text/plain", b"text/markdown"),
)
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_NO_FRAME = (b"x-frame-options", b"DENY")
_NOT_EMBEDDED = (b"cross-origin-resource-policy", b"same-origin")
_NOT_CACHED = (b"cache-control", b"no-store")
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """Middleware: adds these headers to answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] in _STARTS:
                said = list(message.get("headers", ()))
                # The service speaks HTTP alone: a trusted proxy says that there was TLS.
                https = scope["scheme"] in {"https", "wss"}
                message["headers"] = [*said, *_missing(said, https=https)]
            await send(message)

        await self.app(scope, receive, with_headers)


def _missing(said: list[tuple[bytes, bytes]], *, https: bool) -> list[tuple[bytes, bytes]]:
    names = {name.lower(): value for name, value in said}
    wanted = [*_ALWAYS, _HTTPS_ONLY] if https else list(_ALWAYS)
    if b"frame-ancestors" not in names.get(b"content-security-policy", b""):
        wanted.append(_NO_FRAME)
    if names.get(b"content-type", b"").startswith(_DATA):
        wanted.append(_NOT_EMBEDDED)
        if b"etag" not in names:  # which asks caches to look whether it has changed
            wanted.append(_NOT_CACHED)
    return [header for header in wanted if header[0] not in names]
