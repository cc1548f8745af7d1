"""What one caller may, where it is another amount than what is set for all.

    a key's row, a token's claim or a project's `auth` -> members of the caller -> `Allowance`

It is checked where it is made: by the command that makes a key, and when a caller comes in. It goes
with the caller, so a run that waits keeps to what its caller had when they asked for it.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from structlog import get_logger

from everturn.server.access.limit_notation import parse_limits

log = get_logger(__name__)


class InvalidAllowance(ValueError):
    """An amount cannot be read; names it, and says what can, and nothing of what it is."""


def _can_be_read(text: str) -> str:
    parse_limits(text)
    return text


Rate = Annotated[str, AfterValidator(_can_be_read)]


class Allowance(BaseModel):
    """What one caller may; None is what is set for all."""

    model_config = ConfigDict(frozen=True, strict=True)

    rate_limit: Rate | None = None
    """Turns, as `EVERTURN_RATE_LIMIT` is written."""
    request_limit: Rate | None = None
    """Other requests, in the same way."""
    max_runs: int | None = Field(default=None, ge=1)
    """Under way at once, in all processes."""
    max_tool_calls: int | None = Field(default=None, ge=1)
    """In one turn."""
    budget_day: float | None = Field(default=None, ge=0, le=1_000_000, allow_inf_nan=False)
    """US dollars."""
    tokens_day: int | None = Field(default=None, ge=0, le=1_000_000_000_000)
    turn_timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds of one turn. This and the next guard the machine: the smaller one counts, this one or
    what is set for all."""
    max_body_size: int | None = Field(default=None, ge=1024)
    """Bytes of one request's body."""

    @property
    def named(self) -> dict[str, Any]:
        """The amounts that differ from what is set, as members of a caller."""
        return self.model_dump(exclude_none=True)


NOTHING_OF_THEIR_OWN = Allowance()


def read_allowance(members: Mapping[str, Any]) -> Allowance:
    """Read what is said of a caller; other members are not looked at.

    Raises:
        InvalidAllowance: an amount cannot be read.
    """
    if Allowance.model_fields.keys().isdisjoint(members):
        return NOTHING_OF_THEIR_OWN
    try:
        return Allowance.model_validate(members)
    except ValidationError as error:
        flaws = error.errors(include_url=False, include_input=False, include_context=False)
        said = (f"{flaw['loc'][0]} {_advice(flaw['msg'])}" for flaw in flaws)
        raise InvalidAllowance("; ".join(said)) from None


def allowance_of(caller: Mapping[str, Any] | None) -> Allowance:
    """Return what a caller may, who was let in; None, the service itself, has nothing of its own.

    A stored run can have a caller whom an earlier version let in with an amount that cannot be
    read. The run is not lost for it: what is set for all counts.
    """
    try:
        return read_allowance(caller or {})
    except InvalidAllowance as error:
        log.warning("allowance_not_read", advice=str(error))
        return NOTHING_OF_THEIR_OWN


def _advice(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should", "must")
