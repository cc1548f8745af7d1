"""Bodies of too many values are refused before they are parsed.

Bytes do not bound the time that JSON takes: four megabytes of text are read at once, four megabytes
of `[],[],[]…` are a million objects to make, check and write, while every other request waits.
"""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everturn.server.api.http.problems import (
    Problem,
    content_too_large,
    problem_response,
)
from everturn.server.api.http.values import MAX_VALUES

_TOO_MANY = Problem(
    type="invalid-request",
    title=HTTPStatus(422).phrase,
    status=422,
    detail=f"body: must not have more than {MAX_VALUES} values; send it in parts",
)


class BodyValuesLimit:
    """Middleware: answers 422 to JSON of more than `MAX_VALUES` values.

    It stands behind what bounds the bytes, as it holds a body until it is counted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_have_many(scope):
            return await self.app(scope, receive, send)
        try:
            body, again = await read_whole(receive)
        except HTTPException as error:
            if error.status_code != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise
            refusal = problem_response(content_too_large(scope[MAX_BODY_SIZE_SCOPE_KEY]))
            return await refusal(scope, receive, send)
        if await asyncio.to_thread(has_more_values, body, MAX_VALUES):
            return await problem_response(_TOO_MANY)(scope, receive, send)
        return await self.app(scope, again, send)


def has_more_values(body: bytes, most: int) -> bool:
    """Whether JSON has more values than so many; it need not be valid JSON.

    What opens a list or an object, and each comma, has a value behind it, unless it is in a text.
    """
    if _count(body) <= most:
        return False
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 4 * most:  # more than a key and a text for each value
        return True
    return _count(b"".join(bare.split(b'"')[::2])) > most


def _count(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _may_have_many(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    return "transfer-encoding" in headers or (length.isdecimal() and int(length) > MAX_VALUES)


async def read_whole(receive: Receive) -> tuple[bytes, Receive]:
    """Read a body to its end, or until its client leaves; also return what gives it once more.

    Raises:
        HTTPException: it is too large; only before `BodyValuesLimit` has let it pass.
    """
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    waiting = iter(messages)

    async def again() -> Message:
        return next(waiting, None) or await receive()

    return b"".join(message.get("body", b"") for message in messages), again
