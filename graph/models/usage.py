"""What an answer used, from the figures that a provider sends once, in every chunk, or never."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

_READ, _WRITTEN, _ALL = "prompt_tokens", "completion_tokens", "total_tokens"
_TOKENS = (_READ, _WRITTEN, _ALL)
_NAME = re.compile(r"[a-z_]{1,64}")
_MAX_NAMES = 32
"""OpenAI's usage has five members; what is beyond is no usage."""

_MAX_TOKENS = 2**53
"""No answer has so many; JSON reads `1e999` as infinity, which is no whole number."""
_REPEATED = 2
"""Gateways send the last total twice."""


class Usages:
    """Collects the `usage` objects of one answer.

    OpenAI sends one, at the end. Some send one in every chunk: a total that grows (vLLM's
    `continuous_usage_stats`), or what this chunk alone has used.
    """

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None
        self._read = self._written = self._number = self._first = 0
        """The most that was read, all that was written, how many there were, the first's count."""
        self._falls = False

    def add(self, usage: object) -> None:
        """Take in a usage object, if it is one."""
        if not isinstance(usage, dict) or not any(_count(usage, key) for key in _TOKENS):
            return
        read, written = _count(usage, _READ), _count(usage, _WRITTEN)
        if self._last is None:
            self._first = written
        else:
            self._falls = self._falls or written < self._last[_WRITTEN]
        self._number += 1
        self._read, self._written = max(self._read, read), self._written + written
        total = _count(usage, _ALL) or read + written
        self._last = {**_known(usage), _READ: read, _WRITTEN: written, _ALL: total}

    def latest(self) -> Mapping[str, Any] | None:
        """Return the newest of the objects."""
        return self._last

    def total(self) -> dict[str, Any] | None:
        """Return one usage object for the whole answer; `None` where nothing was said."""
        if self._last is None or not self._each_for_itself(self._last[_WRITTEN]):
            return self._last
        summed = {_READ: self._read, _WRITTEN: self._written, _ALL: self._read + self._written}
        return {**self._last, **summed}

    def _each_for_itself(self, last: int) -> bool:
        """Say whether each object counts its own chunk: a total never falls, nor stays at one."""
        stays = self._first == last < self._number
        return self._falls or (stays and self._number > _REPEATED)


def _known(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is numbers by name, or such numbers by name: LangChain reads the details so."""
    return {
        key: value
        for key, value in islice(usage.items(), _MAX_NAMES)
        if _NAME.fullmatch(key) and (_is_number(value) or _is_details(value))
    }


def _is_details(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= _MAX_NAMES
        and all(map(_NAME.fullmatch, value))
        and all(
            each is None or (isinstance(each, int) and _is_number(each)) for each in value.values()
        )
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < _MAX_TOKENS


def _count(usage: Mapping[str, Any], key: str) -> int:
    value = usage.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < _MAX_TOKENS else 0
