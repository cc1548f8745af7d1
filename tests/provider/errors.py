"""Refusals as OpenRouter words them: a status, a JSON error, and headers that say when to return.

Texts are the ones users of OpenRouter report; a router has to tell some of them apart by text,
because the code repeats the status: https://openrouter.ai/docs/api-reference/errors.
"""

from __future__ import annotations

from typing import Any

from tests.provider.script import Fault, Request

MESSAGES = {
    400: "Provider returned error",
    401: "User not found.",
    402: "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
    403: "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys",
    404: "No endpoints found for {model}.",
    408: "Request timed out",
    409: "Conflict",
    413: "Request Entity Too Large",
    422: "Input should be a valid list",
    429: "Provider returned error",
    500: "Internal Server Error",
    502: "Provider returned error",
    503: "There is no available model provider that meets your routing requirements",
    504: "Gateway Timeout",
    529: "Provider overloaded",
    "account_wide": "Rate limit exceeded: free-models-per-day. "
    "Add 10 credits to unlock 1000 free model requests per day",
    "moderation": "{model} requires moderation. Your input was flagged for violence.",
    "no_tools": "No endpoints found that support tool use. To learn more about provider routing, "
    "visit: https://openrouter.ai/docs/provider-routing",
    "unknown_model": "{model} is not a valid model ID",
    "context_too_long": "This endpoint's maximum context length is 8192 tokens. However, you "
    "requested about 9000 tokens (8000 of text input, 1000 in the output). Please reduce the "
    'length of either one, or use the "middle-out" transform to compress your prompt.',
    "context_length_exceeded": "This model's maximum context length is 8192 tokens. However, your "
    "messages resulted in 9000 tokens. Please reduce the length of the messages.",
}

NAMED_STATUSES = {
    "moderation": 403,
    "no_tools": 404,
    "unknown_model": 400,
    "context_too_long": 400,
    "context_length_exceeded": 400,
}


def status_of(fault: Fault) -> int | None:
    """The HTTP status of a refusal; None when the fault is no refusal."""
    return fault.kind if isinstance(fault.kind, int) else NAMED_STATUSES.get(fault.kind)


def error_body(fault: Fault, code: int | str, request: Request) -> dict[str, Any]:
    """`{"error": {"message", "code", …}}` for a refusal or for an error inside a 200."""
    return {"error": {"message": message_of(fault, code, request), **details(fault, code, request)}}


def message_of(fault: Fault, code: int | str, request: Request) -> str:
    known = "account_wide" if fault.account_wide else fault.kind
    template = MESSAGES.get(known) or MESSAGES.get(code, "Provider returned error")
    return fault.message or template.format(model=request.model)


def details(fault: Fault, code: int | str, request: Request) -> dict[str, Any]:
    if fault.kind == "context_length_exceeded":  # OpenAI's own shape
        return {
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    if fault.kind == "moderation":
        flagged = {"reasons": ["violence"], "flagged_input": "…", "model_slug": request.model}
        return {"code": code, "metadata": {**flagged, "provider_name": "Fake"}}
    if limits := rate_limit_headers(fault):
        return {"code": code, "metadata": {"headers": limits, "provider_name": None}}
    if code == 429:
        raw = f"{request.model} is temporarily rate-limited upstream. Please retry shortly."
        return {"code": code, "metadata": {"raw": raw, "provider_name": "Fake"}}
    return {"code": code}


def return_headers(fault: Fault) -> dict[str, str]:
    """The headers of a refusal that say when to come back."""
    after = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    return {**after, **rate_limit_headers(fault)}


def rate_limit_headers(fault: Fault) -> dict[str, str]:
    """OpenRouter's limits, which it repeats inside the body; the reset is epoch milliseconds."""
    if fault.reset_at is None:
        return {}
    return {
        "X-RateLimit-Limit": "50",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(fault.reset_at),
    }
