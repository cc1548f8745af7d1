"""Who may not come in is answered before a body is read, however long it is or takes."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.server.access.project import data, url
from tests.waiting import PATIENCE

__all__ = ["data", "url"]

_HEAD = (
    "POST /threads HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{body}{user}\r\n"
)


def answer(url: str, body: str, *, user: str = "", then: bytes = b"") -> tuple[int, object]:
    """Send a head, and of the body only the beginning; return the status and the JSON."""
    there = urlsplit(url)
    address = (str(there.hostname), int(there.port or 0))
    said = f"Authorization: Bearer {user}\r\n" if user else ""
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        head = _HEAD.format(host=there.netloc, body=body, user=said)
        connection.sendall(head.encode() + then)
        with connection.makefile("rb") as lines:
            status = int(lines.readline().split()[1])
            fields = dict(
                line.decode().strip().split(": ", 1) for line in iter(lines.readline, b"\r\n")
            )
            found = lines.read(int(fields["content-length"]))
    return status, json.loads(found)


@pytest.mark.parametrize(
    ("body", "then"),
    [
        ("Content-Length: 3000000\r\n", b""),
        ("Content-Length: 3000000\r\n", b'{"metadata": {'),
        ("Transfer-Encoding: chunked\r\n", b'5\r\n{"met\r\n'),
        ("Content-Length: 10\r\nExpect: 100-continue\r\n", b""),
    ],
)
@pytest.mark.parametrize("user", ["", "nobody-knows"])
def test_a_stranger_is_answered_at_once(url: str, body: str, then: bytes, user: str) -> None:
    status, problem = answer(url, body, user=user, then=then)
    assert status == 401
    assert isinstance(problem, dict)
    assert problem["type"] == "unauthorized"


def test_a_user_is_waited_for(url: str) -> None:
    status, thread = answer(url, "Content-Length: 2\r\n", user="alice", then=b"{}")
    assert status == 200
    assert isinstance(thread, dict)
    assert thread["thread_id"]
