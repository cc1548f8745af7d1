"""Instances of the service as processes, forked warm, at ports that they keep when they return."""

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.service import ROOT
from tests.soak.journal import VARIABLE
from tests.waiting import PATIENCE, eventually_sync

PROJECT = Path(__file__).parent / "project" / "langgraph.json"


class Nursery:
    """Forks instances; see `tests.soak.nursery`."""

    def __init__(self) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("EVERTURN_", "COV_"))}
        for name in ("REDIS_URL", "DATABASE_URL"):
            clean.pop(name, None)
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.nursery"],
            cwd=ROOT,
            env={**clean, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started: queue.Queue[int] = queue.Queue()
        self._lock = threading.Lock()
        self.codes: dict[int, int] = {}
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._started.get(timeout=PATIENCE)  # it is ready

    def start(self, **order: object) -> int:
        """Fork a process and return its id."""
        with self._lock:
            assert self._popen.stdin is not None
            self._popen.stdin.write(json.dumps(order) + "\n")
            self._popen.stdin.flush()
            return self._started.get(timeout=PATIENCE)

    def ended(self, pid: int) -> int:
        """Wait for the end of a process, and return its exit code."""
        eventually_sync(lambda: pid in self.codes)
        return self.codes[pid]

    def close(self) -> None:
        """Fork no more."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait(PATIENCE)
        self._reading.join(PATIENCE)
        assert self._popen.stdout is not None
        self._popen.stdout.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            said = json.loads(line)
            if "ended" in said:
                self.codes[said["ended"]] = said["code"]
            else:
                self._started.put(said.get("started", 0))


@cache
def nursery() -> Nursery:
    """Return the nursery of all rigs, for it takes seconds to begin."""
    opened = Nursery()
    atexit.register(opened.close)
    return opened


@dataclass
class Instance:
    """One process of the service, and those that come after it in its place."""

    nursery: Nursery
    folder: Path
    """Its own: for its log, its journal and, where no other is named, its data."""
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    pid: int = 0
    order: Mapping[str, object] = field(default_factory=dict)
    _seen: int = field(default=0, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"log-{self.port}"

    def start(self) -> None:
        """Fork it; `until_ready` waits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._seen = self.log.stat().st_size if self.log.exists() else 0
        environment = {
            "EVERTURN_CONFIG": str(PROJECT),
            "EVERTURN_DATA_DIR": str(self.folder / "data"),
            "EVERTURN_TOOLS_OFFLINE": "always",
            VARIABLE: str(self.folder / "journal"),
            **self.environment,
        }
        self.pid = self.nursery.start(
            arguments=["--port", str(self.port), *self.arguments],
            environment=environment,
            folder=str(self.folder),
            log=str(self.log),
            **self.order,
        )

    def until_ready(self) -> float:
        """Wait until it serves; returns the time of the monotonic clock."""
        eventually_sync(self._is_ready)
        return time.monotonic()

    def _is_ready(self) -> bool:
        if self.pid in self.nursery.codes:
            raise RuntimeError(f"the service ended: {self.said()[-3000:]}")
        return '"everturn_ready"' in self.said()

    def said(self) -> str:
        """What the newest process has written to its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(self._seen)
            return file.read().decode(errors="replace")

    def send(self, sign: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, sign)

    def kill(self) -> float:
        """Take it away without a word; returns when, of the monotonic clock."""
        at = time.monotonic()
        if self.pid and self.pid not in self.nursery.codes:
            with suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self.nursery.ended(self.pid)
        return at
