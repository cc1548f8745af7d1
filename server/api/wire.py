"""LangGraph's values as JSON, with what is internal left out."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def dumps(value: Any) -> bytes:
    """Serialise messages, state, interrupts, dates, sets … as clients of LangGraph read them."""
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError:  # integers beyond 64 bits, which JSON itself allows
        return json.dumps(value, default=_default, separators=(",", ":")).encode()


def dumps_public(value: Any) -> bytes:
    """Serialise what a run streams, with what is internal left out."""
    return dumps(public(value))


def jsonable(value: Any) -> Any:
    """Return what a client would read: plain objects, lists, texts and numbers."""
    return json.loads(dumps(value))


def public(value: Any) -> Any:
    """Drop the internal keys of every `configurable` inside debug and checkpoint events."""
    if isinstance(value, Mapping):
        return {
            key: _public_configurable(inner) if key == "configurable" else public(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [public(item) for item in value]
    return value


def _public_configurable(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {k: v for k, v in value.items() if not str(k).startswith("__")}


def _default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": str(value)}
    if hasattr(value, "_asdict"):
        return value._asdict()
    return str(value)
