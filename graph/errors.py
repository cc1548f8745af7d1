"""How a run of the agent can end without an answer, named by who can do something about it.

AgentError
  x InvalidAPIKey    the operator: the provider refuses the configured key
  x ProviderFailed   no one now: the model did not answer and no other may be asked
    x NoModelLeft    the caller, later: no model answers, and the offline model may not
  x RequestRefused   the caller: models agree that the request cannot be answered
  x UnknownModel     the caller: there is no model of this name
  x NoModelFits      the caller: the choices leave no model; says what is wrong with each
  x InvalidContent   the caller: a picture or a file cannot be sent; says which one and why
  x InvalidSchema    the caller: the schema for the answer is none; says what is wrong with it
"""

from everturn.graph.state import Answered


class AgentError(Exception):
    """Base of every error with which a run of the agent ends on purpose."""

    route: Answered | None = None
    """The models that were asked, and what that cost; `None` where none was asked."""


class InvalidAPIKey(AgentError):
    """The provider refuses the API key; no other model of it would answer either."""


class ProviderFailed(AgentError):
    """The model did not answer, and the run may ask no other."""


class NoModelLeft(ProviderFailed):
    """Every model that fits has failed, and the caller wants no offline answer."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Say when a model is expected back, in seconds from now, where that is known."""
        super().__init__(message)
        self.retry_after = retry_after


class RequestRefused(AgentError):
    """Models agree that this request is wrong, too long or not allowed; the message says which."""


class UnknownModel(AgentError):
    """The caller named a model that the catalogue does not have; the message names those it has."""


class NoModelFits(AgentError):
    """No model is as the caller wants it; the message says what keeps each of them out."""


class InvalidContent(AgentError):
    """A block of a message cannot be sent to any model; the message says which one and why."""


class InvalidSchema(AgentError):
    """What an answer should fit is no JSON Schema, or too large; the message says which."""
