"""One server a data folder, and a clear word to the second."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from checkpoints.data_dir import hold_data_dir
from checkpoints.errors import DataDirError
from tests.service import ROOT

HOLD = """
import sys, pathlib
from checkpoints.data_dir import hold_data_dir
with hold_data_dir(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    pipe = subprocess.PIPE
    holder = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_it_is_made_for_this_user_only(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "new" / "da ta") as folder:
        assert folder.is_absolute()
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_relative_folder_is_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with hold_data_dir(Path("data")) as folder:
        assert folder == tmp_path / "data"


def test_another_process_is_named_and_its_end_frees_the_folder(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        try:
            with (
                pytest.raises(DataDirError, match=rf"pid {holder.pid}\b.*EVERTURN_DATA_DIR"),
                hold_data_dir(tmp_path),
            ):
                pass
        finally:
            holder.kill()
            holder.wait()
    with hold_data_dir(tmp_path):
        assert (tmp_path / "serve.lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match="is not a folder"), hold_data_dir(tmp_path / name):
        pass


def test_a_folder_nobody_may_write(tmp_path: Path) -> None:
    # /proc refuses even the superuser, whom file modes do not stop.
    read_only = Path("/proc/everturn") if os.getuid() == 0 else tmp_path
    if os.getuid() != 0:
        tmp_path.chmod(0o500)
    with pytest.raises(DataDirError, match="cannot be used"), hold_data_dir(read_only / "x"):
        pass
