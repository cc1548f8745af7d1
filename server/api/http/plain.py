"""Any value as plain JSON: what cannot be written is replaced, so that the rest can be read.

Half of a surrogate pair becomes U+FFFD; NaN and infinity become null; a key that is no text, its
text. An integer beyond 64 bits stays a number, where it is not larger than any float. In place of
what holds itself, is nested too deep or fails when it is asked what it is, a text says so.
"""

import re
import sys
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Any

import orjson
from pydantic import BaseModel

from everturn.server.errors import message_of

_MAX_DEPTH = 200
_MAX_NUMBER = 10**308
"""JavaScript and orjson read integers beyond 64 bits as floats, and no float is larger."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def orjson_options() -> int:
    """Return what orjson shall write: any key, and numpy's values where somebody has loaded numpy.

    Asked for these, it loads numpy itself: the first answer would take 0.3 s longer.
    """
    numpy = orjson.OPT_SERIALIZE_NUMPY if "numpy" in sys.modules else 0
    return orjson.OPT_NON_STR_KEYS | numpy


def opened(value: Any) -> Any:
    """Return what a value is made of, where orjson does not know; raises what its methods raise."""
    for kind, way in _WAYS:
        if isinstance(value, kind):
            return way(value)
    if hasattr(value, "_asdict"):
        return value._asdict()
    if hasattr(value, "tolist"):  # numpy's arrays of what is no number
        return value.tolist()
    return _text(value)


def plain(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Return a value as objects, lists, texts and numbers; `above` are the ids of what holds it."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, str | bool | int | float):
        return _single(value)
    if id(value) in above:
        return f"<{type(value).__name__} that holds itself>"
    if len(above) >= _MAX_DEPTH:
        return f"<{type(value).__name__} nested too deep>"
    above = (*above, id(value))
    if isinstance(value, dict):
        return {_key(name): plain(each, above) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, above) for each in value]
    return plain(_parts(value), above)


def _single(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if abs(value) < _MAX_NUMBER else _text(value)
    return value


def _key(name: Any) -> str:
    if isinstance(name, Enum):
        name = name.value
    if name is None or isinstance(name, bool):
        return {None: "null", True: "true", False: "false"}[name]
    return _SURROGATE.sub("\ufffd", name if isinstance(name, str) else _text(name))


def _parts(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name, None) for each in fields(value)}
    try:
        # Dates, and numbers of numpy.
        return orjson.loads(orjson.dumps(value, default=_unknown, option=orjson_options()))
    except orjson.JSONEncodeError:
        return _opened_or_named(value)


def _opened_or_named(value: Any) -> Any:
    try:
        return opened(value)
    except Exception:  # a model has its fields, too
        return value.__dict__ if isinstance(value, BaseModel) else f"<{type(value).__name__}>"


def _unknown(value: Any) -> Any:
    raise TypeError


def _text(value: object) -> str:
    """Write a value as text; an answer must not be lost for one that cannot say what it is."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _model(value: Any) -> Any:
    return value.model_dump()


def _encoded(value: Any) -> str:
    return b64encode(value).decode()


def _failure(value: Any) -> dict[str, str]:
    return {"error": type(value).__name__, "message": message_of(_text(value))}


_WAYS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (BaseModel, _model),
    (Mapping, dict),
    (set | frozenset | tuple | deque, list),
    (bytes | bytearray | memoryview, _encoded),
    (BaseException, _failure),
    (type, _text),
)
