"""Sample data: what a tool answers when no service does, the same for the same question.

It is marked in every answer, so that neither a model nor a person takes it for the world.
"""

from hashlib import sha256
from random import Random

SOURCE = "offline sample data"


def sample_note(what: str, reason: str = "no service was asked") -> str:
    """Return the sentence that says `what` was not looked up, and why."""
    return f"This is made-up sample data, not live {what}: {reason}."


def seeded(question: str) -> Random:
    """Return random numbers that are the same for `question` in any case and spacing."""
    plain = " ".join(question.split()).casefold()
    return Random(sha256(plain.encode("utf-8", "replace")).digest())
