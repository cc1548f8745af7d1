"""`everturn chat`: a conversation with the running service, or one question and its answer.

A client like any other: it knows the service by its HTTP routes alone, and imports nothing of it.
"""

from everturn.server.cli.chat.conversation import chat

__all__ = ["chat"]
