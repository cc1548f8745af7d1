"""How a model call fails: a pure function from what happened to a class of failure.

The classes follow what can be done about them, not which exception the client raised.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from langchain_core.messages import AIMessage

Kind = Literal[
    "invalid_api_key",  # 401, 403 for the key: no other model of this provider would answer
    "payment_required",  # 402
    "rate_limited",  # 429
    "not_found",  # 404: no such model, or none that can do what was asked
    "context_too_long",  # 413, or a 400 that says so
    "bad_request",  # 400, 422
    "unavailable",  # 408, 409, 5xx, and everything else that may pass
    "unreachable",  # refused, DNS, reset
    "timeout",  # silent for too long
    "malformed",  # not JSON, no choices, broken tool calls
    "cut",  # ended without saying that it was finished
    "empty",  # nothing said and nothing called
    "filtered",  # refused by the provider's content filter
    "no_candidate",  # nobody was asked: the caller's wishes fit no model
    "unoffered_tool",  # calls a tool though it was offered none
    "tool_loop",  # calls tools although it was told to answer
]

STOPS: frozenset[str] = frozenset({"invalid_api_key"})
"""After these nobody else is asked: the next call would fail for the same reason."""

_BY_STATUS: dict[int, Kind] = {
    400: "bad_request",
    401: "invalid_api_key",
    402: "payment_required",
    403: "invalid_api_key",
    404: "not_found",
    413: "context_too_long",
    422: "bad_request",
    429: "rate_limited",
}
# A key is a long run without spaces, with digits in it; so is an id, which nobody misses here.
_SECRET = re.compile(r"\b(?=[\w*.~+/=-]*\d)[\w*.~+/=-]{16,}|\b(?:sk|pk|key)-[\w*.-]{4,}")
_LONGEST_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call: its class, and what may be said of it."""

    kind: Kind
    message: str
    """For the caller: nothing that the provider wrote, which may hold keys and prompts."""
    detail: str = ""
    """For the log: the provider's words, without what looks like a key."""


def failure_of(error: Exception) -> Failure:
    """Classify what a model call raised."""
    # The client library is slow to import; whoever raised one of its errors has imported it.
    import openai

    status = _status(error)
    if status is not None:
        return _failed_with(status, error)
    if isinstance(error, openai.APITimeoutError | asyncio.TimeoutError | TimeoutError):
        return Failure("timeout", "the provider was silent for too long")
    if isinstance(error, openai.APIConnectionError | OSError):
        return Failure("unreachable", "the provider cannot be reached")
    if type(error).__module__.partition(".")[0] in {"httpx", "httpx2", "httpcore2"}:
        return Failure("unreachable", "the connection to the provider broke")
    if isinstance(
        error, openai.OpenAIError | ValueError | TypeError | LookupError | AttributeError
    ):
        return Failure("malformed", "the provider's answer cannot be read", _brief(error))
    return Failure("unavailable", f"the call failed ({type(error).__name__})", _brief(error))


def flaw_of(answer: AIMessage) -> Failure | None:
    """Say what keeps an answer from being complete; `None` for a good one.

    A stream that ends cleanly without a finish reason was cut, whatever its text looks like.
    """
    finish = answer.response_metadata.get("finish_reason")
    if answer.invalid_tool_calls:
        return Failure("malformed", "the model's tool call is not valid JSON")
    if finish == "content_filter":
        return Failure("filtered", "the provider's content filter refused")
    if not finish:
        return Failure("cut", "the answer broke off before its end")
    if not (answer.tool_calls or answer.text.strip()):
        return Failure("empty", "the model said nothing")
    return None


def _status(error: Exception) -> int | None:
    """Find an HTTP status: of the response, or in the error object of a 200 or a stream."""
    for value in (
        getattr(error, "status_code", None),
        getattr(error, "code", None),
        _body(error).get("code"),
    ):
        if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
            return int(value)
    return None


def _failed_with(status: int, error: Exception) -> Failure:
    text = str(error).lower()
    kind = _BY_STATUS.get(status, "unavailable")
    if kind == "bad_request" and "context" in text and "length" in text:
        kind = "context_too_long"
    if kind == "invalid_api_key":
        if status == HTTPStatus.FORBIDDEN and "moderation" in text:
            return Failure("filtered", "the provider's moderation refused")
        return Failure(kind, f"the provider refused the API key (HTTP {status})")
    return Failure(kind, f"HTTP {status} {_phrase(status)}".rstrip(), _brief(error))


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _brief(error: Exception) -> str:
    text = _body(error).get("message") or getattr(error, "message", None) or error
    return _SECRET.sub("…", str(text))[:_LONGEST_DETAIL]


def _body(error: Exception) -> Mapping[str, Any]:
    """Return the provider's error object, which LangChain raises as a bare `ValueError(dict)`."""
    body = getattr(error, "body", None) or (error.args[0] if error.args else None)
    return body if isinstance(body, dict) else {}
