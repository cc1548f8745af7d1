"""`everturn gc` deletes what is kept no longer, beside a running service or without one."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.forks import run
from tests.service import Client, process, serving

pytestmark = pytest.mark.clock

OLD = datetime.now(UTC) - timedelta(days=100)
INSERT = """
INSERT INTO runs (run_id, thread_id, assistant_id, status, metadata, kwargs, multitask_strategy,
                  created_at, updated_at)
VALUES (?, 't', 'a', 'success', '{}', ?, 'enqueue', ?, ?)
"""


def fill(data_dir: Path, count: int = 3000) -> None:
    """Write runs of long ago, of 2 kB each."""
    when = OLD.strftime("%Y-%m-%d %H:%M:%S.%f")
    digits = f"{round(OLD.timestamp() * 1000):012x}"
    ids = [f"{digits[:8]}-{digits[8:]}-7000-8000-{n:012x}" for n in range(count)]
    with closing(sqlite3.connect(data_dir / "everturn.db")) as database, database:
        database.executemany(INSERT, [(each, f'"{"x" * 2000}"', when, when) for each in ids])


def gc(data_dir: Path, *, forked: bool = True) -> str:
    ran = run(["gc", "--data-dir", str(data_dir)], data_dir.parent, {}, forked=forked)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def deleted(printed: str) -> int:
    (count,) = re.findall(r"^runs +(\d+) deleted$", printed, re.MULTILINE)
    return int(count)


def size(data_dir: Path) -> int:
    return sum(each.stat().st_size for each in data_dir.glob("everturn.db*"))


@contextmanager
def written_by_an_older_version(data_dir: Path) -> Iterator[None]:
    """A file that does not give its pages back."""
    with serving(data_dir):
        pass
    with closing(sqlite3.connect(data_dir / "everturn.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA auto_vacuum = NONE")
        database.execute("VACUUM")
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    yield


def test_without_a_service(data_dir: Path) -> None:
    with serving(data_dir):
        pass
    empty = size(data_dir)
    fill(data_dir)
    assert size(data_dir) > empty + 6_000_000
    assert deleted(gc(data_dir, forked=False)) == 2999  # the newest of a thread stays
    assert size(data_dir) < 1.2 * empty + 100_000
    assert deleted(gc(data_dir)) == 0


def test_beside_a_service(data_dir: Path) -> None:
    with process(data_dir) as running, Client(running.url()) as client:
        session = client.ask("Calculate 6 * 7")["session_id"]
        empty = size(data_dir)
        fill(data_dir)
        assert deleted(gc(data_dir)) == 2999
        assert size(data_dir) < empty + 500_000
        assert "Calculate 6 * 7" in client.ask("What did I ask you first?", session)["response"]


def test_a_file_of_an_older_version(data_dir: Path) -> None:
    with written_by_an_older_version(data_dir):
        fill(data_dir)
        assert deleted(gc(data_dir)) == 2999
        assert size(data_dir) < 1_000_000
        with serving(data_dir) as client:
            client.ask("Calculate 6 * 7")
