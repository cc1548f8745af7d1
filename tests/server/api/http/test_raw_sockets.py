"""What no HTTP client would send: each gets its 4xx or a closed connection, and no more than that.

After each of them the same connection is closed or answers the next request, not what was hidden
in this one; and the service goes on.
"""

import socket
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.service import process
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
HIDDEN = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
NEXT = b"GET /the-next-one HTTP/1.1\r\n" + HOST + b"\r\n"


def get(target: bytes, headers: bytes = HOST, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET %s %s\r\n%s\r\n" % (target, version, headers)


def post(headers: bytes, body: bytes = b"{}") -> bytes:
    return b"POST /threads HTTP/1.1\r\n%s%s\r\n%s" % (JSON, headers, body)


def chunked(body: bytes, coding: bytes = b"Transfer-Encoding: chunked\r\n") -> bytes:
    return post(coding, body)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("raw") / "data"
    with process(folder) as running:
        yield running.url()


WRONG = {
    # One request for us, two for whatever stands before us.
    "two lengths": (post(b"Content-Length: 2\r\nContent-Length: 9\r\n", b"{}" + HIDDEN), 400),
    "the same length twice": (post(b"Content-Length: 2\r\nContent-Length: 2\r\n"), 400),
    "a length and chunks": (
        post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
        400,
    ),
    "an unknown coding": (chunked(HIDDEN, b"Transfer-Encoding: xchunked\r\n"), 400),
    "chunks and no chunks": (
        chunked(HIDDEN, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        400,
    ),
    "a space before the colon": (chunked(HIDDEN, b"Transfer-Encoding : chunked\r\n"), 400),
    "a chunk of no size": (chunked(b"zz\r\n{}\r\n" + HIDDEN), 400),
    "a chunk of negative size": (chunked(b"-2\r\n{}\r\n0\r\n\r\n" + HIDDEN), 400),
    "a chunk of all the world": (chunked(b"f" * 20 + b"\r\n{}\r\n" + HIDDEN), 400),
    "a negative length": (post(b"Content-Length: -2\r\n"), 400),
    "a length in words": (post(b"Content-Length: two\r\n"), 400),
    "a length with a sign": (post(b"Content-Length: +2\r\n"), 400),
    "a length of 23 digits": (post(b"Content-Length: 99999999999999999999999\r\n"), 400),
    # Headers.
    "no colon": (get(b"/ok", HOST + b"Nonsense\r\n"), 400),
    "a space in a name": (get(b"/ok", HOST + b"X y: 1\r\n"), 400),
    "no name": (get(b"/ok", HOST + b": 1\r\n"), 400),
    "a NUL": (get(b"/ok", HOST + b"X: a\0b\r\n"), 400),
    "a folded line": (get(b"/ok", HOST + b"X: a\r\n b\r\n"), 400),
    "a bare carriage return": (get(b"/ok", HOST + b"X: a\rY: b\r\n"), 400),
    "bare line feeds": (b"GET /ok HTTP/1.1\nHost: localhost\n\n", 400),
    "no host": (get(b"/ok", b""), 421),
    "two hosts": (get(b"/ok", HOST + b"Host: other.example\r\n"), 421),
    "an empty host": (get(b"/ok", b"Host:\r\n"), 421),
    "no content type": (b"POST /invoke HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}", 422),
    "a content type of rubbish": (
        b"POST /invoke HTTP/1.1\r\n"
        + HOST
        + b"Content-Type: \xff/\xfe; =\r\nContent-Length: 2\r\n\r\n{}",
        422,
    ),
    # Versions and methods.
    "HTTP/0.9": (b"GET /ok\r\n\r\n", 421),
    "HTTP/1.0 without a host": (get(b"/ok", b"", b"HTTP/1.0"), 421),
    "HTTP/9.9": (get(b"/ok", HOST, b"HTTP/9.9"), 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a greeting of TLS": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 50, 400),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an unknown method": (b"BREW /ok HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method in small letters": (b"get /ok HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "OPTIONS of everything": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "an upgrade without a key": (
        get(b"/ok", HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        400,
    ),
    "an upgrade where there is none": (
        get(
            b"/ok",
            HOST
            + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        403,
    ),
    # Targets.
    "an absolute target that is no URL": (get(b"https://other.example:99999/ok"), 400),
    "a NUL in the target": (get(b"/o\0k"), 400),
    "a target that is no ASCII": (get(b"/\xff"), 400),
    "a space in the target": (get(b"/o k"), 400),
    "no slash": (get(b"ok"), 400),
    "an escaped NUL for an id": (get(b"/threads/%00"), 422),
    "half an escape": (get(b"/threads/%zz%f"), 422),
    "escapes that are no UTF-8": (get(b"/api/chat/session/%ff%ed%a0%80"), 404),
    "an escaped NUL in a session": (get(b"/api/chat/session/a%00b"), 404),
    "escaped line breaks": (get(b"/api/chat/session/a%0d%0aSet-Cookie:x/export"), 404),
    "a way up": (get(b"/../../etc/passwd"), 404),
    "an escaped way up": (get(b"/docs/..%2f..%2fetc%2fpasswd"), 404),
    "another host for a path": (get(b"//other.example/threads/"), 404),
    "a query that is no UTF-8": (get(b"/store/items?namespace=%ff&key=%00"), 400),
    "a target of 200 kB": (get(b"/" + b"a" * 200_000), 431),
}


@pytest.mark.parametrize(("raw", "status"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_gets_one_answer(url: str, raw: bytes, status: int) -> None:
    with connected(url) as connection:
        connection.sendall(raw)
        answered, body = read(connection)
        assert answered == status, body
        assert b"Traceback" not in body
        if b"Upgrade: websocket" not in raw:  # those are of another protocol
            assert b'"detail"' in body
        assert goes_on_or_is_closed(connection)
    with connected(url) as another:
        another.sendall(get(b"/ok"))
        assert read(another) == (200, b'{"ok":true}')


RIGHT = {
    "an absolute target": get(b"http://localhost/ok"),
    "an upgrade that is not taken": get(b"/ok", HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    "a body where none is read": get(b"/ok", HOST + b"Content-Length: 2\r\n") + b"{}",
    "a trailer, which is no header": chunked(
        b"2\r\n{}\r\n0\r\nHost: other.example\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTrailer: Host\r\n",
    ),
    "chunks": chunked(b"1;name=value\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("raw", RIGHT.values(), ids=RIGHT)
def test_an_odd_request_that_is_right(url: str, raw: bytes) -> None:
    with connected(url) as connection:
        connection.sendall(raw)
        assert read(connection)[0] == 200
        assert goes_on_or_is_closed(connection)


def connected(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE)


def read(connection: socket.socket) -> tuple[int, bytes]:
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def goes_on_or_is_closed(connection: socket.socket) -> bool:
    """Whether the next answer is to the next request, or there is none."""
    try:
        connection.sendall(NEXT)
        status, body = read(connection)
    except (OSError, HTTPException):
        return True
    return status == 404 and b"/the-next-one" in body
