"""What the offline model can give where an answer has to fit a schema: its words, and no more.

Nothing is made up. The words go where a schema asks for an answer in words, and whatever else must
be there is null; a schema that takes no such value is not filled.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from everturn.graph.models.response_schema import ResponseSchema, schema_of

_FOR_WORDS = (
    *("answer", "response", "reply", "message", "text", "content", "output", "result"),
    *("summary", "explanation", "comment", "note", "notes"),
)
"""Properties whose value is what is said, in any case."""
_ANY_WORDS = "I am the offline model."


def filled(written: Mapping[str, Any], text: str) -> tuple[bool, Any]:
    """Return whether there is a value with these words that fits the schema, and that value."""
    schema = schema_of(written)
    fitting = (value for value in _values(schema, text) if schema.flaw(value) is None)
    return next(((True, value) for value in fitting), (False, None))


def can_fill(written: Mapping[str, Any]) -> bool:
    """Say whether the offline model has an answer that fits this schema."""
    return filled(written, _ANY_WORDS)[0]


def _values(schema: ResponseSchema, text: str) -> Iterator[Any]:
    properties, required = schema.written.get("properties"), schema.written.get("required")
    names = list(properties) if isinstance(properties, dict) else []
    unknown = dict.fromkeys(required if isinstance(required, list) else [])
    for name in sorted(names, key=lambda name: name not in unknown):
        if name.lower() in _FOR_WORDS:
            yield {**unknown, name: text}
    yield text
