"""What passes between a supervisor and a process that serves for it.

The worker inherits a socket to listen with, and a link: a stream by which it says that it serves.
The link's end says that the supervisor is gone.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any, NamedTuple, Self

_VARIABLE = "_EVERTURN_WORKER"
"""Not spelt as our settings are: it is none."""


class Supervised(NamedTuple):
    """The part of the worker."""

    number: int
    first: bool
    """Of its service: what is to be said once, it says."""
    listener: int
    link: int

    @classmethod
    def of_environment(cls) -> Self | None:
        """Read what the supervisor has left there; None for a process that has none.

        It is taken away: what this process starts is no worker.
        """
        said = os.environ.pop(_VARIABLE, None)
        if said is None:
            return None
        worker = cls(**json.loads(said))
        for descriptor in (worker.listener, worker.link):
            os.set_inheritable(descriptor, False)
        return worker

    def to_environment(self) -> dict[str, str]:
        """Return what `of_environment` reads."""
        return {_VARIABLE: json.dumps(self._asdict())}

    def open_listener(self) -> socket.socket:
        """Return the socket to listen with."""
        listener = socket.socket(fileno=self.listener)
        listener.setblocking(False)
        return listener

    def ready(self, **about: Any) -> None:
        """Say that this process serves, and what the supervisor should know of it."""
        os.write(self.link, json.dumps(about).encode() + b"\n")

    def when_alone(self, call: Callable[[], None]) -> None:
        """Have something called when the supervisor is gone."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            if not os.read(self.link, 1):
                loop.remove_reader(self.link)
                call()

        loop.add_reader(self.link, look)
