"""JSON of values that JSON does not know: what a strict parser reads of it."""

import subprocess
import sys
from collections import UserDict, deque, namedtuple
from dataclasses import dataclass
from datetime import date
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import BaseModel

from everturn.server.api.http.json import dumps, jsonable
from tests.service import ROOT

Pair = namedtuple("Pair", "one other")  # noqa: PYI024 - as users write them


class Model(BaseModel):
    inside: Any


class Broken(Model):
    def model_dump(self, **_: Any) -> dict[str, Any]:
        raise RuntimeError("no dump")


@dataclass
class Record:
    inside: Any


class Colour(Enum):
    RED = 1


class Silent:
    def __str__(self) -> str:
        raise ValueError("no words")


def _loop() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


_ODD = {(1,): "x"}
"""What orjson refuses: beside it everything is written the slow way."""


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("half \ud800", "half \ufffd"),
        (float("nan"), None),
        (float("-inf"), None),
        ({(1, 2): "pair", Colour.RED: 2}, {"(1, 2)": "pair", "1": 2}),
        ({(1, 2): "pair", None: 3, True: 4}, {"(1, 2)": "pair", "null": 3, "true": 4}),
        ({"\ud800": 1}, {"\ufffd": 1}),
        (Record({(1,): b"\xff"}), {"inside": {"(1,)": "/w=="}}),
        (Model(inside=Record(1)), {"inside": {"inside": 1}}),
        (Broken(inside={2}), {"inside": [2]}),
        (Pair(1, Pair(2, Silent())), [1, [2, "<Silent>"]]),
        (ValueError("no \ud800"), {"error": "ValueError", "message": "no \ufffd"}),
        (MappingProxyType({"a": UserDict(b=1)}), {"a": {"b": 1}}),
        (deque([1]), [1]),
        (date(2026, 1, 2), "2026-01-02"),
        (np.array([1.5, np.nan]), [1.5, None]),
        (np.float32(0.5), 0.5),
        (_loop(), ["<list that holds itself>"]),
        (10**400, str(10**400)),
    ],
)
def test_values_that_json_does_not_know(value: Any, read: Any) -> None:
    assert orjson.loads(dumps(value)) == read
    assert orjson.loads(dumps([value, _ODD])) == [read, {"(1,)": "x"}]


def test_an_integer_beyond_64_bits_keeps_its_digits() -> None:
    assert dumps({"n": 2**70}) == b'{"n":%d}' % 2**70
    assert jsonable({"n": 2**70}) == {"n": 2**70}
    assert orjson.loads(dumps(2**70)) == float(2**70)


def test_what_is_nested_too_deep_is_cut() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"inside": deep}
    text = dumps(deep)
    assert b"nested too deep" in text
    assert orjson.loads(text)["inside"]["inside"]


def test_numpy_is_loaded_for_nobody_who_has_not_loaded_it() -> None:
    module = "everturn.server.api.http.json"
    code = f"import sys, {module} as m; m.dumps({{1, 2}}); sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
