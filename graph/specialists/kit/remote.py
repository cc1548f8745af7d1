"""What asking a specialist that lives elsewhere has in common, whatever it speaks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import isfinite
from typing import Any

from pydantic import SecretStr
from structlog import get_logger

from everturn.graph.state import ModelCall, Usage
from everturn.graph.steps.delegation import Report
from everturn.tools.kit.web import WebError

log = get_logger(__name__)

_MAX_COUNT = 2**53
_MAX_NAME = 200
_MAX_CALLS = 200


class Declined(Exception):
    """It answered, and did not do what it was asked; the text says why."""


async def reported(name: str, seconds: float, ask: Callable[[], Awaitable[Report]]) -> Report:
    """Ask within a time; what comes of it is a report, also where it is away."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await ask()
    except TimeoutError:
        if not limit.expired():
            raise
        failure = f"{name} did not answer within {seconds:g} s"
    except (WebError, Declined) as error:
        failure = str(error)
    log.warning("specialist_failed", specialist=name, reason=failure)
    return Report(failure, failed=True)


def revealed(headers: Mapping[str, SecretStr]) -> dict[str, str]:
    """Return headers as they are sent."""
    return {name: value.get_secret_value() for name, value in headers.items()}


def calls_from(found: Any) -> list[ModelCall]:
    """Read calls of models that another server tells of; what is none of them is left out."""
    several = found if isinstance(found, list) else []
    return [_call(each) for each in several[:_MAX_CALLS] if isinstance(each, dict)]


def call_from(model: Any, usage: Any, cost: Any) -> ModelCall:
    """Read one call of a model."""
    return _call({"model": model, "usage": usage, "cost": cost})


def _call(found: Mapping[str, Any]) -> ModelCall:
    call = ModelCall(model=str(found.get("model") or "unknown")[:_MAX_NAME])
    if isinstance(failure := found.get("failure"), str) and failure:
        call["failure"] = failure[:_MAX_NAME]
    usage = found.get("usage")
    if isinstance(usage, dict):
        read, written = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
        total = _count(usage.get("total_tokens")) or read + written
        call["usage"] = Usage(input_tokens=read, output_tokens=written, total_tokens=total)
    cost = found.get("cost")
    if isinstance(cost, int | float) and isfinite(cost) and 0 <= cost < _MAX_COUNT:
        call["cost"] = float(cost)
    return call


def _count(said: Any) -> int:
    return said if isinstance(said, int) and 0 <= said < _MAX_COUNT else 0
