"""A backup of a service that is at work, restored elsewhere: its conversations go on there."""

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from tests.checkpoints.stores import REDIS_URL, new_postgres_database
from tests.forks import run
from tests.service import Client, process
from tests.waiting import eventually_sync

SESSIONS = 6


@pytest.fixture
async def shared() -> AsyncIterator[dict[str, str]]:
    """A Redis and a PostgreSQL, empty, as settings."""
    prefix = f"test-{uuid4().hex}"
    async with new_postgres_database() as url:
        yield {
            "REDIS_URL": REDIS_URL,
            "EVERTURN_REDIS_PREFIX": prefix,
            "DATABASE_URL": url.render_as_string(hide_password=False),
        }
    with redis.Redis.from_url(REDIS_URL) as client:
        for key in client.scan_iter(match=f"*{prefix}*", count=1000):
            client.delete(key)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "everturn.backup"


def test_a_working_service_is_restored_elsewhere_and_its_conversations_go_on(
    data_dir: Path, tmp_path: Path, backup: Path, shared: dict[str, str]
) -> None:
    with process(data_dir) as first, Client(first.url()) as client:
        stop = threading.Event()
        sessions = [client.ask("Calculate 1 + 1")["session_id"] for _ in range(SESSIONS)]
        with ThreadPoolExecutor(SESSIONS) as talking:
            told = [talking.submit(_talk, client, session, stop) for session in sessions]
            said = everturn_anew("backup", str(backup), data_dir=data_dir)
            stop.set()
            assert max(future.result() for future in told) > 0
        assert "rows" in said, said
    # The embedded stores become a Redis and a PostgreSQL.
    said = everturn_anew("restore", str(backup), data_dir=tmp_path / "other", **shared)
    assert f"{SESSIONS} threads" in said, said
    with process(tmp_path / "other", **shared) as second, Client(second.url()) as client:
        for session in sessions:
            # What was under way is taken over, as after a crash.
            before = eventually_sync(partial(_in_both, client, session))
            assert before[0] == "Calculate 1 + 1"
            client.ask("Calculate 6 * 7", session)
            assert _in_both(client, session) == [*before, "Calculate 6 * 7"]


def test_shared_stores_are_restored_into_a_data_folder(
    data_dir: Path, tmp_path: Path, backup: Path, shared: dict[str, str]
) -> None:
    with process(data_dir, **shared) as first, Client(first.url()) as client:
        session = client.ask("Calculate 6 * 7")["session_id"]
        thread = client.post("/threads", json={"metadata": {"of": "mine"}}).json()["thread_id"]
        client.put("/store/items", json={"namespace": ["a"], "key": "k", "value": {"n": 1.0}})
        everturn("backup", str(backup), data_dir=data_dir, **shared)
        said = refused("restore", str(backup), data_dir=data_dir, **shared)
        assert "stop all of its processes" in said
    everturn("restore", str(backup), data_dir=tmp_path / "other")
    with process(tmp_path / "other") as second, Client(second.url()) as client:
        assert "6 * 7" in client.ask("What did I ask you first?", session)["response"]
        assert client.get(f"/threads/{thread}").json()["metadata"]["of"] == "mine"
        item = client.get("/store/items", params={"namespace": "a", "key": "k"}).json()
        assert item["value"] == {"n": 1.0}


def test_rows_are_counted_on_after_a_restore(
    data_dir: Path, tmp_path: Path, backup: Path, shared: dict[str, str]
) -> None:
    """PostgreSQL counts by itself, and would give the numbers of the restored rows again."""
    with process(data_dir) as first, Client(first.url()) as client:
        session = client.ask("Calculate 6 * 7")["session_id"]
    everturn("backup", str(backup), data_dir=data_dir)  # of a service that does not run
    everturn("restore", str(backup), data_dir=tmp_path / "other", **shared)
    with process(tmp_path / "other", **shared) as second, Client(second.url()) as client:
        client.ask("Calculate 6 * 8", session)
        assert len(_history(client, session)) == 2


def test_what_is_encrypted_stays_so_and_is_read_with_the_same_key(
    data_dir: Path, tmp_path: Path, backup: Path
) -> None:
    key = {"LANGGRAPH_AES_KEY": "k" * 32}
    with process(data_dir, **key) as first, Client(first.url()) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        asked = {"assistant_id": "agent", "input": {"messages": [_message("My word is plugh")]}}
        client.post(f"/threads/{thread}/runs/wait", json=asked).raise_for_status()
    everturn("backup", str(backup), data_dir=data_dir)
    everturn("restore", str(backup), data_dir=tmp_path / "other", **key)
    with process(tmp_path / "other", **key) as second, Client(second.url()) as client:
        state = client.get(f"/threads/{thread}/state").json()
        assert state["values"]["messages"][0]["content"] == "My word is plugh"


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot read"), (b"something else", "is no backup"), (b"", "is no backup")],
)
def test_what_is_no_backup_is_refused(
    tmp_path: Path, backup: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        backup.write_bytes(content)
    assert says in refused("restore", str(backup), data_dir=tmp_path / "new")


def test_a_backup_replaces_no_file_and_a_restore_nothing_that_is_kept(
    data_dir: Path, backup: Path
) -> None:
    with process(data_dir) as first, Client(first.url()) as client:
        client.ask("Calculate 6 * 7")
        everturn("backup", str(backup), data_dir=data_dir)
        assert backup.stat().st_mode & 0o777 == 0o600
        before = backup.read_bytes()
        assert "File exists" in refused("backup", str(backup), data_dir=data_dir)
        assert "is held by process" in refused("restore", str(backup), data_dir=data_dir)
    assert "already" in refused("restore", str(backup), data_dir=data_dir)
    assert backup.read_bytes() == before
    assert [each.name for each in backup.parent.glob("everturn*")] == [backup.name]


def test_without_a_data_folder_there_is_nothing_to_copy(tmp_path: Path, backup: Path) -> None:
    said = refused("backup", str(backup), data_dir=tmp_path / "missing")
    assert "there is no data folder" in said
    assert not (tmp_path / "missing").exists()


def everturn(*words: str, data_dir: Path, **environment: str) -> str:
    """Run a command to its end, which is a good one, and return what it said."""
    code, said = _run(words, data_dir, environment)
    assert code == 0, said
    return said


def everturn_anew(*words: str, data_dir: Path, **environment: str) -> str:
    """Do so in an interpreter that has nothing loaded: each command has to start in one."""
    code, said = _run(words, data_dir, environment, forked=False)
    assert code == 0, said
    return said


def refused(*words: str, data_dir: Path, **environment: str) -> str:
    """Run a command that fails, and return what it said."""
    code, said = _run(words, data_dir, environment)
    assert code == 1, said
    return said


def _run(
    words: Sequence[str], data_dir: Path, environment: Mapping[str, str], *, forked: bool = True
) -> tuple[int, str]:
    command = [*words, "--data-dir", str(data_dir)]
    done = run(command, data_dir.parent, environment, forked=forked)
    return done.returncode, done.stdout + done.stderr


def _talk(client: Client, session: str, stop: threading.Event) -> int:
    turns = 0
    while not stop.is_set():
        client.ask(f"Calculate {turns} + 2", session)
        turns += 1
    return turns


def _history(client: Client, session: str) -> list[str]:
    rows = client.get(f"/api/chat/session/{session}/export").json()["history"]
    return [row["user_message"] for row in rows]


def _in_both(client: Client, session: str) -> list[str]:
    """The questions of a session, once its thread and its history have the same."""
    remembered, kept = _questions(client, session), _history(client, session)
    return remembered if remembered == kept else []


def _questions(client: Client, session: str) -> list[str]:
    state = client.get(f"/threads/{session}/state").json()
    return [each["content"] for each in state["values"]["messages"] if each["type"] == "human"]


def _message(content: str) -> Mapping[str, str]:
    return {"role": "user", "content": content}
