import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from everturn.checkpoints.errors import DataDirError
from everturn.checkpoints.local.data_dir import (
    hold_data_dir,
    holder_of,
    prepare_data_dir,
    share_data_dir,
    try_lock,
)
from tests.checkpoints.stores import ROOT

HOLDER = """
import sys
from pathlib import Path
from everturn.checkpoints.local.data_dir import hold_data_dir

with hold_data_dir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of somebody who is not root, whom this process becomes."""
    with TemporaryDirectory() as name:
        if os.geteuid():
            yield Path(name)
            return
        os.chown(name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_makes_the_folder_for_its_user_alone(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "one" / "two") as folder:
        assert folder == tmp_path / "one" / "two"
        assert folder.stat().st_mode & 0o777 == 0o700


def test_leaves_the_rights_of_a_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o750)
    with hold_data_dir(tmp_path / "data") as folder:
        assert folder.stat().st_mode & 0o777 == 0o750


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with hold_data_dir(Path("data")) as folder:
        monkeypatch.chdir("/")
        assert folder == tmp_path / "data"
        assert folder.is_dir()


@pytest.mark.parametrize(
    "name", ["a b", "대화 🎈", "'\"`$(x)", "#?%;&", "new\nline", "--x", "\udcff"]
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    with hold_data_dir(tmp_path / name) as folder:
        assert folder == tmp_path / name
        assert folder.is_dir()


def test_a_second_holder_is_told_who_and_what_to_do(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path):
        (tmp_path / "link").symlink_to(tmp_path)
        with pytest.raises(DataDirError) as refused, hold_data_dir(tmp_path / "link"):
            pass
    for part in (str(tmp_path), f"process {os.getpid()}", "EVERTURN_DATA_DIR"):
        assert part in str(refused.value)
    with hold_data_dir(tmp_path) as folder:
        assert folder == tmp_path


def test_a_killed_holder_holds_no_more(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(DataDirError, match=f"process {holder.pid}"),
            hold_data_dir(tmp_path),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with hold_data_dir(tmp_path):
            assert holder_of(tmp_path / "serve.lock") == f"process {os.getpid()}"


def test_of_many_at_once_one_gets_the_lock(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        locks = list(threads.map(lambda _: try_lock(tmp_path / "lock"), range(64)))
    (descriptor,) = [each for each in locks if each is not None]
    assert try_lock(tmp_path / "lock") is None
    os.close(descriptor)


def test_a_holder_that_has_not_said_its_number(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "no file") == "another process"
    (tmp_path / "lock").touch()
    assert holder_of(tmp_path / "lock") == "another process"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "it is no folder"),
        ("file/data", "Not a directory"),
        ("circle", "loop"),
        ("null \0", "null"),
        ("half \ud800", "surrogates"),
        ("x" * 300, "too long"),
    ],
)
def test_a_place_that_is_no_folder(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(DataDirError, match="EVERTURN_DATA_DIR") as refused:
        prepare_data_dir(tmp_path / name)
    assert reason in str(refused.value)
    assert repr(str(tmp_path / name)) in str(refused.value)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "data"])
def test_a_folder_that_may_only_be_read(unprivileged: Path, name: str) -> None:
    unprivileged.chmod(0o500)
    with pytest.raises(DataDirError, match="Permission denied"), hold_data_dir(unprivileged / name):
        pass
    unprivileged.chmod(0o700)
    with hold_data_dir(unprivileged / name):
        pass


def test_a_lock_of_another_user(unprivileged: Path) -> None:
    (unprivileged / "serve.lock").touch(mode=0o000)
    with (
        pytest.raises(DataDirError, match=r"serve\.lock.*Permission denied"),
        hold_data_dir(unprivileged),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="looks at a Linux file system")
def test_a_folder_where_not_even_root_may_write() -> None:
    with pytest.raises(DataDirError, match="cannot use '/proc/self/fd'"):
        prepare_data_dir(Path("/proc/self/fd"))


def test_is_shared_with_those_of_a_service_that_is_not_alone(tmp_path: Path) -> None:
    with pytest.raises(DataDirError, match="no service runs"), share_data_dir(tmp_path):
        pass
    with hold_data_dir(tmp_path, alone=False):
        with share_data_dir(tmp_path) as folder, share_data_dir(tmp_path):
            assert folder == tmp_path
        with pytest.raises(DataDirError, match="is held by"), hold_data_dir(tmp_path, alone=False):
            pass


def test_is_not_shared_with_who_is_alone(tmp_path: Path) -> None:
    with (
        hold_data_dir(tmp_path),
        pytest.raises(DataDirError, match="alone: start it with --workers 2"),
        share_data_dir(tmp_path),
    ):
        pass


def test_nobody_is_alone_beside_one_that_shares(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path, alone=False):
        shares = share_data_dir(tmp_path)
        shares.__enter__()
    try:
        with pytest.raises(DataDirError, match="everturn worker"), hold_data_dir(tmp_path):
            pass
        with hold_data_dir(tmp_path, alone=False):
            pass
    finally:
        shares.__exit__(None, None, None)
    with hold_data_dir(tmp_path):
        pass
