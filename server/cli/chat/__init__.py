"""`everturn chat`: a conversation with the running service, in a terminal or through a pipe.

A client like any other: it knows the service by its HTTP routes alone, and imports nothing of it.
"""

from everturn.server.cli.chat.conversation import chat

__all__ = ["chat"]
