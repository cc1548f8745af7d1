"""Redaction by itself, whatever is switched on: for logs, and for traces."""

from everturn.graph.guards.kinds import finds_in, replaced
from everturn.graph.guards.pii import PII
from everturn.graph.guards.secrets import SECRETS


def redact(text: str, *, persons: bool = True) -> str:
    """Return a text with secrets, and data of `persons`, replaced by what they are: `[email]`."""
    return replaced(text, finds_in(text, (*SECRETS, *(PII if persons else ()))))
