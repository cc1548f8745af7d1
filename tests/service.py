"""The service itself, for tests that come through the front door: in a thread, or as a process."""

import asyncio
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from everturn.server.app import create_app
from everturn.server.settings import Settings
from tests.forks import Forked, fork, may_fork
from tests.waiting import PATIENCE, eventually_sync

ROOT = Path(__file__).resolve().parent.parent
_LOOKS_FOR_LAST_EVENTS = 100
"""A second: answers that end with the turns have ended by then, others are without an end."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any


class Client(httpx.Client):
    """An HTTP client of the service that also reads its streams, and waits for a slow machine."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url=base_url, timeout=PATIENCE)

    def events(self, path: str, body: Mapping[str, Any]) -> list[Event]:
        """Read a stream to its end."""
        with self.stream("POST", path, json=body) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"].startswith("text/event-stream")
            return list(read_events(response))

    def ask(self, message: str, session_id: str | None = None, **choices: Any) -> dict[str, Any]:
        """Send a chat message and return its answer."""
        body = {"message": message, **choices} | ({"session_id": session_id} if session_id else {})
        response = self.post("/api/chat/message", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def read_events(response: httpx.Response) -> Iterator[Event]:
    """Parse a stream as it comes; comments are heartbeats."""
    name, data = "message", ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data += line.removeprefix("data: ")
        elif not line and data:
            yield Event(name, json.loads(data))
            name, data = "message", ""


class _Server(uvicorn.Server):
    """uvicorn, which ends as `everturn serve` does when it is told twice.

    uvicorn alone waits for streams without an end: a page that is still open would hold a test up
    for as long as that waits.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                port=0,
                log_config=None,
                lifespan="on",
                proxy_headers=False,
                # As `everturn serve`: after uvicorn's 5 s a request may meet its connection's end.
                timeout_keep_alive=75,
            )
        )
        self._app = app

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.state.service.runs.drain(0)
        for _ in range(_LOOKS_FOR_LAST_EVENTS):
            if not self._streams():
                break
            await asyncio.sleep(0.01)
        for each in self._streams():
            assert each.cycle is not None
            each.cycle.disconnected = True
            each.cycle.message_event.set()
            each.transport.close()
        await super().shutdown(sockets)

    def _streams(self) -> list[H11Protocol | HttpToolsProtocol]:
        """Connections on which an answer has begun, and is under way."""
        return [
            each
            for each in self.server_state.connections
            if isinstance(each, H11Protocol | HttpToolsProtocol)
            and each.cycle is not None
            and each.cycle.response_started
            and not each.cycle.response_complete
        ]


@contextmanager
def serving(data_dir: Path, **settings: Any) -> Iterator[Client]:
    """Run the service in a thread of this process and yield a client of it."""
    values = {"data_dir": data_dir, "config": ROOT / "langgraph.json", "port": 0}
    app = create_app(
        Settings.read({**values, "tools_offline": "always", "rate_limit": "off", **settings})
    )
    server = _Server(app)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        url = _url_of(server, thread)
        with Client(url) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        if thread.is_alive():
            raise RuntimeError("the service does not end")


def _url_of(server: uvicorn.Server, thread: threading.Thread) -> str:
    eventually_sync(lambda: server.started or not thread.is_alive())
    if not server.started:
        raise RuntimeError("the service did not start")
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"http://{host}:{port}"


class Process:
    """`everturn serve` as a process of its own, to be killed for real."""

    command: tuple[str, ...] = (sys.executable, "-m", "everturn.server", "serve", "--port", "0")
    forked = True
    """Where that comes to the same; else by an interpreter that has nothing loaded."""

    def __init__(self, data_dir: Path, *arguments: str, **environment: str) -> None:
        """Start it; settings go in as the environment variables they are."""
        command = [*self.command, *arguments]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("EVERTURN_", "COV_"))}
        env = {
            **clean,
            "PYTHONPATH": str(ROOT),
            "EVERTURN_CONFIG": str(ROOT / "langgraph.json"),
            "EVERTURN_DATA_DIR": str(data_dir),
            "EVERTURN_TOOLS_OFFLINE": "always",
            "EVERTURN_RATE_LIMIT": "off",
            **environment,
        }
        cwd = data_dir.parent
        self.popen: subprocess.Popen[str] | Forked = (
            fork(command, env, cwd)
            if self.forked and may_fork(command, environment)
            else subprocess.Popen(command, cwd=cwd, env=env, stderr=subprocess.PIPE, text=True)
        )
        self.log: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def url(self) -> str:
        """Wait until it serves and return its address."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            if '"everturn_ready"' in line:
                self.url_found = str(json.loads(line)["url"])
                return self.url_found
        raise RuntimeError("the service ended: " + "".join(self.log))

    def ended(self) -> int:
        """Wait until it has ended by itself, and all it said was read; return its exit code."""
        code = self.popen.wait(PATIENCE)
        self._reading.join(PATIENCE)
        return code

    def says(self, *words: str) -> str:
        """Wait for a line of its log that has all the words in it, and return it."""
        return eventually_sync(
            lambda: next((line for line in self.log if all(word in line for word in words)), "")
        )

    def kill(self) -> None:
        """Take it away without a word, as the kernel would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, sign: int) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(sign)
        return self.ended()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)


class Worker(Process):
    """`everturn worker` as a process of its own."""

    command = (sys.executable, "-m", "everturn.server", "worker")


@contextmanager
def process(data_dir: Path, *arguments: str, **environment: str) -> Iterator[Process]:
    """Run the service as a process; what is left of it at the end is killed."""
    with killed(Process(data_dir, *arguments, **environment)) as running:
        yield running


@contextmanager
def killed(running: Process) -> Iterator[Process]:
    """Kill what is left of a process at the end of the block."""
    try:
        yield running
    finally:
        running.kill()
        if running.popen.stderr:
            running.popen.stderr.close()
