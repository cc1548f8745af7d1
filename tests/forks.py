"""Processes of the service without the start of an interpreter: forked from one that has it loaded.

A third of the time of all tests went into imports. A forked process is one of its own: it has its
own memory, sockets and signals, and dies as any other; only the imports are done. The nursery,
which is forked, runs no thread and no loop: there is nothing that a fork could cut in two.

    {"argv", "env", "cwd", "files", "session"} and a descriptor for each of `files`, which are the
    numbers that it shall have them under  -> [pid, null];  at its end: [pid, exit code]

A supervisor that was forked has its workers forked, too, by a nursery of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from tempfile import TemporaryFile
from typing import IO, Any

ROOT = Path(__file__).parents[1]
_MOST = 1 << 20
_MODULES = ("app", "cli.serve", "cli.worker", "cli.workers", "cli.supervisor", "cli.stores")
_ROOMS = (
    *("graph.models", "graph.nodes", "graph.specialists", "graph.steps", "graph.summaries"),
    "tools",
)
"""Of these all modules are loaded, which graphs or the first turn would load. The graphs' own pages
are not: that of the team reads its settings."""
_OTHERS = (
    "anyio._backends._asyncio",
    "anyio.streams.memory",
    "asyncpg",
    "graphlib",
    "langchain_core.messages.block_translators.langchain_v0",
    "langchain_core.tracers.context",
    "langchain_core.tracers.run_collector",
    "langchain_core.tracers.stdout",
    "openai.resources.chat",
    "sqlite3",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)
_COMMAND = (sys.executable, "-m", "everturn.server")
_READ_LATE = (
    "EVERTURN_",
    "OPENROUTER_",
    "OPENAI_",
    "REDIS_",
    "DATABASE_",
    "LOG_LEVEL",
    "LANGGRAPH_AES_KEY",
    "LANGSMITH_TRACING",
    "LANGSMITH_API_KEY",
    "LANGSMITH_ENDPOINT",
    "OTEL_BSP_",
    "OTEL_EXPORTER_",
    "OTEL_INSTRUMENTATION_",
    "OTEL_SERVICE_NAME",
)
"""Variables that nobody reads at an import."""
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""That one is read at an import, which is made good in the fork."""
_PATIENCE = 120
_HIGH = 200
"""Descriptors from there on are free."""


def may_fork(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Say whether a fork comes to the same: other variables may count at an import."""
    return (
        tuple(command[:3]) == _COMMAND
        and "PYTEST_CURRENT_TEST" in os.environ  # benchmarks measure the whole start
        and hasattr(socket, "send_fds")
        and all(name.startswith(_READ_LATE) for name in environment)
    )


class Forked:
    """A forked process, with what tests use of `subprocess.Popen`."""

    def __init__(self) -> None:
        self.pid = 0
        self.stderr: IO[str] | None = None
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

    def fork(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, files: Mapping[int, int]
    ) -> Forked:
        """Have a process run the command with these arguments, and with these of our files."""
        message = {"argv": [*argv], "env": dict(env), "cwd": str(cwd), "files": [*files]}
        with self._lock:
            self._next = child = Forked()
            socket.send_fds(self._ours, [json.dumps(message).encode()], [*files.values()])
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


def fork(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, stderr: int | None = None
) -> Forked:
    """Run the command of the service in a process of its own; see `may_fork`.

    Its standard error is `stderr`, or a pipe to be read here.
    """
    if stderr is not None:
        return _nursery().fork(command[3:], env, cwd, {2: stderr})
    reading, writing = os.pipe()
    try:
        child = _nursery().fork(command[3:], env, cwd, {2: writing})
    finally:
        os.close(writing)
    child.stderr = os.fdopen(reading, encoding="utf-8")
    return child


def run(
    words: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    *,
    said: str = "",
    forked: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run `everturn` with these words to its end, and return how it ended and what it said.

    Args:
        words: of the command line.
        cwd: where.
        environment: what it has beside that of the tests, of which it has none of our settings.
        said: to it, by standard input.
        forked: false for an interpreter that has nothing loaded.
    """
    command = [*_COMMAND, *words]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("EVERTURN_", "COV_"))}
    env = {**clean, "PYTHONPATH": str(ROOT), **environment}
    if not (forked and may_fork(command, environment)):
        return subprocess.run(
            command,
            cwd=cwd,
            env=env,
            input=said,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    with ExitStack() as opened:
        told, out, err = (
            opened.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in "123"
        )
        told.write(said)
        told.seek(0)
        files = {number: file.fileno() for number, file in enumerate((told, out, err))}
        code = _nursery().fork(words, env, cwd, files).wait(_PATIENCE)
        for each in (out, err):
            each.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


class _Workshop:
    """Starts the workers of a forked supervisor, in place of `asyncio.create_subprocess_exec`."""

    def __init__(self, nursery: socket.socket) -> None:
        self._nursery, self._unborn = nursery, deque[asyncio.Future[_Worker]]()
        self._living: dict[int, _Worker] = {}
        self._exec = asyncio.create_subprocess_exec

    async def start(self, *command: Any, **options: Any) -> Any:
        """Start a process: a worker is forked, and others are what they are."""
        if command[:3] != _COMMAND:
            return await self._exec(*command, **options)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._nursery, self._read)
        files = options["pass_fds"]
        message = {
            "argv": command[3:],
            "env": options["env"],
            "cwd": str(Path.cwd()),
            "files": files,
            "session": options["start_new_session"],
        }
        self._unborn.append(born := loop.create_future())
        socket.send_fds(self._nursery, [json.dumps(message).encode()], files)
        return await born

    def _read(self) -> None:
        pid, code = json.loads(self._nursery.recv(_MOST))
        if code is None:
            self._living[pid] = worker = _Worker(pid)
            if not (born := self._unborn.popleft()).done():  # else its starter was cancelled
                born.set_result(worker)
        else:
            self._living.pop(pid).has_ended(code)


class _Worker:
    """A forked worker, with what its supervisor uses of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None
        self._ended = asyncio.Event()

    async def wait(self) -> int | None:
        await self._ended.wait()
        return self.returncode

    def send_signal(self, sign: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, sign)

    def has_ended(self, code: Any) -> None:
        self.returncode = code
        self._ended.set()


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
            message, descriptors, *_ = socket.recv_fds(tests, _MOST, 3)
            if not message:
                sys.exit()
            if pid := os.fork():
                for descriptor in descriptors:
                    os.close(descriptor)
                tests.send(json.dumps([pid, None]).encode())
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            break
    for each in (tests, waking, wakes):
        each.close()
    asked: dict[str, Any] = json.loads(message)
    _number(descriptors, asked["files"])
    if asked.get("session"):
        os.setsid()
    return asked


def _number(descriptors: Sequence[int], numbers: Sequence[int]) -> None:
    """Give descriptors other numbers, of which some may be other ones' of now."""
    high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _HIGH) for each in descriptors]
    for each in descriptors:
        os.close(each)
    for each, number in zip(high, numbers, strict=True):
        os.dup2(each, number)
        os.close(each)


def _tell_of_ends(tests: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        tests.send(json.dumps([pid, os.waitstatus_to_exitcode(status)]).encode())


def _load() -> None:
    """Import all that a command, the start of the service or its first turn would import."""
    for module in ("__main__", *_MODULES):
        import_module(f"everturn.server.{module}")
    for room in _ROOMS:
        package = import_module(f"everturn.{room}")
        for each in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(each.name)
    for other in _OTHERS:
        import_module(other)
    gc.collect()
    gc.freeze()


def _fork_workers() -> dict[str, Any] | None:
    """Have the workers of this process forked; returns in it, and in each with what is asked."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        return _serve(theirs)
    theirs.close()
    asyncio.create_subprocess_exec = _Workshop(ours).start
    return None


def _main() -> int:
    _load()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if "--workers" in asked["argv"]:
        asked = _fork_workers() or asked
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    if _METRICS in os.environ:
        values = import_module("prometheus_client.values")
        vars(values)["ValueClass"] = values.get_value_class()
    import_module("langsmith.utils").get_env_var.cache_clear()  # what it has read at an import
    # As `python -m everturn.server` has it: what it starts itself begins with this module.
    command = sys.modules["__main__"] = import_module("everturn.server.__main__")
    sys.argv = [str(command.__file__), *asked["argv"]]
    sys.orig_argv[1:] = ["-m", "everturn.server", *asked["argv"]]
    code: int = command.main(asked["argv"])
    return code


if __name__ == "__main__":
    sys.exit(_main())
