"""How a request to the engine can fail, named by what the caller should do next.

RunError
  x ConfigError       the operator: `langgraph.json` cannot be served; says file, key and reason
  x GraphNotFound     the caller: names the graphs there are
  x InvalidInput      the caller: says which part of the input is wrong
  x SessionNotFound   the caller: begin a new session
  x NothingWaits      the caller: look at the session, somebody else has answered
  x TurnTimeout       try again: the turn did not end in its time
  x ShuttingDown      try again soon: the service is being stopped or restarted
"""


class RunError(Exception):
    """Base of every error that the engine raises on purpose."""


class ConfigError(RunError):
    """`langgraph.json`, or a graph it names, cannot be loaded."""


class GraphNotFound(RunError):
    """No graph of this name is served."""


class InvalidInput(RunError):
    """The input, command, context or config does not fit the graph."""


class SessionNotFound(RunError):
    """The session never was, was deleted, or has expired."""


class NothingWaits(RunError):
    """There is nothing to resume: no turn of the session waits for an answer, or not for this."""


class TurnTimeout(RunError):
    """The turn did not end in the time that one turn may take."""


class ShuttingDown(RunError):
    """The service is being stopped, and takes or finishes no more turns."""
