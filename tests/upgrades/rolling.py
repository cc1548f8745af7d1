"""Two versions side by side at one PostgreSQL and one Redis, while the older is replaced.

python -m tests.upgrades.rolling --old CHECKOUT     an older checkout, and today's code
"""

import argparse
import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.checkpoints.redis.servers import serving, valkey_binary
from tests.checkpoints.stores import new_postgres_database
from tests.service import ROOT, Client, Process, process, read_events
from tests.upgrades.story import Json, ended_run
from tests.waiting import eventually_sync

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
STEPS = 8


class Site:
    """The stores, and the processes of both versions that share them."""

    def __init__(self, folder: Path, stores: dict[str, str], old: Path, new: Path) -> None:
        self._folder, self._stores, self._started = folder, stores, 0
        self._old, self._new = old, new
        self.left = ExitStack()
        self.members: list[Member] = []

    def old(self) -> "Member":
        """Start a process of the older version."""
        return self._start(self._old)

    def new(self) -> "Member":
        """Start one of the newer version."""
        return self._start(self._new)

    def _start(self, code: Path) -> "Member":
        self._started += 1
        own = {"EVERTURN_CONFIG": str(PROJECT)}
        if code != ROOT:
            own["PYTHONPATH"] = str(code)
        data_dir = self._folder / str(self._started)
        running = self.left.enter_context(process(data_dir, **self._stores, **own))
        client = self.left.enter_context(Client(running.url()))
        self.members.append(Member(running, client))
        return self.members[-1]


class Member:
    """A process of the service and a client of it."""

    def __init__(self, running: Process, client: Client) -> None:
        self.process, self.client = running, client

    def slow_run(self) -> tuple[str, str]:
        """Start a run in the background, and wait until it is under way."""
        thread = self.client.post("/threads", json={}).json()["thread_id"]
        body = {"assistant_id": "steps", "input": {"steps": STEPS}, "stream_resumable": True}
        run = self.client.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
        eventually_sync(lambda: self.values(thread).get("done"))
        return thread, run

    def values(self, thread: str) -> Json:
        found: Json = self.client.get(f"/threads/{thread}/state").json()["values"]
        return found or {}

    def finishes(self, thread: str, run: str) -> None:
        """See a run come to its end, whoever carries it, with each step done once."""
        run_at = f"/threads/{thread}/runs/{run}"
        ended = eventually_sync(lambda: ended_run(self.client.get(run_at).json()))
        assert ended["status"] == "success", ended
        assert self.values(thread)["done"] == list(range(STEPS))

    def followed(self, thread: str, run: str) -> list[str]:
        """Read what a run streams to its end."""
        path = f"/threads/{thread}/runs/{run}/stream"
        with self.client.stream("GET", path, headers={"Last-Event-ID": "-1"}) as response:
            assert response.status_code == 200, response.read()
            return [event.name for event in read_events(response)]


@contextmanager
def talking(*members: Member) -> Iterator[list[str]]:
    """Have one conversation go from process to process; collects what is no answer."""
    wrong: list[str] = []
    over = threading.Event()
    turns = 0

    def talk() -> None:
        nonlocal turns
        session = None
        while not over.is_set():
            turns += 1
            member = members[turns % len(members)]
            body = {"message": f"Calculate {turns} * 2"} | (
                {"session_id": session} if session else {}
            )
            answer = member.client.post("/api/chat/message", json=body)
            if answer.status_code != 200 or str(turns * 2) not in answer.json()["response"]:
                wrong.append(f"{turns} at {turns % len(members)}: {answer.text}")
                return
            session = answer.json()["session_id"]

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()
    assert turns > 1


def replace(site: Site) -> None:
    """Go from a process of the older version to one of the newer, with both at work meanwhile."""
    older = site.old()
    with talking(older) as wrong:
        newer = site.new()  # migrates, while the older one answers
    assert wrong == []
    with talking(older, newer) as wrong:
        for one, other in ((older, newer), (newer, older)):
            _see_each_other(one, other)
    assert wrong == []
    thread, run = newer.slow_run()
    newer.process.kill()
    older.finishes(thread, run)  # it goes on with what a newer one has begun

    newer = site.new()
    thread, run = older.slow_run()
    assert older.process.stop() == 0
    newer.finishes(thread, run)


def _see_each_other(one: Member, other: Member) -> None:
    thread, run = one.slow_run()
    assert "values" in other.followed(thread, run)
    other.finishes(thread, run)
    thread, run = one.slow_run()
    cancelled = other.client.post(f"/threads/{thread}/runs/{run}/cancel?wait=1")
    assert cancelled.is_success, cancelled.text
    item = {"namespace": ["notes"], "key": "a", "value": {"by": one.process.popen.pid}}
    assert one.client.put("/store/items", json=item).status_code == 204
    found = other.client.get("/store/items?namespace=notes&key=a").json()
    assert found["value"] == item["value"]


def worth_reading(member: Member) -> list[str]:
    """Return the warnings and errors that a process wrote."""
    return [line.strip() for line in member.process.log if '"level": "info"' not in line]


def by_hand(old: Path) -> None:
    """Replace an older checkout by today's code, and print what each process said."""

    async def run() -> None:
        binary = valkey_binary()
        assert binary, "no embedded Valkey is installed"
        with tempfile.TemporaryDirectory(prefix="ev-") as folder, serving(binary) as redis:
            async with new_postgres_database() as database:
                url = database.render_as_string(hide_password=False)
                stores = {"EVERTURN_DATABASE_URL": url, "EVERTURN_REDIS_URL": redis.url}
                site = Site(Path(folder), stores, old, ROOT)
                with site.left:
                    try:
                        await asyncio.to_thread(replace, site)
                    finally:
                        for number, member in enumerate(site.members, 1):
                            print(f"process {number}", *worth_reading(member), sep="\n  ")

    asyncio.run(run())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="a checkout")
    by_hand(parser.parse_args().old.resolve())
