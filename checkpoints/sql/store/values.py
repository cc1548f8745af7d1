"""Items as JSON, and LangGraph's filters on them."""

import json
from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any

import orjson
from pydantic import BaseModel

from everturn.checkpoints.errors import InvalidItem
from everturn.checkpoints.sql.json_objects import cleaned

_ORDER: dict[str, Callable[[Any, Any], bool]] = {"$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}
_MAX_DEPTH = 250
_OPERATORS = {"$eq", "$ne", *_ORDER}


def as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what will be read back: plain JSON.

    NUL and lone surrogates become U+FFFD, numbers that are none (NaN, infinity) null.

    Raises:
        InvalidItem: naming a type that has no JSON.
    """
    try:
        try:
            text = orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS)
        except orjson.JSONEncodeError:  # also integers beyond 64 bits and lone surrogates
            text = json.dumps(value, default=_default).encode()
        found: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
        _check_depth(found)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidItem(f"The value cannot be stored as JSON: {error}") from None
    return cleaned(found) if b"\\u" in text else found


def _check_depth(value: Any, depth: int = 0) -> None:
    """Refuse what other programs could not read."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            _check_depth(inner, depth + 1)


def _default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def check_filter(condition: Any, depth: int = 0) -> None:
    """Refuse operators that there are not, before any row is read.

    Raises:
        InvalidItem: naming the operator.
    """
    if depth > _MAX_DEPTH:
        raise InvalidItem(f"The filter is nested more than {_MAX_DEPTH} levels deep.")
    if isinstance(condition, list | tuple):
        for inner in condition:
            check_filter(inner, depth + 1)
    if not isinstance(condition, Mapping):
        return
    operates = any(str(key).startswith("$") for key in condition)
    for key, inner in condition.items():
        if operates and key not in _OPERATORS:
            there_are = ", ".join(sorted(_OPERATORS))
            raise InvalidItem(f"Unsupported operator: {key}; there are: {there_are}.")
        check_filter(inner, depth + 1)


def fits(value: Any, condition: Any) -> bool:
    """Say whether a value meets a condition: equality, all the way down, or operators.

    Numbers are ordered as numbers, also in text; other texts by their characters, as dates in
    ISO 8601 are. What cannot be compared does not fit.
    """
    if isinstance(condition, Mapping):
        if any(str(key).startswith("$") for key in condition):
            return all(_holds(value, key, operand) for key, operand in condition.items())
        return isinstance(value, Mapping) and all(
            fits(value.get(key), inner) for key, inner in condition.items()
        )
    if isinstance(condition, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(condition)
            and all(fits(*pair) for pair in zip(value, condition, strict=True))
        )
    return _equal(value, condition)


def _holds(value: Any, operator: str, operand: Any) -> bool:
    if operator == "$eq":
        return _equal(value, operand)
    if operator == "$ne":
        return not _equal(value, operand)
    numbers = _number(value), _number(operand)
    if None not in numbers:
        return _ORDER[operator](*numbers)
    if isinstance(value, str) and isinstance(operand, str):
        return _ORDER[operator](value, operand)
    return False


def _equal(one: Any, other: Any) -> bool:
    """JSON's equality: 1 is 1.0, but neither is true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
