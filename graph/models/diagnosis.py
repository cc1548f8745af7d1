"""Which setting is wrong where a model does not answer: its failure, read beside `GET /models`.

A failure alone does not tell a wrong name from a wrong address, since both are a 404. The provider
that lists its models has the right address.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from pydantic import HttpUrl

from everturn.graph.models import advice
from everturn.graph.models.failures import CallFailed, Failure, Kind
from everturn.graph.models.provider import open_models
from everturn.graph.models.settings import ModelSettings, without_user

_MAX_NAMES = 10
_ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/models")
_NO_API: frozenset[Kind] = frozenset({"not_found", "malformed", "bad_request", "unavailable"})
"""What a server answers that is no such API, or has it elsewhere."""
_NO_SUCH_MODEL: frozenset[Kind] = frozenset({"not_found", "bad_request", "unavailable"})
"""What a provider answers for a name it does not know."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a model does not answer, in one sentence or two, and the setting to change."""

    setting: Literal["base_url", "openai_api_key", "openrouter_api_key", "models"] | None
    """A field of ModelSettings; `None` where none of them is surely wrong."""
    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What `GET /models` says."""

    names: Sequence[str] = ()
    failure: Failure | None = None
    """Why it lists nothing."""
    working_url: str | None = None
    """An address that lists models, where the configured one does not."""


def problem_of(name: str, failure: Failure, settings: ModelSettings, listing: Listing) -> Problem:
    """Find the setting that keeps a model from answering."""
    said = words_of(failure, settings)
    if failure.kind == "invalid_api_key":
        return _wrong_key(settings, said)
    if text := _wrong_address(failure, settings, listing, said):
        return Problem("base_url", text)
    unlisted = listing.failure is None and name not in listing.names
    if unlisted and failure.kind in _NO_SUCH_MODEL:
        text = f"the provider has no model {name!r} ({said}). {_instead(name, listing.names)}"
        return Problem("models", text)
    return Problem(None, _hidden(advice.explained(failure), settings).rstrip("."))


def words_of(failure: Failure, settings: ModelSettings) -> str:
    """Say what went wrong and what the provider wrote, in one line without keys."""
    return _hidden(advice.words_of(failure), settings).rstrip(".")


def shown_url(settings: ModelSettings) -> str:
    """Return the provider's address, without a password."""
    return without_user(HttpUrl(str(settings.provider_url)))


async def working_url(settings: ModelSettings, failure: Failure) -> str | None:
    """Look for the address that was meant: without the endpoint in it, or with /v1.

    Args:
        settings: those whose address lists no models.
        failure: why it does not.
    """
    if settings.base_url is None or failure.kind not in _NO_API:
        return None
    url = str(settings.base_url).rstrip("/")
    bare = next((url.removesuffix(end) for end in _ENDPOINTS if url.endswith(end)), url)
    for candidate in (bare, f"{bare}/v1", f"{bare}/api/v1"):
        other = settings.model_copy(update={"base_url": HttpUrl(candidate)})
        if candidate != url and await _lists(other):
            return shown_url(other)
    return None


async def _lists(settings: ModelSettings) -> bool:
    async with open_models(settings) as models:
        try:
            await models.refresh()
        except CallFailed:
            return False
    return True


def _wrong_key(settings: ModelSettings, said: str) -> Problem:
    url, key = shown_url(settings), settings.api_key
    if key is None:
        return Problem("openai_api_key", f"{url} wants a key and none is set ({said}). Set it")
    if key is settings.openai_api_key:
        return Problem("openai_api_key", f"{said}. Set a key of {url}")
    return Problem("openrouter_api_key", f"{said}. Set a key of {url}")


def _wrong_address(
    failure: Failure, settings: ModelSettings, listing: Listing, said: str
) -> str | None:
    url = shown_url(settings)
    if failure.kind == "unreachable":
        return f"{url} cannot be reached: {said}. Check host, port and http(s)"
    if failure.kind == "tls_failed":
        return (
            f"{url}: {said}. Name the host that its certificate is for, or trust its authority "
            "with SSL_CERT_FILE; http:// is without TLS"
        )
    if listing.working_url:
        return f"no models answer at {url} ({said}). They do at {listing.working_url}: set that"
    if failure.kind in _NO_API and listing.failure and listing.failure.kind in _NO_API:
        return f"no OpenAI-compatible API answers at {url} ({said}). It is often at …/v1"
    return None


def _instead(name: str, listed: Sequence[str]) -> str:
    """List the names that come closest."""
    if not listed:
        return "It lists none"

    def likeness(other: str) -> float:
        return SequenceMatcher(None, name.lower(), other.lower()).ratio()

    closest = sorted(listed, key=likeness, reverse=True)[:_MAX_NAMES]
    more = len(listed) - len(closest)
    return f"It lists {', '.join(closest)}{f' and {more} more' if more else ''}"


def _hidden(text: str, settings: ModelSettings) -> str:
    """Mask the key that is in use, whatever it looks like."""
    key = settings.api_key
    return text.replace(key.get_secret_value(), "********") if key else text
