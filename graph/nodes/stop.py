"""The end without an answer: a person must act first, or wait."""

from datetime import UTC, datetime
from typing import Never

from everturn.graph.errors import (
    AgentError,
    InvalidAPIKey,
    NoModelFits,
    NoModelLeft,
    ProviderFailed,
    RequestRefused,
)
from everturn.graph.models.blocks import PLURALS
from everturn.graph.models.circuits import UNSUPPORTED
from everturn.graph.state import Route, State
from everturn.graph.steps.route import public

_REFUSALS = {"bad_request", "moderated", "context_too_long", "unreadable_media"}


async def stop(state: State) -> Never:
    """Raise the one clear error of this run; no message is added to the thread.

    Raises:
        InvalidAPIKey: the provider refused the key.
        RequestRefused: models agree that the request is wrong, not allowed or too long.
        NoModelFits: no model takes what the user shows.
        NoModelLeft: no model answers, and the caller wants no offline answer.
        ProviderFailed: the only model that could be asked did not answer.
    """
    route = state.get("route")
    if route is None:  # resumed here by a client that did not see the error
        raise ProviderFailed("This turn ended without an answer; send the message again.")
    error = _error_of(route)
    error.route = public(route)
    raise error


def _error_of(route: Route) -> AgentError:
    attempt, kind = route["tried"][-1], route.get("stopped")
    if attempt["failure"] == "invalid_api_key":
        return InvalidAPIKey(attempt["message"])
    if kind == "invalid_api_key":
        return InvalidAPIKey("the provider refused the API key of another turn")
    if (unsupported := kind or attempt["failure"]) in UNSUPPORTED:
        what = PLURALS[UNSUPPORTED[unsupported]]
        return NoModelFits(
            f"No model that may be asked takes {what}. Send the message without them, name a model "
            "that takes them, or add one to EVERTURN_MODELS."
        )
    if kind in _REFUSALS:
        return RequestRefused(f"The models refuse this request: {attempt['message']}")
    if kind is not None:
        back = route.get("expected_back")
        return NoModelLeft(
            f"No model can answer now: {attempt['message']}", _seconds_until(back) if back else None
        )
    return ProviderFailed(f"The model {attempt['model']} did not answer: {attempt['message']}")


def _seconds_until(moment: str) -> float:
    return max(1.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds())
