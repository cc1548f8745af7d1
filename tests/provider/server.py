"""The fake provider as a server: a port on loopback, a thread with a loop of its own, a record."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self
from zlib import crc32

import uvicorn
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from tests.provider.echo import echo
from tests.provider.errors import MESSAGES
from tests.provider.exchange import Connection, Exchange
from tests.provider.offer import Offer
from tests.provider.profiles import load
from tests.provider.rules import Refusal
from tests.provider.script import Answer, Fault, Request, Step, resolve
from tests.provider.transmission import transmit

ANY_MODEL = "*"
KEY = "sk-test"
DIMENSIONS = 64
"""Of the vectors that `by_words` makes."""


def by_words(text: str) -> list[float]:
    """A vector in which texts with the same words are near."""
    vector = [0.0] * DIMENSIONS
    for word in text.lower().split():
        vector[crc32(word.strip(".,?!").encode()) % DIMENSIONS] += 1
    return vector


class FakeProvider:
    """Serves `url` (which ends in /v1) from `start` to `stop`, or inside a `with` block.

    Stopped and started again it keeps its port, so that a client meets refused connections in
    between. Every request must bring the `key`, or it gets a 401. The `profile` is the name of one
    in `tests/provider/profiles`: it refuses what that provider refuses, and speaks as it does.
    """

    def __init__(self, port: int = 0, *, key: str = KEY, profile: str = "openrouter") -> None:
        self.requests: list[Request] = []
        self.keyless: list[str] = []  # paths of requests that brought no key at all
        self.key = key
        self.profile = load(profile)
        self._port = port
        self.embed: Callable[[str], Sequence[float]] | int = by_words
        """Makes the vector of a text; a number is a status that refuses all."""
        self.embedded: list[str] = []
        self.embedding_usage: dict[str, Any] = {}
        self._offers: dict[str, Offer] = {}
        self._scripts: dict[str, tuple[Step, ...]] = {ANY_MODEL: (echo,)}
        self._numbers: Counter[str] = Counter()
        self._running = ExitStack()
        self._refusing = socket.socket()  # bound, never listening: whoever connects is refused
        self._refusing.bind(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def refused_url(self) -> str:
        """The URL of a port nobody listens on, and nobody can take while this object lives."""
        return f"http://127.0.0.1:{self._refusing.getsockname()[1]}/v1"

    def offer(self, *offers: Offer) -> None:
        """List these models in the catalogue, with what they can do and cost."""
        self._offers |= {offer.id: offer for offer in offers}

    def script(self, model: str, *steps: Step) -> None:
        """Answer a model's calls so; the last step stays. "*" is any model without a script."""
        self._scripts[model] = steps or (echo,)
        self._numbers[model] = 0
        if model != ANY_MODEL:
            self._offers.setdefault(model, Offer(model))

    def calls(self, model: str | None = None) -> int:
        """How many calls came, of one model or of all."""
        return sum(model in {None, request.model} for request in self.requests)

    def start(self) -> None:
        portal = self._running.enter_context(start_blocking_portal())
        self._running.enter_context(portal.wrap_async_context_manager(self._listening()))

    def stop(self) -> None:
        """Close the port and break off the calls under way. Does nothing when not started."""
        self._running.close()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuse every connection while the block runs."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._refusing.close()

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        # uvicorn's protocol without its Server, which takes 0.2 s to stop and waits for answers
        # under way; here servers come and go with every test, and answers stall on purpose.
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._list),
            Route("/v1/embeddings", self._embed, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), lifespan="off", log_config=None, timeout_keep_alive=60
        )
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(config, state, {}, loop), "127.0.0.1", self._port
        )
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for connection in list(state.connections):
                connection.transport.abort()
            await asyncio.gather(*state.tasks)

    async def _complete(self, http: HTTPRequest) -> Exchange:
        body = await http.json()
        model = body["model"]
        request = Request(
            model, body, dict(http.headers), self._numbers[model], earlier=self.requests
        )
        self.requests.append(request)
        answer = self._answer(request) if self._admits(http) else Fault(401)
        if isinstance(answer, Refusal):
            request.refused = answer.message
        else:
            request.served = answer
            self._numbers[model] += 1
        offer = self._offers.get(model) or Offer(model)
        return Exchange(request, transmit(request, answer, offer, self.profile))

    def _answer(self, request: Request) -> Answer | Refusal:
        """A refused request is no step of the script."""
        if refusal := self.profile.refusal(request):
            return refusal
        steps = self._scripts.get(request.model) or self._scripts[ANY_MODEL]
        return resolve(steps[min(request.number, len(steps) - 1)], request)

    async def _embed(self, http: HTTPRequest) -> JSONResponse:
        body = await http.json()
        assert body.keys() == {"model", "input", "encoding_format"}
        assert body["encoding_format"] == "float"
        status = self.embed if isinstance(self.embed, int) else 200
        if not self._admits(http):
            status = 401
        if status != 200 or isinstance(self.embed, int):
            return JSONResponse({"error": {"message": "refused", "code": status}}, status)
        texts: list[str] = body["input"]
        assert texts
        assert all(texts)
        self.embedded += texts
        data = [
            {"object": "embedding", "index": number, "embedding": list(self.embed(text))}
            for number, text in enumerate(texts)
        ]
        # Their order is not promised: the index says which is which.
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, **self.embedding_usage}
        answer = {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}
        return JSONResponse(answer)

    async def _list(self, http: HTTPRequest) -> JSONResponse:
        if not self._admits(http):
            return JSONResponse({"error": {"message": MESSAGES[401], "code": 401}}, 401)
        return JSONResponse({"data": [offer.listed() for offer in self._offers.values()]})

    def _admits(self, http: HTTPRequest) -> bool:
        given = http.headers.get("authorization")
        if given is None:
            self.keyless.append(http.url.path)
        return given == f"Bearer {self.key}"
