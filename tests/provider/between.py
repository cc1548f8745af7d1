"""What stands between a client and a provider: a TLS server in front of it, or a forward proxy."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break off are no news."""


class TlsFront(_Server):
    """Speaks TLS and passes on what it reads to a plain server on loopback."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.target = ("127.0.0.1", port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", 0), _Passing)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}/v1"

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


class _Passing(StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, TlsFront)
        with socket.create_connection(self.server.target) as target:
            _join(self.connection, target)


class ForwardProxy(_Server):
    """Opens tunnels (RFC 9110, 9.3.6) and passes on plain requests (RFC 9112, 3.2.2)."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.asked: list[str] = []
        self.refusal = refusal
        super().__init__(("127.0.0.1", 0), _Forwarding)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Forwarding(StreamRequestHandler):
    rbufsize = 0  # what follows the headers is left in the socket

    def handle(self) -> None:
        proxy = self.server
        assert isinstance(proxy, ForwardProxy)
        line = self.rfile.readline()
        method, place, version = line.split()
        proxy.asked.append(f"{method.decode()} {place.decode()}")
        headers = b""
        while (header := self.rfile.readline()) not in {b"\r\n", b""}:
            headers += header
        if proxy.refusal:
            self.wfile.write(b"HTTP/1.1 " + proxy.refusal + b"\r\nContent-Length: 0\r\n\r\n")
            return
        url = urlsplit(b"//" + place if method == b"CONNECT" else place)
        assert url.hostname
        assert url.port
        with socket.create_connection((url.hostname.decode(), url.port)) as target:
            if method == b"CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                first = b" ".join((method, url.path, version))
                target.sendall(first + b"\r\n" + headers + b"Connection: close\r\n\r\n")
            _join(self.connection, target)


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass on what each of two sockets says, until one of them has nothing more to say."""

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=pass_on, args=(other, one), daemon=True)
    back.start()
    pass_on(one, other)
    back.join()


@contextlib.contextmanager
def running(server: BaseServer) -> Iterator[None]:
    """Let a server answer while the block runs."""
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
