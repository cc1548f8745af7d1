"""A package of somebody else under one of our names is refused before it does harm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT
from tests.waiting import PATIENCE


@pytest.mark.parametrize("command", ["serve", "config"])
@pytest.mark.parametrize("room", ["graph", "tools", "checkpoints"])
def test_a_foreign_room_is_named_in_one_line(tmp_path: Path, room: str, command: str) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "__init__.py").write_text("raise RuntimeError('not ours')")
    ran = subprocess.run(
        [sys.executable, "-m", "server", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"everturn: The package {room!r} is loaded from {tmp_path / room}")
