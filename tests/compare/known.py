"""The differences that are meant, each with its reason. The comparison fails on any other."""

import re

KNOWN: dict[str, str] = {}
"""Patterns of lines of the comparison, and why this service answers as it does."""

_used: set[str] = set()


def reason_of(line: str) -> str | None:
    """Return why a difference is meant; None where no one has said."""
    for pattern, reason in KNOWN.items():
        if re.search(pattern, line):
            _used.add(pattern)
            return reason
    return None


def unused() -> list[str]:
    """Return the patterns that no difference fitted: they can go."""
    return [pattern for pattern in KNOWN if pattern not in _used]
