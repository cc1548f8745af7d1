"""A store is away while a stream follows a run elsewhere: its client comes back."""

from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request

from everturn.checkpoints.errors import StoreUnavailable
from everturn.server.api.http.hang_up import HANG_UP
from everturn.server.api.http.sse import EventStream


async def _frames() -> AsyncGenerator[bytes]:
    yield b"event: values\r\n\r\n"
    raise StoreUnavailable("The database does not answer.")


def _request(**more: Any) -> Request:
    service = SimpleNamespace(settings=SimpleNamespace(shutdown_grace=1))
    app = SimpleNamespace(state=SimpleNamespace(service=service))
    return Request({"type": "http", "app": app, **more})


async def test_the_connection_is_cut_and_the_client_has_not_left() -> None:
    said: list[str] = []
    request = _request(**{HANG_UP: lambda: said.append("hung up")})
    stream = EventStream(request, _frames(), on_leave=lambda: said.append("left"))
    assert [each async for each in stream.body_iterator] == [b"event: values\r\n\r\n"]
    assert said == ["hung up"]


async def test_where_none_can_be_cut_the_stream_does_not_end_in_good_order() -> None:
    stream = EventStream(_request(), _frames())
    with pytest.raises(StoreUnavailable):
        [each async for each in stream.body_iterator]
