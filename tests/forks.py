"""Processes of the service without the start of an interpreter: forked from one that has it loaded.

A third of the time of all tests went into imports. A forked process is one of its own: it has its
own memory, sockets and signals, and dies as any other; only the imports are done. The nursery,
which is forked, runs no thread and no loop: there is nothing that a fork could cut in two.

    {"argv", "env", "cwd"} and a descriptor for stderr -> [pid, null];  at its end: [pid, exit code]
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
_MOST = 1 << 20
_MODULES = ("app", "cli.serve", "cli.worker", "cli.workers", "cli.supervisor", "cli.stores")
_OURS = ("EVERTURN_", "OPENROUTER_", "OPENAI_", "REDIS_", "DATABASE_", "LOG_LEVEL")
_PATIENCE = 120


def may_fork(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Say whether a fork comes to the same: other variables may count at an import."""
    ours = tuple(command[:3]) == (sys.executable, "-m", "everturn.server")
    return (
        ours
        and "PYTEST_CURRENT_TEST" in os.environ  # benchmarks measure the whole start
        and hasattr(socket, "send_fds")
        and all(name.startswith(_OURS) for name in environment)
    )


class Forked:
    """A forked process, with what tests use of `subprocess.Popen`."""

    def __init__(self, stderr: IO[str]) -> None:
        self.pid = 0
        self.stderr: IO[str] | None = stderr
        self.returncode: int | None = None
        self.born, self._ended = threading.Event(), threading.Event()

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            TimeoutExpired: it runs on.
        """
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        return self.returncode or 0

    def send_signal(self, sign: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and nobody has said so yet
                os.kill(self.pid, sign)

    def kill(self) -> None:
        """Take it away."""
        self.send_signal(signal.SIGKILL)

    def has_ended(self, code: int) -> None:
        """Know of its end."""
        self.returncode = code
        self._ended.set()


class _Nursery:
    """The process that is forked, as the tests see it."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forks", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=[theirs.fileno()],
            )
        self._lock = threading.Lock()
        self._next: Forked | None = None
        self._living: dict[int, Forked] = {}
        threading.Thread(target=self._read, name="nursery", daemon=True).start()
        atexit.register(self._ours.close)

    def fork(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Forked:
        """Have a process run the command with these arguments."""
        reading, writing = os.pipe()
        asked = json.dumps({"argv": [*argv], "env": dict(env), "cwd": str(cwd)}).encode()
        with self._lock:
            self._next = child = Forked(os.fdopen(reading, encoding="utf-8"))
            socket.send_fds(self._ours, [asked], [writing])
            os.close(writing)
            if not child.born.wait(_PATIENCE):
                raise RuntimeError("no process was forked")
        return child

    def _read(self) -> None:
        while message := self._ours.recv(_MOST):
            pid, code = json.loads(message)
            if code is not None:
                self._living.pop(pid).has_ended(code)
            elif child := self._next:
                child.pid = pid
                self._living[pid] = child
                child.born.set()


@cache
def _nursery() -> _Nursery:
    return _Nursery()


def fork(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Forked:
    """Run the command of the service in a process of its own; see `may_fork`."""
    return _nursery().fork(command[3:], env, cwd)


def _serve(tests: socket.socket) -> dict[str, Any]:
    """Fork whenever the tests ask for it; returns in the child, with what was asked."""
    waking, wakes = socket.socketpair()
    for each in (waking, wakes):
        each.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    with selectors.DefaultSelector() as selector:
        selector.register(tests, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if waking in ready:
                waking.recv(_MOST)
                _tell_of_ends(tests)
            if tests not in ready:
                continue
            message, descriptors, *_ = socket.recv_fds(tests, _MOST, 1)
            if not message:
                sys.exit()
            if pid := os.fork():
                os.close(descriptors[0])
                tests.send(json.dumps([pid, None]).encode())
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(descriptors[0], 2)
            for each in (tests, waking, wakes):
                each.close()
            os.close(descriptors[0])
            asked: dict[str, Any] = json.loads(message)
            return asked


def _tell_of_ends(tests: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        tests.send(json.dumps([pid, os.waitstatus_to_exitcode(status)]).encode())


def _main() -> int:
    for module in ("everturn.server.__main__", *(f"everturn.server.{each}" for each in _MODULES)):
        import_module(module)
    gc.collect()
    gc.freeze()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    # As `python -m everturn.server` has it: what it starts itself begins with this module.
    command = sys.modules["__main__"] = import_module("everturn.server.__main__")
    sys.argv = [str(command.__file__), *asked["argv"]]
    sys.orig_argv[1:] = ["-m", "everturn.server", *asked["argv"]]
    code: int = command.main(asked["argv"])
    return code


if __name__ == "__main__":
    sys.exit(_main())
