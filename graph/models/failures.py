"""How a model call fails: a pure function from what happened to a class of failure.

The classes follow what can be done about them, not which exception the client raised.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal

from everturn.graph.models.limits import retry_after
from everturn.graph.models.media_refusals import refusal_of_media
from everturn.graph.models.obstacles import obstacle_in
from everturn.graph.models.text import whole

Kind = Literal[
    "invalid_api_key",  # 401, 403 for the key: no other model of this provider would answer
    "payment_required",  # 402: nothing that costs money
    "rate_limited",  # 429 for one model
    "account_limited",  # 429 for all free models of the account
    "not_found",  # 404, or a 400 that says so: no such model
    "no_tool_support",  # 404, or a 400 that says so: the model takes no tools
    "no_image_support",  # the same of pictures
    "no_audio_support",  # of sound
    "no_video_support",  # of videos
    "no_file_support",  # of files
    "unreadable_media",  # a 400 that says so: a picture or a file that the provider cannot read
    "context_too_long",  # 413, or a 400 that says so
    "bad_request",  # 400, 422
    "moderated",  # 403: the provider refused the input
    "unavailable",  # 408, 409, 5xx, and everything else that may pass
    "unreachable",  # refused, DNS, reset before the first token
    "tls_failed",  # its certificate is not accepted, or it speaks no TLS
    "proxy_failed",  # 407, or a proxy that opens no way to the provider
    "timeout",  # no first token in time
    "stalled",  # silent in the middle of an answer
    "cut",  # broke off in the middle, or ended without saying that it was finished
    "malformed",  # not JSON, no choices
    "broken_tool_call",  # arguments that are no JSON object
    "empty",  # nothing said and nothing called
    "filtered",  # ended by the provider's content filter
    "wrong_tool_call",  # an unknown tool or wrong arguments, and it was asked twice to correct them
    "schema_mismatch",  # an answer that does not fit the schema that the caller gave
    "unoffered_tool",  # calls a tool though it was offered none
    "tool_loop",  # calls tools although only an answer was allowed
    "outrun",  # hedged: another model spoke first
    "no_candidate",  # none was asked: the caller's wishes fit no model
    "circuit_open",  # none was asked: all that fit have failed a moment ago
    "out_of_time",  # the turn has no time left to ask a model
    "internal",  # a bug of ours
]

_ACCOUNT = r"^(?!.*(?:/[\w.-]+:free|for model)).*free-models-per-"
"""A limit of the account. One that names a model is that model's alone."""

_BY_STATUS: dict[int, Kind] = {
    400: "bad_request",
    401: "invalid_api_key",
    402: "payment_required",
    403: "invalid_api_key",
    404: "not_found",
    407: "proxy_failed",
    413: "context_too_long",
    422: "bad_request",
    429: "rate_limited",
}
# Providers repeat the status as the code, so that only the text tells some refusals apart.
# The texts: https://openrouter.ai/docs/api-reference/errors and …/limits, OpenAI's own, and those
# of others that refuse with a plain 400 a key (Gemini), a length (Anthropic, Gemini, llama.cpp) or
# tools (Ollama, vLLM). A page of HTML is a gateway's: it knows no keys.
_BY_TEXT: tuple[tuple[Kind, Kind, re.Pattern[str]], ...] = (
    (
        "bad_request",
        "context_too_long",
        re.compile(
            r"context.{0,20}(length|size|window)|too many tokens|prompt is too long"
            r"|maximum number of tokens"
        ),
    ),
    ("bad_request", "invalid_api_key", re.compile(r"api key not valid")),
    ("bad_request", "no_tool_support", re.compile(r"not support tools|tool choice requires")),
    ("bad_request", "not_found", re.compile(r"not a valid model|model.{0,80}does not exist")),
    ("invalid_api_key", "moderated", re.compile(r"moderation|flagged")),
    ("invalid_api_key", "not_found", re.compile(r"access to (this )?model")),
    ("invalid_api_key", "unavailable", re.compile(r"^http 403\b.*<html", re.DOTALL)),
    ("not_found", "no_tool_support", re.compile(r"support.{0,10}tool|tool.{0,20}support")),
    ("rate_limited", "account_limited", re.compile(_ACCOUNT, re.DOTALL)),
    ("rate_limited", "payment_required", re.compile(r"insufficient quota")),
)
_BY_NAME: dict[str, int] = {
    # What stands for a status where there is none: the code, type or status of an error object.
    # OpenAI's: https://platform.openai.com/docs/guides/error-codes, Anthropic's:
    # https://docs.anthropic.com/en/api/errors, Google's: https://cloud.google.com/apis/design/errors,
    # Databricks': https://docs.databricks.com/api/workspace/introduction.
    "invalid_api_key": 401,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "insufficient_quota": 402,
    "billing_error": 402,
    "model_not_found": 404,
    "not_found_error": 404,
    "not_found": 404,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "server_error": 500,
    "api_error": 500,
    "internal_server_error": 500,
    "internal": 500,
    "overloaded_error": 529,
    "unavailable": 503,
    "service_unavailable": 503,
    "deadline_exceeded": 504,
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "invalid_argument": 400,
    "bad_request": 400,
    "request_limit_exceeded": 429,
    "internal_error": 500,
    "temporarily_unavailable": 503,
}
_BY_WORDS: tuple[tuple[int, re.Pattern[str]], ...] = (
    # For an error that has neither status nor code.
    (429, re.compile(r"rate.?limit|too many requests")),
    (401, re.compile(r"(invalid|incorrect|missing).{0,20}api key|unauthorized")),
    (503, re.compile(r"overloaded|unavailable|internal server error|timed out")),
)
_TOLD: dict[Kind, str] = {
    # What a status alone does not tell the caller.
    "invalid_api_key": "the provider refused the API key",
    "payment_required": "the account has no credit left",
    "context_too_long": "the conversation is too long for the model",
    "moderated": "the provider's moderation refused",
    "no_tool_support": "the model takes no tools",
    "no_image_support": "the model takes no pictures",
    "no_audio_support": "the model takes no sound",
    "no_video_support": "the model takes no videos",
    "no_file_support": "the model takes no files",
    "unreadable_media": "the provider cannot read a picture or a file",
}
_MIDWAY: dict[Kind, Kind] = {"timeout": "stalled", "unreachable": "cut"}
_SECRET = re.compile(
    # A key by its prefix, or any long word with a digit in it, with what is hyphenated to it.
    r"\b(?:(?:sk|pk|key)-[\w*.-]{4,}|(?:\w+[-.])*(?=[a-z_]*\d)\w{12,})",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, colours it, or turns the order of characters around."""
_MAX_DETAIL = 300
_MAX_SEARCHED = 1000
"""Characters: a provider may repeat what a user wrote, and a long search would stop all turns."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call: its class, and a sentence fit for the caller."""

    kind: Kind
    message: str
    detail: str = ""
    """What the provider wrote, for the operator's log: it may name accounts, but no keys."""
    retry_after: float | None = None
    """Seconds until the provider wants to be asked again, where it said so."""


class CallFailed(Exception):
    """A model call whose failure is known where it is raised."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: Exception, *, midway: bool = False) -> Failure:
    """Classify what a model call raised; `midway` says that its answer had started."""
    if isinstance(error, CallFailed):
        return error.failure
    failure = _failure_of(error)
    if midway and failure.kind in _MIDWAY:
        return replace(failure, kind=_MIDWAY[failure.kind])
    return failure


def failure_in(error: Any) -> Failure:
    """Classify an error that came in a 200 or in a stream: `{"code", "message", …}`, or a text."""
    return failure_of(ValueError(error if isinstance(error, dict) else {"message": str(error)}))


def error_in(body: object) -> Any:
    """Return the error that a body holds, an object or a text; `None` where it holds none.

    It stands under `error` (OpenAI), in a list (Gemini), in a choice (OpenRouter), or is the body
    itself, with a `message` (vLLM, Mistral) or a `detail` (FastAPI).
    """
    if isinstance(body, list):
        return next((error for each in body if (error := error_in(each))), None)
    if not isinstance(body, dict):
        return None
    if error := body.get("error"):
        return error_in(error) or error
    choices = body.get("choices")
    if isinstance(choices, list):
        return next((error for each in choices if (error := _error_of(each))), None)
    message = body.get("message") or body.get("detail")
    if message and (body.get("object") == "error" or "usage" not in body):
        return {"details": message, **body, "message": _sentence(message)}
    return None


def _sentence(message: Any) -> str:
    """Write what is wrong with a request, which FastAPI lists place by place, as one sentence."""
    if isinstance(message, dict) and "detail" in message:
        return _sentence(message["detail"])
    if isinstance(message, list):
        return "; ".join(map(_sentence, message))
    if isinstance(message, dict) and isinstance(message.get("loc"), list):
        return f"{'.'.join(map(str, message['loc']))}: {message.get('msg')}"
    return str(message)


def _error_of(choice: object) -> Any:
    return choice.get("error") if isinstance(choice, dict) else None


def _failure_of(error: Exception) -> Failure:
    # The client library is slow to import; code that raised one of its errors has imported it.
    import openai

    if _body(error).get("code") == "context_length_exceeded":  # OpenAI's, with or without a status
        return Failure("context_too_long", _TOLD["context_too_long"], _detail(error))
    status = _status(error)
    if status is not None:
        return _failed_with(status, error)
    if isinstance(error, openai.APITimeoutError | asyncio.TimeoutError):
        return Failure("timeout", "the provider was silent for too long")
    undecodable = type(error).__name__ == "DecodingError"  # httpx2's: not packed as it says
    of_transport = type(error).__module__.partition(".")[0] in {"httpx", "httpx2", "httpcore2"}
    if (of_transport and not undecodable) or isinstance(error, openai.APIConnectionError | OSError):
        kind, said = obstacle_in(error) or ("unreachable", "the connection to the provider failed")
        return Failure(kind, said, _detail(error))
    misread = openai.OpenAIError | ValueError | TypeError | LookupError | AttributeError
    if undecodable or isinstance(error, misread):
        return Failure("malformed", "the provider's answer cannot be read", _detail(error))
    return Failure("unavailable", type(error).__name__, _detail(error))


def _status(error: Exception) -> int | None:
    """Find an HTTP status: of the response, or in the error object of a 200 or a stream."""
    body = _body(error)
    response = getattr(error, "response", None)
    values = [getattr(each, "status_code", None) for each in (error, response)]
    values.append(getattr(error, "code", None))
    values += [body.get(name) for name in ("code", "status", "status_code", "error_code", "type")]
    for value in values:
        if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
            if 400 <= int(value) <= 599:  # noqa: PLR2004 - HTTP's errors
                return int(value)
        elif isinstance(value, str) and value.lower() in _BY_NAME:
            return _BY_NAME[value.lower()]
    said = str(body.get("message") or "").lower()
    return next((status for status, words in _BY_WORDS if words.search(said)), None)


def _failed_with(status: int, error: Exception) -> Failure:
    text = f"{error} {_body(error).get('code')}".lower().replace("_", " ")
    kind = _BY_STATUS.get(status, "unavailable")
    for general, special, pattern in _BY_TEXT:
        if kind == general and pattern.search(text):
            kind = special
            break
    else:
        # OpenRouter repeats there what the provider behind it has said.
        raw = str(_body(error).get("metadata")).lower().replace("_", " ")
        kind = refusal_of_media(status, f"{text} {raw}") or kind
    return Failure(kind, _told(kind, status), _detail(error), _retry_after(error))


def _told(kind: Kind, status: int) -> str:
    if kind in _TOLD:
        return f"{_TOLD[kind]} (HTTP {status})"
    known = status in HTTPStatus.__members__.values()
    return f"HTTP {status} {HTTPStatus(status).phrase}" if known else f"HTTP {status}"


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return retry_after(headers, _body(error), str(error))


def _detail(error: Exception) -> str:
    text = _body(error).get("message") or getattr(error, "message", None) or error
    return detail_of(str(text))


def detail_of(text: str) -> str:
    """Return what a provider wrote, fit for a line that people read: short, and without keys."""
    line = _CONTROL.sub(" ", whole(text[:_MAX_SEARCHED]))
    return _SECRET.sub("…", line)[:_MAX_DETAIL]


def _body(error: Exception) -> Mapping[str, Any]:
    """Return the provider's error object, which LangChain raises as a bare `ValueError(dict)`."""
    body = getattr(error, "body", None) or (error.args[0] if error.args else None)
    return body if isinstance(body, dict) else {}
