"""Becomes the program in its arguments, tied to its parent: the kernel ends it with the parent.

    python -I -S tied.py PARENT_PID PROGRAM ARGUMENT…

A process must ask for this itself, after the fork. `preexec_fn` could, but it runs Python in the
copy of a process with threads, where it may wait for ever for a lock that no thread is left to
release. `setpriv --pdeathsig` is not on every Linux. Linux only: man 2 prctl, PR_SET_PDEATHSIG.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process, then become the program."""
    parent, *command = sys.argv[1:]
    # SIGTERM and not SIGKILL: the server still writes what it has answered but not yet written.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before the kernel was asked
        sys.exit("the parent has ended")
    os.execv(command[0], command)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
