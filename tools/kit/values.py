"""JSON values that every place takes: stores, providers, clients.

Python reads more than others write. msgpack and orjson end at 64 bits, UTF-8 has no half
characters, PostgreSQL takes no NUL, JSON itself no NaN, and each has its own limit to nesting.
"""

import re
from math import isfinite
from typing import Any

MAX_DEPTH = 100
"""Levels; orjson, which has the lowest limit of those that write results, ends at 254."""

_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_MAX_DECIMAL_BITS = 4096
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_MAX_SHOWN = 80
"""Characters of the path to a value."""


def flaw_in(value: Any, max_depth: int = MAX_DEPTH) -> str | None:
    """Say where a JSON value holds what not every place takes, and what; `None` for a good one."""
    return _flaw(value, "", max_depth)


def plain(value: Any, max_depth: int = MAX_DEPTH) -> Any:
    """Return a value with what not every place takes replaced; no JSON types are left alone.

    Characters become U+FFFD, numbers beyond 64 bits texts, NaN and Infinity `None`, as is what
    lies deeper than `max_depth` levels.
    """
    if isinstance(value, dict | list):
        return _plain_inside(value, max_depth - 1) if max_depth else None
    if isinstance(value, str):
        return _UNWRITABLE.sub(_REPLACEMENT, value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
        return _digits(value)
    return value


def _plain_inside(value: dict[Any, Any] | list[Any], levels: int) -> dict[Any, Any] | list[Any]:
    if isinstance(value, list):
        return [plain(each, levels) for each in value]
    return {
        plain(key) if isinstance(key, str) else key: plain(each, levels)
        for key, each in value.items()
    }


def _flaw(value: Any, path: str, levels: int) -> str | None:
    if isinstance(value, dict | list):
        if levels == 0:
            return _named(path, "it is nested too deeply")
        return _flaw_inside(value, path, levels)
    if isinstance(value, str) and (found := _UNWRITABLE.search(value)):
        return _named(path, _character(found.group()))
    if isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
        return _named(path, f"the number is too large: whole numbers end at {_MAX_INT}")
    if isinstance(value, float) and not isfinite(value):
        return _named(path, "NaN and Infinity are no numbers in JSON")
    return None


def _flaw_inside(value: dict[str, Any] | list[Any], path: str, levels: int) -> str | None:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in entries:
        place = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
        if isinstance(key, str) and (found := _UNWRITABLE.search(key)):
            return _named(place, f"in its name, {_character(found.group())}")
        if flaw := _flaw(each, place, levels - 1):
            return flaw
    return None


def _digits(number: int) -> str:
    # Python refuses to write numbers of more than 4300 digits in decimals, as they take too long.
    return str(number) if number.bit_length() <= _MAX_DECIMAL_BITS else hex(number)


def _character(found: str) -> str:
    if found == "\0":
        return "there is a NUL character (\\u0000)"
    return f"there is half a character (\\u{ord(found):04x}): write the whole one"


def _named(path: str, flaw: str) -> str:
    shown = plain(path or "arguments")
    return f"{shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + '…'}: {flaw}"
