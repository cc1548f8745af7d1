"""When a provider wants to be asked again, from wherever it says so.

- `Retry-After`, seconds or a date: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
- `retry-after-ms`: Azure, OpenAI
- `X-RateLimit-Reset`: OpenRouter in milliseconds since the epoch, also inside the body
  (https://openrouter.ai/docs/api-reference/limits); others in seconds since the epoch or from now
- `x-ratelimit-reset-requests`, `…-tokens`, as `6m0s` or `20ms`:
  https://platform.openai.com/docs/guides/rate-limits, https://console.groq.com/docs/rate-limits
- `anthropic-ratelimit-…-reset`, a moment of RFC 3339: https://docs.anthropic.com/en/api/rate-limits
- `retryDelay` in the details of the body, as `34s`: Google's `google.rpc.RetryInfo`
- in words: "Please try again in 7.66s"
"""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

_MAX_WAIT = 86_400.0  # s: daily limits are the longest there are
_EPOCH_MILLISECONDS, _EPOCH_SECONDS = 1e11, 1e9  # a larger number is a moment, not a duration

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)"
_DURATION = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_IN_WORDS = re.compile(
    r"(?:try|retry|wait)\D{0,40}?\b(?:in|after|for)?\s*"
    r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|sec\w*|m|min\w*|h|hours?)"
    r"((?:\s*\d+(?:\.\d+)?\s*(?:ms|s|m|h))*)\b",
    re.IGNORECASE,
)


def retry_after(headers: Mapping[str, str], body: Mapping[str, Any], text: str) -> float | None:
    """Return the seconds until the provider wants to be asked again; `None` where it says nothing.

    No one is struck off for ever: a day is the most that is believed.
    """
    metadata = body.get("metadata")
    repeated = metadata.get("headers") if isinstance(metadata, dict) else None
    places = [_lower(headers), _lower(repeated if isinstance(repeated, dict) else {})]
    for seconds in _said(places, body, text):
        if seconds is not None:
            return min(max(0.0, seconds), _MAX_WAIT)
    return None


def _said(
    places: list[dict[str, str]], body: Mapping[str, Any], text: str
) -> Iterator[float | None]:
    """Yield what each place says, the most exact first."""
    for headers in places:
        if "retry-after-ms" in headers:
            milliseconds = _number(headers["retry-after-ms"])
            yield None if milliseconds is None else milliseconds / 1000
        yield _seconds(headers.get("retry-after"))
    for value in _values(body, ("retryDelay", "retry_delay", "retry_after", "retry_after_seconds")):
        yield _seconds(value)
    yield _in_words(text)
    for headers in places:
        yield _seconds(headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset"))
        yield _reset(headers)


def _reset(headers: Mapping[str, str]) -> float | None:
    """Return when the limits that are used up are reset; there are several side by side."""
    waits = []
    for name, value in headers.items():
        if "ratelimit" in name and "reset" in name:
            left = headers.get(name.replace("reset", "remaining"))
            if left is not None and _number(left) == 0:
                waits.append(_seconds(value))
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(value: object) -> float | None:
    """Read a number of seconds, a duration with its units, or a moment."""
    if value is None:
        return None
    if (number := _number(value)) is not None:
        if number > _EPOCH_MILLISECONDS:
            return number / 1000 - time.time()
        return number - time.time() if number > _EPOCH_SECONDS else number
    text = str(value).strip()
    if _DURATION.fullmatch(text):
        return _sum(text)
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return parse(text).timestamp() - time.time()
        except ValueError:
            continue
    return None


def _in_words(text: str) -> float | None:
    found = _IN_WORDS.search(text)
    if found is None:
        return None
    unit = found[2].lower()
    unit = "ms" if unit.startswith(("ms", "milli")) else unit[0]
    return float(found[1]) * _UNITS[unit] + _sum(found[3])


def _sum(durations: str) -> float:
    parts = re.findall(_PART, durations, re.IGNORECASE)
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in parts)


def _values(found: object, names: tuple[str, ...]) -> Iterator[object]:
    """Yield the values of these names, wherever they stand in a body."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name in names:
                yield value
            else:
                yield from _values(value, names)
    elif isinstance(found, list):
        for each in found:
            yield from _values(each, names)


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number == number else None  # noqa: PLR0124 - NaN


def _lower(headers: Mapping[str, Any]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}
