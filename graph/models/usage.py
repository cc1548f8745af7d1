"""What an answer used, from the figures that a provider sends once, in every chunk, or never."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

_READ, _WRITTEN, _ALL = "prompt_tokens", "completion_tokens", "total_tokens"

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
        self._found: list[Mapping[str, Any]] = []

    def add(self, usage: object) -> None:
        """Take in a usage object, if it is one."""
        if isinstance(usage, dict) and any(_number(usage, key) for key in (_READ, _WRITTEN, _ALL)):
            self._found.append(usage)

    def latest(self) -> Mapping[str, Any] | None:
        """Return the newest of the objects."""
        return self._found[-1] if self._found else None

    def total(self) -> dict[str, Any] | None:
        """Return one usage object for the whole answer; `None` where nothing was said."""
        if not self._found:
            return None
        last = dict(self._found[-1])
        read, written = _number(last, _READ), _number(last, _WRITTEN)
        if self._each_for_itself():
            read = max(_number(usage, _READ) for usage in self._found)
            written = sum(_number(usage, _WRITTEN) for usage in self._found)
            last[_ALL] = read + written
        total = _number(last, _ALL) or read + written
        # LangChain reads the details, which must then be numbers by name.
        known = {key: value for key, value in last.items() if not _is_odd(key, value)}
        return {**known, _READ: read, _WRITTEN: written, _ALL: total}

    def _each_for_itself(self) -> bool:
        """Say whether each object counts its own chunk: a total never falls, nor stays at one."""
        written = [_number(usage, _WRITTEN) for usage in self._found]
        falls = any(after < before for before, after in pairwise(written))
        stays = written[0] == written[-1] < len(written)
        return falls or (stays and len(written) > _REPEATED)


def _is_odd(key: str, value: object) -> bool:
    if not key.endswith("_details"):
        return False
    numbers = value.values() if isinstance(value, dict) else [value]
    return not all(each is None or isinstance(each, int) for each in numbers)


def _number(usage: Mapping[str, Any], key: str) -> int:
    value = usage.get(key)
    return int(value) if isinstance(value, int | float) and 0 < value < _MAX_TOKENS else 0
