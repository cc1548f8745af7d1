"""JSON bodies, read strictly: what is taken can be run, stored, and sent back as it came.

Refused are bytes that are no UTF-8, half of a surrogate pair, NaN and Infinity, numbers beyond any
float, and whole numbers beyond 64 bits: a checkpoint cannot hold them, and most parsers would
round them without a word.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from json import JSONDecodeError
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

MAX_DEPTH = 100
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
QUICK_BYTES = 65_536
"""What is read between two other things; more of it is read in a thread."""

# A text, which may hold digits; or digits that are no part of a fraction or an exponent.
_LONG_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*+"|(?<![\d.eE+-])(-?\d{19,})(?![\d.eE])', re.DOTALL)
_NO_NUMBER = re.compile("NaN|-?Infinity")
_NINETEEN_DIGITS = re.compile(rb"\d{19}")


def read_json(body: bytes) -> Any:
    """Parse a body.

    Raises:
        JSONDecodeError: it is no JSON, or none that can be kept; says what is wrong where.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise JSONDecodeError(_why(error), "", error.pos) from None
    if _NINETEEN_DIGITS.search(body):
        _check_numbers(body)
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _why(error: JSONDecodeError) -> str:
    """Say what is wrong where the parser's own words do not help."""
    if "surrogate in string" in error.msg:
        return "half of a surrogate pair: it is no character"
    if "infinity" in error.msg or _NO_NUMBER.match(error.doc, error.pos):
        return "JSON has no NaN or Infinity, and no number beyond 1.8e308"
    if "valid UTF-8" in error.msg:
        return "it is not UTF-8"
    if "depth" in error.msg:
        return _TOO_DEEP
    return error.msg


def _check_numbers(body: bytes) -> None:
    for found in _LONG_NUMBER.finditer(body):
        if found[1] and not -(2**63) <= int(found[1]) < 2**64:
            where = len(body[: found.start()].decode())
            raise JSONDecodeError("a whole number beyond 64 bits: send it as text", "", where)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise JSONDecodeError(_TOO_DEEP, "", 0)


def _inside(outer: Any) -> list[Any]:
    held = outer.values() if isinstance(outer, dict) else outer
    return [each for each in held if isinstance(each, dict | list)]


class _StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            if len(body) <= QUICK_BYTES:
                self._json = read_json(body)
            else:
                self._json = await asyncio.to_thread(read_json, body)
        return self._json


class _StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


class Router(APIRouter):
    """Routes that read JSON strictly."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=_StrictRoute, **options)
