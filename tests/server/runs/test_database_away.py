"""The database is locked, full or away: runs that are under way end all the same, once."""

import json
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import Client, Process, process
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock

TOY = json.dumps({"graphs": {"toy": str(Path(__file__).parents[1] / "toy_graph.py") + ":graph"}})


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "langgraph.json"
    path.write_text(TOY)
    return str(path)


class Service:
    """The service as a process, and a client of it."""

    def __init__(self, running: Process) -> None:
        self.process = running
        self.client = Client(running.url())
        self.pool = ThreadPoolExecutor(8)

    def later(self, path: str, body: dict[str, Any]) -> "Future[httpx.Response]":
        return self.pool.submit(self.client.post, path, json=body)

    def runs(self, thread_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        rows: list[dict[str, Any]] = self.client.get(f"/threads/{thread_id}/runs").json()
        return rows[::-1]

    def statuses(self, thread_id: str) -> list[str]:
        return [row["status"] for row in self.runs(thread_id)]

    def said(self, thread_id: str) -> list[str]:
        values = self.client.get(f"/threads/{thread_id}/state").json()["values"]
        return [message["content"] for message in values.get("messages", [])]

    def history(self, session: str) -> list[str]:
        rows = self.client.get(f"/api/chat/history/{session}").json()
        return [row["user_message"] for row in rows]

    def session(self) -> str:
        return str(self.client.post("/api/chat/session").json()["session_id"])


@contextmanager
def served(data_dir: Path, config: str, **more: str) -> Iterator[Service]:
    with process(data_dir, EVERTURN_CONFIG=config, **more) as running:
        service = Service(running)
        try:
            yield service
        finally:
            service.client.close()
            running.kill()  # who waits for an answer waits no longer
            service.pool.shutdown()


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Another program holds the file."""
    other = sqlite3.connect(data_dir / "everturn.db", isolation_level=None, timeout=60)
    with closing(other):
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(service: Service, data_dir: Path) -> Iterator[None]:
    """There is no room for another page of the database: the kernel refuses to write it."""
    pid = service.process.popen.pid
    with closing(sqlite3.connect(data_dir / "everturn.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def is_refused(response: httpx.Response) -> str:
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) > 0
    return str(response.json()["detail"])


def says(text: str, until: Path | None = None) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "until": str(until or "/")}


def posted(text: str, until: Path | None = None) -> dict[str, Any]:
    return {"assistant_id": "toy", "input": says(text, until)}


def invoked(session: str, text: str, until: Path | None = None) -> dict[str, Any]:
    return {"graph": "toy", "thread_id": session, "input": says(text, until)}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


Fault = Callable[[Service, Path], Any]
FAULTS: list[Fault] = [lambda _, data_dir: locked(data_dir), full]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit and /proc")


@linux
@pytest.mark.parametrize("fault", FAULTS, ids=["locked", "full"])
def test_an_end_is_kept_until_it_is_stored(data_dir: Path, config: str, fault: Fault) -> None:
    until = data_dir.parent / "until"
    with served(data_dir, config) as service:
        session, other = service.session(), service.session()
        first = service.later("/invoke", invoked(session, "one", until))
        eventually_sync(lambda: service.statuses(session) == ["running"])
        behind = service.later(f"/threads/{session}/runs", posted("two")).result()
        assert behind.status_code == 200
        streamed = service.pool.submit(
            service.client.events, f"/threads/{other}/runs/stream", posted("stream", until)
        )
        eventually_sync(lambda: service.statuses(session) == ["running", "pending"])
        eventually_sync(lambda: service.statuses(other) == ["running"])
        with fault(service, data_dir):
            until.touch()
            # All are answered while the database is away.
            assert "This turn is kept" in is_refused(first.result())
            for path, body in (
                (f"/threads/{session}/runs", posted("no")),
                (f"/threads/{session}/runs/wait", posted("no")),
                (f"/threads/{session}/runs/stream", posted("no")),
                ("/api/chat/message", {"message": "no", "agent": "toy", "session_id": session}),
            ):
                is_refused(service.client.post(path, json=body))
            # The next one waits for the end before it, and nothing spins.
            began, used = time.monotonic(), cpu_seconds(service.process.popen.pid)
            time.sleep(1)
            used = cpu_seconds(service.process.popen.pid) - used
            assert used < (time.monotonic() - began) / 2
            assert service.said(session) == ["one", "hello you"]
            assert not streamed.done()
        eventually_sync(lambda: service.statuses(session) == ["success", "success"])
        assert [event.name for event in streamed.result()][-1] == "values"
        assert service.said(session) == ["one", "hello you", "two", "hello you"]
        assert service.history(session) == ["one"]
        again = service.client.post("/invoke", json=invoked(session, "three"))
        assert again.status_code == 200
        assert service.history(session) == ["one", "three"]
        assert service.client.get(f"/threads/{session}").json()["status"] == "idle"


def test_a_turn_whose_end_was_not_stored_is_not_run_again(data_dir: Path, config: str) -> None:
    until = data_dir.parent / "until"
    with served(data_dir, config) as service:
        session = service.session()
        first = service.later("/invoke", invoked(session, "one", until))
        eventually_sync(lambda: service.statuses(session) == ["running"])
        service.later(f"/threads/{session}/runs", posted("two")).result()
        eventually_sync(lambda: service.statuses(session) == ["running", "pending"])
        with locked(data_dir):
            until.touch()
            is_refused(first.result())
            service.process.kill()
    with served(data_dir, config) as service:
        eventually_sync(lambda: service.statuses(session) == ["success", "success"])
        assert service.said(session) == ["one", "hello you", "two", "hello you"]
        assert service.history(session) == ["one"]
        steps = service.client.get(f"/threads/{session}/state").json()["values"]["steps"]
        assert steps == ["prepare", "prepare"]


def test_a_service_that_stops_leaves_the_end_to_the_next(data_dir: Path, config: str) -> None:
    until = data_dir.parent / "until"
    with served(data_dir, config, EVERTURN_SHUTDOWN_GRACE="1") as service:
        session = service.session()
        first = service.later("/invoke", invoked(session, "one", until))
        eventually_sync(lambda: service.statuses(session) == ["running"])
        with locked(data_dir):
            until.touch()
            is_refused(first.result())
            assert service.process.stop() == 0
    with served(data_dir, config) as service:
        eventually_sync(lambda: service.statuses(session) == ["success"])
        assert service.said(session) == ["one", "hello you"]
        assert service.history(session) == ["one"]


@pytest.mark.parametrize("path", ["runs/stream", "runs/wait", "chat", "invoke"])
def test_a_run_that_was_told_of_is_there_after_a_kill(
    data_dir: Path, config: str, path: str
) -> None:
    """Killed as soon as the client has the first byte that names it."""
    until = data_dir.parent / "until"
    place = ""
    with served(data_dir, config) as service:
        session = service.session()
        body = posted("one", until)
        url = f"/threads/{session}/{path}"
        if path == "chat":
            url = "/api/chat/message/stream"
            body = {"message": "one", "agent": "toy", "session_id": session}
        if path == "invoke":
            url, body = "/stream", {**invoked(session, "one", until), "stream_mode": "updates"}
        with (
            suppress(httpx.TransportError),
            service.client.stream("POST", url, json=body) as response,
        ):
            place = response.headers["content-location"]
            service.process.kill()
    until.touch()
    with served(data_dir, config) as service:
        run_id = place.rpartition("/runs/")[2].partition("/")[0]
        eventually_sync(
            lambda: (
                [(row["run_id"], row["status"]) for row in service.runs(session)]
                == [(run_id, "success")]
            )
        )
        assert service.said(session)[0] == "one"


def test_a_run_that_is_refused_takes_no_room(data_dir: Path, config: str) -> None:
    """One with a key begins when its row is committed, and has its slot before."""
    with served(data_dir, config, EVERTURN_MAX_RUNS="1") as service:
        session, key = service.session(), {"Idempotency-Key": "a"}
        path, body = f"/threads/{session}/runs", posted("one")
        with locked(data_dir):
            is_refused(service.client.post(path, json=body, headers=key))
        again = service.client.post(path, json=body, headers=key)
        assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)
        eventually_sync(lambda: service.statuses(session) == ["success"])
        assert service.said(session) == ["one", "hello you"]
