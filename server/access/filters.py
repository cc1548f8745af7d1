"""The filters that a project's handlers return, read once: `{"owner": "ada"}` and its operators.

A filter names members of a resource's metadata. A value is compared as it is, and so is `$eq`;
`$contains` asks a list for one element, or for each of several. `$or` and `$and` take lists of
filters. What is not understood is refused: a filter that is passed over would let everybody in.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from everturn.checkpoints.sql.matches import AnyOf, Contains, Equals, Every, Match
from everturn.server.errors import InvalidRule


def match_of(wanted: Mapping[str, Any]) -> Match:
    """Read a filter.

    Raises:
        InvalidRule: it has an operator that there is not, or a value that is no JSON.
    """
    return Every(tuple(_member(key, value) for key, value in wanted.items()))


def _member(key: object, value: Any) -> Match:
    if not isinstance(key, str):
        raise InvalidRule(f"a filter's key must be a text, not {key!r}")
    if key in {"$or", "$and"}:
        if not isinstance(value, list | tuple) or not value:
            raise InvalidRule(f"{key} takes a list of filters that is not empty")
        if not all(isinstance(each, Mapping) for each in value):
            raise InvalidRule(f"{key} takes a list of filters")
        parts = tuple(match_of(each) for each in value)
        return AnyOf(parts) if key == "$or" else Every(parts)
    if key.startswith("$"):
        raise InvalidRule(f"there is no operator {key}: use $or or $and")
    operators = [each for each in value if _is_operator(each)] if isinstance(value, Mapping) else []
    if not operators:
        return _equal(key, _json(value))
    if len(operators) < len(value):
        raise InvalidRule(f"{key}: operators and members cannot be mixed")
    return Every(tuple(_operation(key, each, _json(value[each])) for each in operators))


def _operation(key: str, operator: str, value: Any) -> Match:
    if operator == "$eq":
        return _equal(key, value)
    if operator == "$contains":
        return Contains({key: value if isinstance(value, list) else [value]})
    raise InvalidRule(f"{key}: there is no operator {operator}: use $eq or $contains")


def _equal(key: str, value: Any) -> Match:
    # Containment is exact for what is neither a list nor an object, and PostgreSQL can index it.
    return Equals(key, value) if isinstance(value, list | dict) else Contains({key: value})


def _is_operator(key: object) -> bool:
    return isinstance(key, str) and key.startswith("$")


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _json(each) for key, each in value.items()}
    raise InvalidRule(f"a filter's value must be JSON, not a {type(value).__name__}")
