"""The context of a run, in the type that its graph declares, the same in every version of Python.

A `TypedDict`, or no schema at all, is a dict as it was sent, unchecked, as LangGraph passes it;
`None` where nothing was given. A dataclass or a pydantic model is made and checked.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

from pydantic import (
    BaseModel,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from everturn.server.errors import InvalidInput


class ContextType:
    """What a graph takes for its context."""

    def __init__(self, schema: type[Any] | None) -> None:
        self.fields = _names(schema) if schema is not None else frozenset[str]()
        self._make = _maker(schema)

    def make(self, values: Mapping[str, Any]) -> Any:
        """Return a context in the graph's type.

        Raises:
            InvalidInput: naming the field that does not fit.
        """
        if self._make is None:
            return dict(values) or None
        try:
            return self._make(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(["context", *map(str, first["loc"])])
            raise InvalidInput(f"{where}: {first['msg']}") from None
        except (TypeError, ValueError) as error:  # of a dataclass that makes itself
            raise InvalidInput(f"context: {error}") from error


def _maker(schema: type[Any] | None) -> Any:
    if schema is None or not (is_dataclass(schema) or issubclass(schema, BaseModel)):
        return None
    try:
        return TypeAdapter(schema).validate_python
    except (PydanticUserError, PydanticSchemaGenerationError):
        # A dataclass with fields that pydantic does not know.
        return partial(_made, schema)


def _made(schema: type[Any], values: Mapping[str, Any]) -> Any:
    names = _names(schema)
    return schema(**{name: value for name, value in values.items() if name in names})


def _names(schema: type[Any]) -> frozenset[str]:
    if is_dataclass(schema):
        return frozenset(field.name for field in fields(schema) if field.init)
    if issubclass(schema, BaseModel):
        return frozenset(schema.model_fields)
    keys = (getattr(schema, f"__{kind}_keys__", ()) for kind in ("required", "optional"))
    return frozenset(name for some in keys for name in some)
