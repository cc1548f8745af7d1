"""LangGraph's values as JSON that every parser reads; bytes are Base64, as its own server has them.

Any value can be written, whatever a graph keeps in its state.
"""

import json
from typing import Any

import orjson

from everturn.server.api.http.plain import opened, orjson_options, plain


def dumps(value: Any) -> bytes:
    """Serialise messages, state, interrupts, dates, sets … as clients of LangGraph read them."""
    try:
        return orjson.dumps(value, default=opened, option=orjson_options())
    except Exception:  # what orjson does not write, and what a value's own methods raise
        return json.dumps(plain(value), separators=(",", ":"), allow_nan=False).encode()


def jsonable(value: Any) -> Any:
    """Return what a client would read: plain objects, lists, texts and numbers."""
    return json.loads(dumps(value))
