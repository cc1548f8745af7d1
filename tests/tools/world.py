"""A piece of the world on loopback: a real HTTP server that says what a test wants it to say."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpcore2
from langchain_core.runnables import RunnableConfig
from pydantic_settings import SettingsConfigDict

from everturn.tools.kit.web import Web
from everturn.tools.kit.web.addresses import Address
from everturn.tools.kit.web.connections import Internet
from everturn.tools.kit.web.settings import WebSettings
from tests.waiting import PATIENCE

PUBLIC = "93.184.215.14"


@dataclass(frozen=True)
class Request:
    """What came."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What goes back: headers as given, then the pieces of the body as they come."""

    body: bytes | Iterator[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Reply]


class World:
    """A server that answers by path; other paths are answered with 404."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._answers: dict[str, Answer] = {}
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                world.connections += 1
                super().setup()

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(url.query).items()}
                request = Request(url.path, query, dict(self.headers.items()))
                world.requests.append(request)
                self.close_connection = True  # where no reply says otherwise
                with suppress(ConnectionError, ssl.SSLError):
                    self._send(world.answer(request))

            def do_POST(self) -> None:
                world.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.do_GET()

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                whole = isinstance(reply.body, bytes)
                length = {"Content-Length": str(len(reply.body))} if whole else {}  # type: ignore[arg-type]
                self.close_connection = not whole
                for name, value in {**length, **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                    self.wfile.write(piece)

            def log_request(self, code: Any = "-", size: Any = "-") -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def at(self, path: str, answer: Answer | Reply) -> None:
        """Say this at a path from now on."""
        self._answers[path] = (lambda _: answer) if isinstance(answer, Reply) else answer

    def answer(self, request: Request) -> Reply:
        """Answer as the test said."""
        answer = self._answers.get(request.path)
        return answer(request) if answer else Reply(status=404)

    def silence(self, request: Request) -> Reply:
        """Say nothing until the test is over."""
        self.over.wait(PATIENCE)
        raise ConnectionError

    def hang_up(self, request: Request) -> Reply:
        """Close the connection without a word."""
        raise ConnectionError


class Names:
    """A network in which a table says where names lead; public addresses lead to a `World`."""

    def __init__(self, world: World | None, table: Mapping[str, str | list[str]]) -> None:
        self.world = world
        self.table = dict(table)
        self.looked_up: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    async def resolve(self, host: str) -> list[Address]:
        self.looked_up.append(host)
        found = self.table.get(host)
        if found is None:
            raise httpcore2.ConnectError(f"no address is known for {host}")
        return [ip_address(each) for each in ([found] if isinstance(found, str) else found)]

    async def dial(self, address: Address, port: int) -> httpcore2.AsyncNetworkStream:
        self.dialled.append((str(address), port))
        if self.world is None:
            raise httpcore2.ConnectError("nobody is there")
        return await Internet().dial(ip_address("127.0.0.1"), self.world.port)


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(
        json.dumps(value).encode(),
        status,
        {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()},
    )


class BareSettings(WebSettings):
    """Settings that no `.env` of the developer reaches."""

    model_config = SettingsConfigDict(env_file=None)


def settings(world: World | None = None, **values: Any) -> BareSettings:
    """Settings whose services are all at one `World`, or at a port where nobody listens."""
    url = world.url if world else "http://127.0.0.1:9"
    services = {
        "open_meteo_url": url,
        "open_meteo_geocoding_url": url,
        "wttr_url": f"{url}/wttr",
        "wikipedia_url": f"{url}/wiki/{{language}}",
        "tools_offline": "auto",
        "web_timeout": PATIENCE,
        "fetch_timeout": PATIENCE,
    }
    return BareSettings(**{**services, **values})


def sharing(web: Web) -> RunnableConfig:
    """The config of a run to which a server shares its way out."""
    return {"configurable": {"__everturn": {"web": web}}}
