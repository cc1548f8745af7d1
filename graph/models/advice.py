"""What an operator can change about a failure: one row a class, with the setting's name."""

import re

from everturn.graph.models.failures import Failure, Kind

_ADVICE: dict[Kind, str] = {
    "invalid_api_key": "check OPENAI_API_KEY, or with OpenRouter OPENROUTER_API_KEY",
    "payment_required": "add credit, or name a free model in EVERTURN_MODELS",
    "rate_limited": "more models in EVERTURN_MODELS would help",
    "account_limited": "a model that is not free in EVERTURN_MODELS would help",
    "not_found": "check EVERTURN_MODELS and EVERTURN_BASE_URL",
    "no_tool_support": "name a model that takes tools in EVERTURN_MODELS",
    "no_image_support": "name a model that takes pictures in EVERTURN_MODELS",
    "no_audio_support": "name a model that takes sound in EVERTURN_MODELS",
    "no_video_support": "name a model that takes videos in EVERTURN_MODELS",
    "no_file_support": "name a model that takes files in EVERTURN_MODELS",
    "context_too_long": "lower EVERTURN_WINDOW, or name a model that reads more in EVERTURN_MODELS",
    "bad_request": "check EVERTURN_MODELS and EVERTURN_BASE_URL",
    "unreachable": "check EVERTURN_BASE_URL, and HTTPS_PROXY where a proxy is needed",
    "tls_failed": "SSL_CERT_FILE names whom to trust, EVERTURN_BASE_URL the host",
    "proxy_failed": "check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY",
    "timeout": "EVERTURN_FIRST_TOKEN_TIMEOUT would give it longer",
    "stalled": "EVERTURN_STALL_TIMEOUT would give it longer",
    "out_of_time": "EVERTURN_TURN_TIMEOUT would give the turn longer",
    "malformed": "check that EVERTURN_BASE_URL is an OpenAI-compatible address, often …/v1",
    "schema_mismatch": "name a model that takes response_format in EVERTURN_MODELS",
    "no_candidate": "name a model that fits in EVERTURN_MODELS",
}

_STATUS = re.compile(r"^HTTP \d+: ")
_PAGE = re.compile(r"<(html|!doctype|head|body|title|script|h\d|p|div|center)\b", re.IGNORECASE)


def explained(failure: Failure) -> str:
    """Say what happened, in the provider's own words too, and which setting would change it."""
    text = words_of(failure)
    advice = _ADVICE.get(failure.kind)
    named = "EVERTURN_" in failure.message  # who wrote the message knew better
    return text if named or not advice or advice in text else f"{text}; {advice}"


def words_of(failure: Failure) -> str:
    """Say what happened, and what the provider wrote, in one line."""
    detail = _STATUS.sub("", " ".join(failure.detail.split()))
    if _PAGE.search(detail):
        detail = "a page of HTML"
    said = failure.message
    return f"{said}: {detail}" if detail and detail not in said else said
