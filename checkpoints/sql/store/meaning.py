"""Search by meaning: texts become vectors, and near vectors mean the like.

Vectors lie in rows and are compared by NumPy, exactly and one namespace at a time. That needs no
extension in the database, and is meant for up to some ten thousand vectors under one prefix.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import IndexConfig, PutOp, ensure_embeddings, get_text_at_path

from everturn.checkpoints.errors import StoreMisconfigured

_WHOLE_ITEM = "$"


class Meaning:
    """The `store.index` of langgraph.json, ready for use."""

    def __init__(self, config: IndexConfig) -> None:
        """Take LangGraph's index config.

        Raises:
            StoreMisconfigured: NumPy is not there, or the config says too little.
        """
        try:
            import numpy as np
        except ImportError as error:
            raise StoreMisconfigured(
                "store.index: search by meaning needs NumPy: pip install 'everturn[search]'"
            ) from error
        self._numpy = np
        self._fields = list(config.get("fields") or [_WHOLE_ITEM])
        self._dims = config.get("dims", 0)
        try:
            self._embeddings: Embeddings = ensure_embeddings(config.get("embed"))
        except (ValueError, ImportError) as error:
            raise StoreMisconfigured(f"store.index.embed: {error}") from error

    async def of_queries(self, queries: Iterable[str]) -> dict[str, Any]:
        """Return a vector for each query."""
        distinct = list(dict.fromkeys(queries))
        vectors = [await self._embeddings.aembed_query(query) for query in distinct]
        return dict(zip(distinct, self._unit(vectors), strict=True))

    async def of_items(
        self, puts: Sequence[tuple[PutOp, Mapping[str, Any]]]
    ) -> list[dict[str, bytes]]:
        """Return the vectors of each item by the path of their text, all embedded in one call."""
        texts = [self._texts(op, value) for op, value in puts]
        distinct = list(dict.fromkeys(text for found in texts for text in found.values()))
        if not distinct:
            return [{} for _ in puts]
        rows = self._unit(await self._embeddings.aembed_documents(distinct))
        stored = {text: row.tobytes() for text, row in zip(distinct, rows, strict=True)}
        return [{path: stored[text] for path, text in found.items()} for found in texts]

    def scores(self, query: Any, vectors: Sequence[bytes]) -> list[float | None]:
        """Return the cosine to each vector, -1 to 1; `None` for one of another index's length."""
        length = self._dims * 4
        fitting = [number for number, vector in enumerate(vectors) if len(vector) == length]
        matrix = self._numpy.frombuffer(
            b"".join(vectors[number] for number in fitting), dtype="<f4"
        ).reshape(-1, self._dims)
        scores: list[float | None] = [None] * len(vectors)
        for number, score in zip(fitting, (matrix @ query).tolist(), strict=True):
            scores[number] = score
        return scores

    def _texts(self, op: PutOp, value: Mapping[str, Any]) -> dict[str, str]:
        if op.index is False:
            return {}
        found = {}
        for path in self._fields if op.index is None else op.index:
            texts = get_text_at_path(value, path)
            for number, text in enumerate(texts):
                found[f"{path}.{number}" if len(texts) > 1 else path] = text
        return found

    def _unit(self, vectors: Sequence[Sequence[float]]) -> Any:
        """Bring vectors to length 1, so that their product is the cosine; zero stays zero."""
        matrix = self._numpy.asarray(vectors, dtype="<f4")
        if matrix.ndim != 2 or matrix.shape[1] != self._dims:  # noqa: PLR2004 - rows and columns
            raise StoreMisconfigured(
                f"store.index.dims says {self._dims}, but store.index.embed returned an array of"
                f" the shape {matrix.shape}"
            )
        lengths = self._numpy.linalg.norm(matrix, axis=1, keepdims=True)
        return matrix / self._numpy.where(lengths == 0, 1, lengths)
