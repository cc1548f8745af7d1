"""Search by meaning: texts become vectors, and near vectors mean the like.

Vectors lie in rows, with what made them: those of two models cannot be compared. `nearest` finds
the near ones by NumPy, which needs no extension in the database.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import IndexConfig, ensure_embeddings
from structlog import get_logger

from everturn.checkpoints.errors import StoreMisconfigured

log = get_logger(__name__)

_WHOLE_ITEM = "$"
_AT_ONCE = 96
"""Texts of one request; providers take 96 to 2,048."""
_MAX_DIMENSIONS = 16_384
"""The longest vectors of today's models have 4,096."""


class Meaning:
    """What makes vectors, ready for use."""

    def __init__(
        self, config: IndexConfig, *, name: str = "", setting: str = "store.index"
    ) -> None:
        """Take LangGraph's index config.

        Args:
            config: with `dims` 0 for as many as `embed` returns. Without `fields` it is the whole
                item; an empty list is what each item says itself.
            name: of the model; vectors of another name are not compared.
            setting: where the config is from, for errors.

        Raises:
            StoreMisconfigured: NumPy is not there, or the config says too little.
        """
        try:
            import numpy as np
        except ImportError as error:
            raise StoreMisconfigured(
                f"{setting}: search by meaning needs NumPy: pip install 'everturn[search]'"
            ) from error
        self.numpy = np
        fields = config.get("fields")
        self.fields: list[str] = [_WHOLE_ITEM] if fields is None else list(fields)
        self._fixed = bool(config.get("dims"))
        self.dims = config.get("dims", 0)
        self._setting = setting
        embed = config.get("embed")
        self._name = name or (embed if isinstance(embed, str) else _name_of(embed))
        try:
            self._embeddings: Embeddings = ensure_embeddings(embed)
        except (ValueError, ImportError) as error:
            raise StoreMisconfigured(f"{setting}.embed: {error}") from error

    @property
    def model(self) -> str:
        """What is stored with a vector: the model's name, and the length of its vectors."""
        return f"{self._name}:{self.dims}"

    async def of_query(self, query: str) -> Any:
        """Return the vector of a query; raises what the model does."""
        return self._unit([await self._embeddings.aembed_query(query)])[0]

    async def of_texts(self, texts: Iterable[str]) -> dict[str, bytes]:
        """Return the vector of each text; raises what the model does."""
        distinct = list(dict.fromkeys(texts))
        found: dict[str, bytes] = {}
        for start in range(0, len(distinct), _AT_ONCE):
            some = distinct[start : start + _AT_ONCE]
            rows = self._unit(await self._embeddings.aembed_documents(some))
            found |= {text: row.tobytes() for text, row in zip(some, rows, strict=True)}
        return found

    def scores(self, query: Any, vectors: Sequence[bytes]) -> list[float | None]:
        """Return the cosine to each vector, -1 to 1; `None` for one of another length."""
        length = self.dims * 4
        fitting = [number for number, vector in enumerate(vectors) if len(vector) == length]
        matrix = self.numpy.frombuffer(
            b"".join(vectors[number] for number in fitting), dtype="<f4"
        ).reshape(-1, self.dims)
        scores: list[float | None] = [None] * len(vectors)
        for number, score in zip(fitting, (matrix @ query).tolist(), strict=True):
            scores[number] = score
        return scores

    def _unit(self, vectors: Sequence[Sequence[float]]) -> Any:
        """Bring vectors to length 1, so that their product is the cosine; zero stays zero."""
        matrix = self.numpy.asarray(vectors, dtype="<f4")
        rows_and_columns = 2
        if matrix.ndim != rows_and_columns or not matrix.shape[1]:
            raise StoreMisconfigured(f"{self._setting}: the model returned no vectors")
        if matrix.shape[1] > _MAX_DIMENSIONS:
            raise StoreMisconfigured(
                f"{self._setting}: the model returned vectors of {matrix.shape[1]:,} numbers, and "
                f"there may be {_MAX_DIMENSIONS:,}"
            )
        if matrix.shape[1] != self.dims:
            if self._fixed:
                raise StoreMisconfigured(
                    f"{self._setting}.dims says {self.dims}, but {self._setting}.embed returned an"
                    f" array of the shape {matrix.shape}"
                )
            if self.dims:
                log.warning(
                    "embeddings_changed",
                    model=self._name,
                    before=self.dims,
                    now=int(matrix.shape[1]),
                    note="run `everturn memory reindex`; until then words find what is older",
                )
            self.dims = int(matrix.shape[1])
        lengths = self.numpy.linalg.norm(matrix, axis=1, keepdims=True)
        return matrix / self.numpy.where(lengths == 0, 1, lengths)


def _name_of(embed: Any) -> str:
    """Name a function, or an object of LangChain's by its model."""
    for name in ("model", "model_name"):
        if isinstance(said := getattr(embed, name, None), str):
            return said
    made = embed if hasattr(embed, "__qualname__") else type(embed)
    return str(made.__qualname__)
