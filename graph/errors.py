"""How a run of the agent can end without an answer, named by who can do something about it.

AgentError
  x InvalidAPIKey    the operator: the provider refuses the configured key
  x ProviderFailed   nobody now: the model did not answer and nothing else may be asked
  x UnknownModel     the caller: there is no model of this name
"""


class AgentError(Exception):
    """Base of every error with which a run of the agent ends on purpose."""


class InvalidAPIKey(AgentError):
    """The provider refuses the API key; no other model of it would answer either."""


class ProviderFailed(AgentError):
    """The model did not answer, and the run may ask nobody else."""


class UnknownModel(AgentError):
    """The caller named a model that the catalogue does not have; the message names those it has."""
