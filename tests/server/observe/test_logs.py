"""A log line that cannot be made or written costs no answer and ends no process."""

import ast
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from everturn.checkpoints.local.data_dir import published_address
from tests.forks import Forked, fork, may_fork
from tests.service import ROOT, Client

if sys.platform != "linux":
    pytest.skip("full disks and pipes of a known size are Linux's", allow_module_level=True)

import fcntl

from tests.waiting import PATIENCE, eventually_sync

Made = Callable[[], AbstractContextManager[tuple[int, Callable[[], None]]]]
"""A standard error, and what spoils it."""
Started = subprocess.Popen[bytes] | Forked


@contextmanager
def closed_pipe() -> Iterator[tuple[int, Callable[[], None]]]:
    """A pipe whose reader leaves once the service runs."""
    reader, writer = os.pipe()
    yield writer, lambda: os.close(reader)


@contextmanager
def unread_pipe() -> Iterator[tuple[int, Callable[[], None]]]:
    """A pipe that is soon full, and that nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield writer, lambda: None
    os.close(reader)


@contextmanager
def full_disk() -> Iterator[tuple[int, Callable[[], None]]]:
    yield os.open("/dev/full", os.O_WRONLY), lambda: None


@contextmanager
def nothing() -> Iterator[tuple[int, Callable[[], None]]]:
    yield -1, lambda: None


@contextmanager
def lost_terminal() -> Iterator[tuple[int, Callable[[], None]]]:
    """A terminal whose window is closed once the service runs."""
    window, terminal = pty.openpty()
    yield terminal, lambda: os.close(window)


@contextmanager
def serving_to(stderr: int, data_dir: Path) -> Iterator[tuple[Started, str]]:
    """The service with this standard error, or without one; found as a client finds it."""
    command = [sys.executable, "-m", "everturn.server", "serve", "--port", "0"]
    settings = {
        "EVERTURN_CONFIG": str(ROOT / "langgraph.json"),
        "EVERTURN_DATA_DIR": str(data_dir),
        "LOG_LEVEL": "DEBUG",
    }
    env, cwd = {**os.environ, "PYTHONPATH": str(ROOT), **settings}, data_dir.parent
    running: Started
    if stderr < 0:  # an interpreter sees it as it starts
        closing = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
        running = subprocess.Popen(closing, cwd=cwd, env=env)
    else:
        assert may_fork(command, settings)
        running = fork(command, env, cwd, stderr)
    try:
        url = eventually_sync(lambda: published_address(data_dir) or running.poll() is not None)
        assert isinstance(url, str), "the service ended"
        yield running, url
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("stderr", [closed_pipe, unread_pipe, full_disk, nothing, lost_terminal])
def test_a_log_that_cannot_be_written(stderr: Made, data_dir: Path) -> None:
    with (
        stderr() as (descriptor, spoil),
        serving_to(descriptor, data_dir) as (running, url),
        Client(url) as client,
    ):
        if descriptor >= 0:
            os.close(descriptor)
        spoil()
        session = client.ask("Calculate 10 * 20")["session_id"]
        for _ in range(20):  # enough lines to fill the pipe
            client.ask("Calculate 3 * 4", session)
        assert len(client.get(f"/api/chat/history/{session}").json()) == 21
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 0


MAKING = """
import logging
import structlog
from everturn.server.observe.logs import configure_logs

class Unspeakable:
    def __repr__(self):
        raise RuntimeError("hunter2")

configure_logs("DEBUG")
structlog.get_logger("everturn").info("first", value=Unspeakable())
logging.getLogger("everturn").warning("%d of %s", "hunter2", 3)
logging.getLogger("everturn").warning("%s", Unspeakable())
structlog.get_logger("everturn").info("last")
print("went on")
"""


def logged(program: str, *, terminal: bool) -> str:
    """Run a program and return what it logs, to a terminal or to a pipe. It prints `went on`."""
    window, stderr = pty.openpty() if terminal else os.pipe()
    ran = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=stderr,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(stderr)
    lines = b""
    with suppress(OSError):  # EIO: how a terminal says that no one is left
        while data := os.read(window, 65536):
            lines += data
    os.close(window)
    assert ran.communicate(timeout=PATIENCE)[0] == "went on\n"
    return lines.decode()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_that_cannot_be_made_is_one_line_without_its_values(terminal: bool) -> None:
    lines = logged(MAKING, terminal=terminal).splitlines()
    made = [json.loads(line) for line in lines if "log_line_not_made" in line]
    assert [line["about"] for line in made] == ["first", "everturn", "everturn"]
    assert not [line for line in lines if "hunter2" in line]
    assert "last" in lines[-1]
    assert len(lines) == 4


FORGING = """
import logging
import structlog
from everturn.server.observe.logs import configure_logs

forged = "a name\\n2026-01-01T00:00:00Z [info     ] forged\\r\\x1b[2K\\u2028\\u202e"
configure_logs("INFO")
structlog.get_logger("everturn").info("model_failed", model=forged)
structlog.get_logger("everturn").info(forged)
logging.getLogger("another").warning("said: %s", forged)
print("went on")
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_no_text_of_others_begins_a_line_or_moves_the_cursor(terminal: bool) -> None:
    lines = logged(FORGING, terminal=terminal).splitlines()
    assert len(lines) == 3
    assert not any(sign in line for line in lines for sign in ("\x1b[2K", "\u202e"))


FAILING = """
import logging
import structlog
from everturn.server.observe.logs import configure_logs

def fails():
    try:
        raise KeyError("hunter2")
    except KeyError as error:
        raise ExceptionGroup("hunter2", [ValueError("hunter2")]) from error

configure_logs("INFO", content=CONTENT)
try:
    fails()
except Exception:
    structlog.get_logger("everturn").exception("ours", detail="hunter2")
    logging.getLogger("another").exception("theirs")
print("went on")
"""


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("content", [False, True])
def test_what_an_error_repeats_is_logged_if_asked_for(terminal: bool, content: bool) -> None:
    program = FAILING.replace("CONTENT", str(content))
    lines = logged(program, terminal=terminal)
    assert ("hunter2" in lines) is content
    for part in ("ours", "theirs", "KeyError", "ExceptionGroup", "fails"):
        assert part in lines
    assert "log_line_not_made" not in lines


BLOCKING = """
import asyncio
import time

from everturn.server.observe.blocking import watch_for_blocking
from everturn.server.observe.logs import configure_logs

def first_culprit():
    time.sleep(0.8)

def second_culprit():
    time.sleep(0.8)

async def main():
    async with watch_for_blocking(0.1):
        for culprit in (first_culprit, second_culprit):
            await asyncio.sleep(0.3)
            culprit()
        await asyncio.sleep(0.3)

configure_logs("INFO")
asyncio.run(main())
print("went on")
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_each_place_that_blocks_is_named(terminal: bool) -> None:
    lines = logged(BLOCKING, terminal=terminal)
    assert lines.count("event_loop_blocked") >= 2
    assert "in first_culprit" in lines
    assert "in second_culprit" in lines
    assert "log_line_not_made" not in lines
    assert "Traceback" not in lines


LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}
TAKEN = {"event", "exception", "level", "logger", "logger_name", "stack", "stack_info", "timestamp"}
"""Names of values that a renderer takes for its own. `exc_info` is meant: it is given an error."""


def test_no_log_call_gives_a_value_a_name_that_renderers_take_for_their_own() -> None:
    calls = [
        (path, call)
        for room in ("checkpoints", "graph", "server", "tools")
        for path in (ROOT / room).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in LOG_METHODS
    ]
    assert len(calls) > 30  # else the names of the methods have changed
    wrong = [
        f"{path}:{call.lineno} {keyword.arg}"
        for path, call in calls
        for keyword in call.keywords
        if keyword.arg in TAKEN
    ]
    assert wrong == []
