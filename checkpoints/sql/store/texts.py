"""The texts of an item that are searched: which they are, and how they are written."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langgraph.store.base import PutOp, get_text_at_path

from everturn.checkpoints.sql.store.words import stored


class Text(NamedTuple):
    """A row of `store_texts`, without its number."""

    path: str
    words: str
    vector: bytes | None
    model: str | None


def texts_in(op: PutOp, value: Mapping[str, Any], fields: Sequence[str]) -> dict[str, str]:
    """Return the texts of an item by their paths: those that it names, or else the store's."""
    if op.index is False:
        return {}
    found = {}
    for path in fields if op.index is None else op.index:
        texts = get_text_at_path(value, path)
        for number, text in enumerate(texts):
            found[f"{path}.{number}" if len(texts) > 1 else path] = text
    return found


def text_at(value: Mapping[str, Any], path: str) -> str:
    """Return a text by the path that `texts_in` gave it; an empty one where there is none."""
    if len(texts := get_text_at_path(value, path)) == 1:
        return texts[0]
    among, _, number = path.rpartition(".")
    texts = get_text_at_path(value, among) if number.isdecimal() else []
    return texts[int(number)] if number.isdecimal() and int(number) < len(texts) else ""


def rows_of(
    namespace: str, texts: Mapping[str, str], vectors: Mapping[str, bytes], model: str | None
) -> list[Text]:
    """Return the rows of an item's texts; one without a vector gets it later."""
    return [
        Text(path, stored(namespace, text), vector, None if vector is None else model)
        for path, text in texts.items()
        for vector in [vectors.get(text)]
    ]
