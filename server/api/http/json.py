"""LangGraph's values as JSON; bytes are Base64, as its own server writes them."""

import json
from base64 import b64encode
from typing import Any

import orjson
from pydantic import BaseModel

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def dumps(value: Any) -> bytes:
    """Serialise messages, state, interrupts, dates, sets … as clients of LangGraph read them."""
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError:  # integers beyond 64 bits, which JSON itself allows; odd keys
        value = _with_plain_keys(value)
        return json.dumps(value, default=_default, separators=(",", ":")).encode()


def jsonable(value: Any) -> Any:
    """Return what a client would read: plain objects, lists, texts and numbers."""
    return json.loads(dumps(value))


def _with_plain_keys(value: Any) -> Any:
    """Write as text what JSON takes for no key, such as a tuple."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str | int | float | None) else str(key): _with_plain_keys(each)
            for key, each in value.items()
        }
    return [_with_plain_keys(each) for each in value] if isinstance(value, list | tuple) else value


def _default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode()
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": _text(value)}
    if hasattr(value, "_asdict"):
        return value._asdict()
    return _text(value)


def _text(value: object) -> str:
    """Write a value as text; an answer must not be lost for one that cannot say what it is."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
