"""The data of a newer version is refused in a sentence, and stays as it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

from everturn.checkpoints.sql.migrations import HEAD
from tests.service import Client, process
from tests.upgrades.data import NEWEST
from tests.upgrades.story import SETTINGS


def set_revision(data_dir: Path, revision: str) -> None:
    with closing(sqlite3.connect(data_dir / "everturn.db")) as database, database:
        database.execute("UPDATE everturn_version SET version_num = ?", (revision,))


def test_a_data_folder_of_a_newer_version(binary: str, tmp_path: Path) -> None:
    data_dir, session = tmp_path / "data", NEWEST.made("folder")["session"]
    NEWEST.unpack(data_dir)
    with process(data_dir, **SETTINGS) as running:
        running.url()
        assert running.stop() == 0
    set_revision(data_dir, "9999")
    with process(data_dir, **SETTINGS) as older:
        assert older.ended() == 1
    said = older.log[-1]
    assert "revision 9999, which this Everturn does not know" in said
    assert "run the version that migrated it or a newer one, or restore the backup" in said
    assert "Traceback" not in "".join(older.log)

    set_revision(data_dir, HEAD)
    with process(data_dir, **SETTINGS) as running, Client(running.url()) as client:
        assert "200" in client.get(f"/api/chat/history/{session}").text


def test_a_valkey_file_of_a_newer_version(binary: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    NEWEST.unpack(data_dir)
    (file,) = (data_dir / "appendonlydir").glob("*.base.rdb")
    whole = file.read_bytes()
    assert whole.startswith(b"VALKEY")
    file.write_bytes(b"VALKEY999" + whole[9:])
    with process(data_dir, **SETTINGS) as older:
        assert older.ended() == 1
    said = "".join(line for line in older.log if not line.startswith("{"))
    assert "Can't handle RDB format version 999" in said
    assert "A newer Valkey wrote these files" in said
    assert "Traceback" not in said
