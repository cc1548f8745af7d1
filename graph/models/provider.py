"""Chat models by name: one pooled HTTP client to the provider, and the offline model."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from everturn.graph.context import Context
from everturn.graph.models.blocks import Medium
from everturn.graph.models.bounds import ACCEPTED, loads, text_of
from everturn.graph.models.breaker import Breaker, SharedCircuits, Vitals
from everturn.graph.models.catalogue import OFFLINE, Catalogue, Model
from everturn.graph.models.circuits import View, media_of, tools_of, worst
from everturn.graph.models.failures import CallFailed, Failure, failure_of
from everturn.graph.models.settings import ModelSettings
from everturn.graph.models.traits import Traits
from everturn.graph.models.transport import certificates_for_providers, endpoint, open_client
from everturn.graph.models.wire import redirected, refusal_of
from everturn.graph.offline import OfflineModel

if TYPE_CHECKING:
    import httpx2

    from everturn.graph.models.openai_chat import OpenAIChat

ALLOW_NETWORK_MODELS = True
"""Tests set this to False: a provider off this machine is then refused before a byte is sent."""

_CONNECT_SECONDS = 5.0
_CATALOGUE_SECONDS = 30.0
_EMBEDDING_SECONDS = 10.0
_MAX_COST = 1e6
"""US dollars; what is more is no price."""
_MAX_CATALOGUE = 16 * 2**20
"""Bytes; OpenRouter's has half a megabyte."""


class Embedded(NamedTuple):
    """Vectors of texts, and what they took as the provider counts it."""

    vectors: list[list[float]]
    tokens: int | None
    cost: float | None
    """US dollars."""


class Models:
    """The models of one configuration; its connections belong to one event loop."""

    def __init__(self, settings: ModelSettings, shared: SharedCircuits | None = None) -> None:
        self.settings = settings
        self.catalogue = Catalogue(settings.chain)
        self.breaker = Breaker(shared)
        self._offline = OfflineModel()
        if settings.unfinished:
            self._offline = self.offline(settings.unfinished)
        self.newest_failure: Failure | None = None
        """What a model failed with last; the reason while the circuits are open."""
        self.embedded: Callable[[str, int, float], None] = lambda model, tokens, dollars: None
        """Called with what vectors of texts took."""
        self._clients: dict[str, OpenAIChat] = {}

    def select(
        self, context: Context, *, require_tools: bool = False, media: Collection[Medium] = ()
    ) -> list[Model]:
        """List the models to ask in a run; see `Catalogue.candidates`."""
        return self.catalogue.candidates(
            context, require_tools=require_tools, media=media, vitals=self.breaker.vitals
        )

    def candidates(
        self, context: Context, *, require_tools: bool = False, media: Collection[Medium] = ()
    ) -> list[str]:
        """Name the models to ask in a run, the first choice first; raises as `select` does."""
        found = self.select(context, require_tools=require_tools, media=media)
        return [model.name for model in found]

    def first_wish(self, context: Context) -> str | None:
        """Name the model that the caller wants to be asked first, if any is named."""
        wanted = [context.model] if isinstance(context.model, str) else context.model
        return wanted[0] if wanted else None

    async def overview(self) -> list[dict[str, Any]]:
        """Describe every model a caller may name, with its circuit and latency; fit for JSON."""
        view = await self.breaker.view()
        return [self._described(model, view) for model in self.catalogue.models]

    async def health(self, called: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """Say how models are doing, fit for JSON: the configured ones, and others by name.

        `models` are these; `breakers` are all circuits that are not closed, also those of keys.
        """
        view = await self.breaker.view()
        names = dict.fromkeys([*self.catalogue.names, *called])
        return {
            "models": [self._health(name, view) for name in names],
            "breakers": [
                {"subject": each.subject, "state": each.state, "retry_after": each.seconds or None}
                for each in view.values()
            ],
        }

    def _health(self, name: str, view: View) -> dict[str, Any]:
        """Describe a model, which a graph of the user's may have asked without our knowing it."""
        model = self.catalogue[name] if name in self.catalogue else Model(name)
        circuit = worst(view, model.circuits(tools=False))
        vitals = self.breaker.vitals.get(name, Vitals())
        return {
            "name": name,
            "circuit": circuit.state,
            "retry_after": circuit.seconds or None,
            "latency": vitals.latency,
            "failing": vitals.failing,
        }

    async def refresh(self) -> int:
        """Read the provider's `GET /models` into the catalogue; return how many it lists.

        Raises:
            CallFailed: it did not answer, or not with a list; the catalogue stays as it was.
        """
        url = self.settings.provider_url
        if url is None:
            return 0
        self._check(url)
        try:
            async with asyncio.timeout(_CATALOGUE_SECONDS):  # all of it, however it trickles in
                listed = await self._listed(url)
            self.catalogue.update(listed)
        except Exception as error:
            raise CallFailed(failure_of(error)) from error
        return len(listed)

    async def embed(self, name: str, texts: list[str]) -> "Embedded":
        """Have the provider's `POST /embeddings` make a vector for each text.

        Raises:
            CallFailed: it did not answer, or not with a vector for each.
        """
        url = str(self.settings.provider_url)
        self._check(url)
        body = {"model": name, "input": texts, "encoding_format": "float"}
        try:
            async with asyncio.timeout(_EMBEDDING_SECONDS):
                answer = await self._asked(url, "POST", "embeddings", body)
            return _embedded(answer, len(texts))
        except Exception as error:
            raise CallFailed(failure_of(error)) from error

    async def _listed(self, url: str) -> list[Any]:
        listed: list[Any] = (await self._asked(url, "GET", "models", None))["data"]
        return listed

    async def _asked(self, url: str, method: str, path: str, body: object) -> dict[str, Any]:
        """Return what the provider answers, if it is JSON."""
        key = self.settings.api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        headers["Accept-Encoding"] = ACCEPTED
        request = self._http.build_request(method, endpoint(url, path), headers=headers, json=body)
        response = await self._http.send(request, stream=True, follow_redirects=False)
        if response.is_redirect:
            await response.aclose()
            raise redirected(response)
        if response.is_error:
            raise await refusal_of(response)
        try:
            answer: dict[str, Any] = loads(await text_of(response, _MAX_CATALOGUE))
        finally:
            await response.aclose()
        return answer

    def offline(self, because: str) -> OfflineModel:
        """Return the offline model that stands in for one that failed, and says why."""
        return OfflineModel(notice=f"No model can answer now ({because}). ")

    def chat_model(self, name: str) -> BaseChatModel:
        """Return the model of this name: the same object each time, safe to share."""
        if name == OFFLINE or self.settings.provider_url is None:
            return self._offline
        return self.network_model(name)

    def network_model(self, name: str) -> "OpenAIChat":
        """Return the provider's model of this name; there must be a provider."""
        self._check(str(self.settings.provider_url))
        if name not in self._clients:
            own = {"model_name": name, "traits": Traits()}
            self._clients[name] = self._any_model.model_copy(update=own)
        client = self._clients[name]
        client.traits.listed = self.catalogue.parameters(name)
        return client

    async def aclose(self) -> None:
        """Close the pooled connections, if there ever were any."""
        if "_http" in self.__dict__:
            await self._http.aclose()
        self._clients.clear()

    def connect(self) -> None:
        """Make ready to ask the provider: half a second that no turn should wait for.

        Raises:
            WrongTransport: a file of certificates or the proxy cannot be used.
        """
        if self.settings.provider_url is not None:
            self._any_model  # noqa: B018 - made at its first use

    @cached_property
    def _any_model(self) -> "OpenAIChat":
        """What all models of the provider have in common: they are copies of it, by their names.

        A client of its own for each would load the system's certificates each time, which takes
        longer than a failing model does to be answered by the next.
        """
        # Half of the service's start-up time, and not needed without a provider.
        import httpx2

        from everturn.graph.models.openai_chat import OpenAIChat

        key = self.settings.api_key
        return OpenAIChat(
            model="any",
            base_url=str(self.settings.provider_url),
            # Local servers ask for no key, but the client insists on one.
            api_key=key or SecretStr("none"),
            authenticated=key is not None,
            # Never asked; LangChain would make one, and read the system's certificates for it.
            http_client=httpx2.Client(verify=certificates_for_providers(), trust_env=False),
            http_async_client=self._http,
            timeout=self._http.timeout,
            first_token_timeout=self.settings.first_token_timeout,
            stall_timeout=self.settings.stall_timeout,
            max_answer_size=self.settings.max_answer_size,
            max_retries=0,  # the router decides who is asked next, and at once
            default_headers={"X-Title": "Everturn"},
        )

    @cached_property
    def _http(self) -> "httpx2.AsyncClient":
        """The connection pool that all models of the provider share; it waits under our clocks."""
        import httpx2

        connect = min(self.settings.first_token_timeout, _CONNECT_SECONDS)
        timeout = httpx2.Timeout(None, connect=connect)
        return open_client(str(self.settings.provider_url), timeout)

    def _described(self, model: Model, view: View) -> dict[str, Any]:
        return {
            "configured": model.name in self.catalogue.names,
            "tools": model.tools and tools_of(model.name) not in view,
            "pictures": model.takes("image") and media_of(model.name, "image") not in view,
            "free": model.free,
            "context": model.context,
            "price": model.price,
            **self._health(model.name, view),
        }

    def _check(self, url: str) -> None:
        if not ALLOW_NETWORK_MODELS and not _is_loopback(url):
            raise RuntimeError(f"Network models are refused here (ALLOW_NETWORK_MODELS): {url}")


@asynccontextmanager
async def open_models(
    settings: ModelSettings, shared: SharedCircuits | None = None
) -> AsyncIterator[Models]:
    """Make the models of one configuration, and close their connections at the end.

    `shared` is where several processes see each other's open circuits; they must be those of the
    same `settings.account`.

    Raises:
        WrongTransport: a file of certificates or the proxy cannot be used; says what to do.
    """
    models = Models(settings, shared)
    await asyncio.to_thread(models.connect)
    try:
        yield models
    finally:
        await models.aclose()


def _embedded(answer: dict[str, Any], count: int) -> Embedded:
    ordered = sorted(answer["data"], key=lambda each: int(each["index"]))
    vectors = [[float(value) for value in each["embedding"]] for each in ordered]
    if len(vectors) != count:
        raise ValueError(f"{len(vectors)} vectors came for {count} texts")
    usage = answer.get("usage")
    known = usage if isinstance(usage, dict) else {}
    tokens, cost = known.get("total_tokens"), known.get("cost")
    return Embedded(
        vectors,
        tokens if isinstance(tokens, int) and tokens >= 0 else None,
        float(cost) if isinstance(cost, int | float) and 0 <= cost < _MAX_COST else None,
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
