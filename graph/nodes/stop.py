"""The end without an answer: somebody must act first, or wait."""

from datetime import UTC, datetime
from typing import Never

from graph.errors import InvalidAPIKey, NoModelLeft, ProviderFailed, RequestRefused
from graph.state import State

_REFUSALS = {"bad_request", "moderated", "context_too_long"}


async def stop(state: State) -> Never:
    """Raise the one clear error of this run; no message is added to the thread.

    Raises:
        InvalidAPIKey: the provider refused the key.
        RequestRefused: models agree that the request is wrong, not allowed or too long.
        NoModelLeft: nobody answers, and the caller wants no offline answer.
        ProviderFailed: the only model that could be asked did not answer.
    """
    route = state["route"]
    attempt, kind = route["tried"][-1], route.get("stopped")
    if attempt["failure"] == "invalid_api_key":
        raise InvalidAPIKey(attempt["message"])
    if kind in _REFUSALS:
        raise RequestRefused(f"The models refuse this request: {attempt['message']}")
    if kind is not None:
        back = route.get("expected_back")
        raise NoModelLeft(
            f"No model can answer now: {attempt['message']}", _seconds_until(back) if back else None
        )
    raise ProviderFailed(f"The model {attempt['model']} did not answer: {attempt['message']}")


def _seconds_until(moment: str) -> float:
    return max(1.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds())
