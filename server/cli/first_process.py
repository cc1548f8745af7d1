"""The first process of a container: the kernel gives it duties that the service leaves to it.

Signals without a handler are ignored there, and processes whose parent has ended become its
children, which stay in the table until somebody asks how they ended. So it does nothing else.
"""

import os
import signal
from types import FrameType

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def is_first() -> bool:
    """Whether this is the first process."""
    return os.getpid() == 1


def start_service() -> int | None:
    """Start a second process, which goes on as the service: None in that one.

    Returns:
        The exit code of the service, in the first process.
    """
    service = os.fork()
    if not service:
        os.setsid()  # Ctrl-C is sent to the first one alone, which passes it on
        return None

    def pass_on(sign: int, _: FrameType | None) -> None:
        os.kill(service, sign)

    for name in _PASSED_ON:
        signal.signal(getattr(signal, name), pass_on)
    while True:
        ended, status = os.wait()
        if ended == service:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
