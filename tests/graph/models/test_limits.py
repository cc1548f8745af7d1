"""When to come back: wherever a provider says it."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from everturn.graph.models.failures import failure_of
from everturn.graph.models.wire import refusal_of

_SOON = datetime.now(UTC) + timedelta(hours=2)

_REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


async def _wait(headers: dict[str, str], body: Any) -> float | None:
    response = httpx2.Response(429, headers=headers, json=body, request=_REQUEST)
    return failure_of(await refusal_of(response)).retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"X-RateLimit-Reset": "9"}, 9),
        ({"ratelimit-reset": "9"}, 9),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-remaining-requests": "0"}, 0.02),
        (
            {
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "99",
            },
            360,
        ),
        ({"Retry-After": "1000000"}, 86_400),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "NaN"}, None),
        ({}, None),
    ],
)
async def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert await _wait(headers, {"error": {"message": "slow down"}}) == seconds


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": format_datetime(_SOON, usegmt=True)},
        {"X-RateLimit-Reset": f"{_SOON.timestamp():.0f}"},
        {"X-RateLimit-Reset": f"{_SOON.timestamp() * 1000:.0f}"},
        {
            "anthropic-ratelimit-tokens-reset": _SOON.isoformat(),
            "anthropic-ratelimit-tokens-remaining": "0",
        },
    ],
)
async def test_a_moment_is_the_time_until_then(headers: dict[str, str]) -> None:
    wait = await _wait(headers, {"error": {"message": "slow down"}})
    assert wait == pytest.approx(_SOON.timestamp() - time.time(), abs=120)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ([{"error": {"code": 429, "details": [{"@type": "RetryInfo", "retryDelay": "34s"}]}}], 34),
        ({"error": {"metadata": {"headers": {"Retry-After": "5"}}}}, 5),
        ({"error": {"message": "Limit 6000, Used 5990. Please try again in 7.66s."}}, 7.66),
        ({"error": {"message": "Please try again in 1h2m3s."}}, 3723),
        ({"error": {"message": "Please retry in 34.074s."}}, 34.074),
        ({"error": {"message": "try again in 500ms"}}, 0.5),
        ({"error": {"message": "Retry after 30 seconds"}}, 30),
        ({"error": {"message": "You have to wait 5 minutes"}}, 300),
        ({"error": {"message": "Too many requests, retry later"}}, None),
        ({"detail": "Slow down", "retry_after": 3}, 3),
        ({"detail": "Slow down", "retry_after": 10**400}, None),
    ],
)
async def test_bodies(body: Any, seconds: float | None) -> None:
    assert await _wait({}, body) == seconds


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Rate limit exceeded: free-models-per-day. Add 10 credits", "account_limited"),
        ("Rate limit exceeded: free-models-per-min. See openrouter.ai/docs", "account_limited"),
        ("free-models-per-min: a/b:free is limited upstream", "rate_limited"),
        ("a/b:free is temporarily rate-limited upstream", "rate_limited"),
        ("Rate limit reached for model `llama` in organization `o`", "rate_limited"),
    ],
)
async def test_a_limit_that_names_a_model_is_not_the_accounts(message: str, kind: str) -> None:
    response = httpx2.Response(
        429, json={"error": {"message": message, "code": 429}}, request=_REQUEST
    )
    assert failure_of(await refusal_of(response)).kind == kind
