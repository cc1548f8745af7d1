"""Processes that begin warm: one that has imported the service forks each of them.

`python -m tests.soak.nursery` reads an order a line and answers with a process id; the child is
`everturn serve`, as it would be after its imports. What ends is said in a line, too.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any, NoReturn

IMPORTED = (
    *("everturn.server.cli.serve", "everturn.checkpoints.redis.aio", "asyncpg", "aiosqlite"),
    *("langgraph.pregel", "langchain_core.language_models.chat_models", "uvloop", "httptools"),
    *("everturn.server.cli.connections", "tests.soak.journal", "sse_starlette", "alembic.command"),
    *("everturn.graph.agent", "everturn.server.api.page.page", "sqlalchemy.dialects.sqlite"),
)


def main() -> None:
    """Fork what is asked for, until nothing more can be asked."""
    for name in IMPORTED:
        with contextlib.suppress(ImportError):
            __import__(name)
    signal.signal(signal.SIGCHLD, _ended)
    _say({"ready": os.getpid()})
    for line in sys.stdin:
        order = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            _child(order)
        _say({"started": pid})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _child(order: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        log = os.open(order["log"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        null = os.open(os.devnull, os.O_RDWR)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.chdir(order["folder"])
        for name in [each for each in os.environ if each.startswith("EVERTURN_")]:
            del os.environ[name]
        os.environ.update(order["environment"])
        code = _run(order)
    finally:
        os._exit(code)


def _run(order: dict[str, Any]) -> int:
    if order.get("seconds_behind"):
        from tests.soak.clock import set_behind

        set_behind(float(order["seconds_behind"]))
    from everturn.server.__main__ import main as everturn

    return everturn(["serve", *order["arguments"]])


def _ended(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _say(message: dict[str, Any]) -> None:
    os.write(1, (json.dumps(message) + "\n").encode())


if __name__ == "__main__":
    main()
