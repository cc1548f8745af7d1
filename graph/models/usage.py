"""What an answer used, from the figures that a provider sends once, in every chunk, or never."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

_READ, _WRITTEN, _ALL = "prompt_tokens", "completion_tokens", "total_tokens"

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
        return {**last, _READ: read, _WRITTEN: written, _ALL: total}

    def _each_for_itself(self) -> bool:
        """Say whether each object counts its own chunk: a total never falls, nor stays at one."""
        written = [_number(usage, _WRITTEN) for usage in self._found]
        falls = any(after < before for before, after in pairwise(written))
        stays = written[0] == written[-1] < len(written)
        return falls or (stays and len(written) > _REPEATED)


def _number(usage: Mapping[str, Any], key: str) -> int:
    value = usage.get(key)
    return int(value) if isinstance(value, int | float) and value > 0 else 0
