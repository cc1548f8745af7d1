"""What is told to who asks a process whose application is gone."""

import socket

import httpx
import pytest

from everturn.server.cli.refusing import refusing


@pytest.mark.parametrize("size", [0, 3_000_000])
async def test_each_request_is_told_to_come_back(size: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/threads"
    async with refusing(listener), httpx.AsyncClient() as http:
        listener.close()
        for _ in range(2):
            answer = await http.post(url, content=b"x" * size)
            assert (answer.status_code, answer.json()["status"]) == (503, 503)
            assert answer.json()["type"] == "shutting-down"
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["connection"] == "close"
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(url)
