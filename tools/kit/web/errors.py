"""What can go wrong with a request, named by what its caller should do next.

* WebError        its text may be shown to a model: it holds no key and no query
  x Unreachable   ask another service, or later
  x BadAnswer     it answered, but not what was asked for
  x Refused       never ask this; nothing was sent
"""


class WebError(Exception):
    """A request that brought nothing."""


class Unreachable(WebError):
    """No answer came, or not in time, or the service is not asked for a while."""


class BadAnswer(WebError):
    """An answer that is no use: its status, its size, its type, or what it says."""

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        """Keep the HTTP status, and the seconds after which the service wants to be asked again."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Refused(WebError):
    """An address that must not be asked."""
