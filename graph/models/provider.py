"""Chat models by name: one pooled HTTP client to the provider, and the offline model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from graph.context import Context
from graph.models.catalogue import OFFLINE, Catalogue
from graph.models.offline import OfflineModel
from graph.models.settings import ModelSettings

if TYPE_CHECKING:
    import openai

ALLOW_NETWORK_MODELS = True
"""Tests set this to False: a provider off this machine is then refused before a byte is sent."""

_CLIENT = "graph.models.openai_chat"
_CONNECT_SECONDS = 5.0


class Models:
    """The models of one configuration; its connections belong to one event loop."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.catalogue = Catalogue(settings.chain)
        self._offline = OfflineModel()
        self._clients: dict[str, BaseChatModel] = {}

    def candidates(self, context: Context, *, require_tools: bool = False) -> list[str]:
        """List the models to ask in a run; see `Catalogue.candidates`."""
        return self.catalogue.candidates(context, require_tools=require_tools)

    def offline(self, because: str) -> BaseChatModel:
        """Return the offline model that stands in for one that failed, and says why."""
        return OfflineModel(notice=f"No model can answer now ({because}). ")

    def chat_model(self, name: str) -> BaseChatModel:
        """Return the model of this name: the same object each time, safe to share."""
        if name == OFFLINE or self.settings.provider_url is None:
            return self._offline
        if name not in self._clients:
            self._clients[name] = self._connect(name, self.settings.provider_url)
        return self._clients[name]

    async def aclose(self) -> None:
        """Close the pooled connections, if there ever were any."""
        if "_http" in self.__dict__:
            await self._http.aclose()
        self._clients.clear()

    def _connect(self, name: str, url: str) -> BaseChatModel:
        # Half of the service's start-up time, and not needed without a provider.
        from graph.models.openai_chat import OpenAIChat

        if not ALLOW_NETWORK_MODELS and not _is_loopback(url):
            raise RuntimeError(f"Network models are refused here (ALLOW_NETWORK_MODELS): {url}")
        key = self.settings.api_key
        return OpenAIChat(
            model=name,
            base_url=url,
            # Local servers ask for no key, but the client insists on one.
            api_key=key or SecretStr("none"),
            http_async_client=self._http,
            timeout=self._http.timeout,
            stream_chunk_timeout=self.settings.stall_timeout,
            stream_usage=True,
            max_retries=0,  # the router decides who is asked next, and at once
            default_headers={"X-Title": "Everturn"},
        )

    @cached_property
    def _http(self) -> "openai.DefaultAsyncHttpxClient":
        """The connection pool that all models of the provider share."""
        import openai

        silence = self.settings.stall_timeout
        return openai.DefaultAsyncHttpxClient(
            timeout=openai.Timeout(silence, connect=min(silence, _CONNECT_SECONDS))
        )


@asynccontextmanager
async def open_models(settings: ModelSettings) -> AsyncIterator[Models]:
    """Make the models of one configuration, and close their connections at the end."""
    if settings.provider_url is not None:
        # Half a second that the first turn, and all others meanwhile, need not wait for.
        await asyncio.to_thread(import_module, _CLIENT)
    models = Models(settings)
    try:
        yield models
    finally:
        await models.aclose()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
