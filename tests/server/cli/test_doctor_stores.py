"""`everturn doctor` on stores that are not as they should be, and what it puts right."""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everturn.checkpoints.connect import open_memory
from everturn.server.__main__ import main
from tests.service import ROOT, Client, process


@pytest.fixture(autouse=True)
def logs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up the logs of its process, and the tests after it have the same."""
    monkeypatch.setattr("everturn.server.cli.doctor.configure_logs", lambda level: None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What a service has left that has ended, and the thread that has a finished run in it."""
    data_dir = tmp_path_factory.mktemp("kept") / "data"
    with process(data_dir) as running, Client(running.url()) as client:
        thread_id = str(client.post("/threads", json={}).json()["thread_id"])
        message = {"role": "user", "content": "Hi"}
        asked = {"assistant_id": "agent", "input": {"messages": [message]}}
        client.post(f"/threads/{thread_id}/runs/wait", json=asked).raise_for_status()
        assert running.stop() == 0
    return data_dir, thread_id


@pytest.fixture
def thread(kept: tuple[Path, str], data_dir: Path) -> str:
    """That thread, in a data folder of the test's own."""
    shutil.copytree(kept[0], data_dir)
    return kept[1]


def test_healthy_stores(data_dir: Path, thread: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, says = examined(data_dir, capsys)
    assert code == 0
    assert "ok redis its clock agrees with ours" in says
    assert "ok database SQLite" in says
    weights = [line.split()[0] for line in says.splitlines() if line]
    assert "error" not in weights
    assert weights.count("warning") == 1, says  # of langgraph.json, which names a .env


def test_what_is_wrong_is_said_and_what_is_safe_is_put_right(
    data_dir: Path, thread: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir.chmod(0o755)
    in_sqlite(data_dir, "UPDATE threads SET status = 'busy'")
    in_redis(data_dir, lambda redis: redis.xadd("{everturn:run:lost}:events", {"a": "b"}))
    found = [
        "others on this machine may read data",
        "threads 1 are busy without a run",
        "streams 1 will stay for ever",
    ]
    for words, weight in (((), "warning"), (("--repair",), "repaired")):
        code, says = examined(data_dir, capsys, *words)
        assert code == 0
        for each in found:
            assert any(line.startswith(weight) and each in line for line in says.splitlines()), says
    _, says = examined(data_dir, capsys)
    assert not any(each in says for each in found)
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_what_takes_a_decision_is_only_said(
    data_dir: Path, thread: str, capsys: pytest.CaptureFixture[str]
) -> None:
    in_redis(data_dir, lambda redis: redis.flushdb())
    _, says = examined(data_dir, capsys, "--repair")
    assert "warning threads 1 have runs that ended well, and no checkpoints" in says
    in_sqlite(data_dir, "UPDATE runs SET status = 'running'")
    _, says = examined(data_dir, capsys, "--repair")
    assert "warning runs 1 have no process" in says


def test_a_damaged_database_is_an_error(
    data_dir: Path, thread: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data_dir / "everturn.db"
    with file.open("r+b") as database:
        database.seek(4096)
        database.write(b"\xff" * (file.stat().st_size - 4096))
    code, says = examined(data_dir, capsys)
    assert code == 1
    assert "error" in says


def test_before_the_first_start_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, says = examined(tmp_path / "none", capsys)
    assert code == 0
    assert "the first start makes it" in says
    assert not (tmp_path / "none").exists()


def examined(data_dir: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    config = str(ROOT / "langgraph.json")
    code = main(["doctor", "--config", config, "--data-dir", str(data_dir), *words])
    lines = capsys.readouterr().out.splitlines()
    return code, "\n".join(" ".join(line.split()) for line in lines)


def in_sqlite(data_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(data_dir / "everturn.db")) as database, database:
        database.execute(statement)


def in_redis(data_dir: Path, work: Callable[[Any], Awaitable[object]]) -> None:
    async def working() -> None:
        async with open_memory(None, data_dir) as redis:
            await work(redis)

    asyncio.run(working())
