"""Circuits: what a failure says about whom not to ask for a while. Pure, and without a clock.

A circuit stands for a model, for what a model cannot do, or for what an account may not. It opens

- surely, when the provider said so (a limit, no credits, no such model): it closes by itself;
- on suspicion, after failures in a row: then the model is asked last, and once its failures are
  many, only by a single caller who tries whether it is back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from everturn.graph.models.blocks import MEDIA, PLURALS, Medium
from everturn.graph.models.failures import Failure, Kind

KEY, FREE, PAID = "key", "free models", "paid models"
"""Circuits of the account; each model has one of its own name."""

State = Literal["closed", "half_open", "doubtful", "open"]
_WORSE: tuple[State, ...] = ("closed", "half_open", "doubtful", "open")


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of a circuit at one moment."""

    subject: str = ""
    """A model's name, or another name of this module."""
    state: State = "closed"
    """half_open: one caller may try; doubtful: to be asked when no other model is left."""
    seconds: float = 0.0
    """Until it may be asked again."""


View = Mapping[str, Circuit]
"""The circuits that are not closed, by subject."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a failure opens, and for how long."""

    subject: str
    seconds: float
    sure: bool


_SURE: dict[Kind, float] = {
    # Seconds, where the provider does not say. A key can be repaired at the provider without a
    # word to us: once a minute one caller may try.
    "invalid_api_key": 60.0,
    "payment_required": 300.0,
    "account_limited": 60.0,
    "not_found": 300.0,
    "no_tool_support": 3600.0,
    "no_image_support": 3600.0,
    "no_audio_support": 3600.0,
    "no_video_support": 3600.0,
    "no_file_support": 3600.0,
}
UNSUPPORTED: dict[str, Medium] = {f"no_{medium}_support": medium for medium in MEDIA}
"""By the class of a failure: what the model takes none of."""
_IN_ROW: dict[Kind, int] = {
    # How many of them in a row open the circuit; what is not here says nothing of a model's health.
    "unreachable": 1,
    "tls_failed": 1,
    "proxy_failed": 1,
    "timeout": 1,
    "rate_limited": 1,  # without a word on when to come back
    "unavailable": 3,
    "cut": 3,
    "stalled": 3,
    "malformed": 3,
    "outrun": 3,  # one slow start can be chance, several are the model's fault
}
GIVEN_UP = 6
"""So many failures in a row, and a model is no longer asked even when no other model is left."""
_COOL, _MAX_COOL = 5.0, 60.0  # seconds: doubled with each opening


def tools_of(model: str) -> str:
    """Name the circuit of a model's tool calls."""
    return f"{model} with tools"


def media_of(model: str, medium: Medium) -> str:
    """Name the circuit of what a model is shown beside text."""
    return f"{model} with {PLURALS[medium]}"


def counts(failure: Failure) -> bool:
    """Say whether a failure is one more in a row."""
    return failure.kind in _IN_ROW


def opening(model: str, failure: Failure, *, in_row: int, openings: int) -> Opening | None:
    """Say what a failure of a model opens; it is the `in_row`-th, after so many `openings`."""
    kind, retry_after = failure.kind, failure.retry_after
    if kind in _SURE:
        seconds = _SURE[kind] if retry_after is None else retry_after
        return Opening(_subject(model, kind), seconds, sure=True)
    if kind in _IN_ROW and retry_after is not None:
        return Opening(model, retry_after, sure=True)
    if kind in _IN_ROW and in_row >= _IN_ROW[kind]:
        return Opening(model, min(_COOL * 2**openings, _MAX_COOL), sure=False)
    return None


def _subject(model: str, kind: Kind) -> str:
    if kind in UNSUPPORTED:
        return media_of(model, UNSUPPORTED[kind])
    others = {
        "invalid_api_key": KEY,
        "payment_required": PAID,
        "account_limited": FREE,
        "no_tool_support": tools_of(model),
    }
    return others.get(kind, model)


def worst(view: View, subjects: Iterable[str]) -> Circuit:
    """Return the circuit that says most against asking."""
    found = [view[subject] for subject in subjects if subject in view]
    return max(found, key=lambda c: (_WORSE.index(c.state), c.seconds), default=Circuit())
