"""The version is said in many places, and comes from one."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from everturn import __version__
from tests.service import ROOT, Client, process
from tests.waiting import PATIENCE


def output_of(*command: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True,
        timeout=PATIENCE, check=True,
    )  # fmt: skip
    return ran.stdout


def test_a_service_says_its_version_the_same_everywhere(tmp_path: Path) -> None:
    with process(tmp_path / "data") as running, Client(running.url()) as client:
        info = client.get("/info").json()
        described = client.get("/openapi.json").json()["info"]
        metrics = client.get("/metrics").text
        (ready,) = [json.loads(line) for line in running.log if '"everturn_ready"' in line]
    assert info["everturn_version"] == __version__
    assert described["version"] == __version__
    assert f'everturn_processes{{version="{__version__}"}} 1.0' in metrics
    assert ready["version"] == __version__


def test_the_command_says_its_version() -> None:
    assert output_of("everturn.server", "--version").strip() == f"everturn {__version__}"


def test_a_package_has_the_version_of_its_code(tmp_path: Path) -> None:
    output_of("hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    (wheel,) = tmp_path.iterdir()
    assert wheel.name.startswith(f"everturn-{__version__}-")
    with zipfile.ZipFile(wheel) as files:
        said = files.read(f"everturn-{__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {__version__}\n" in said


def test_the_changelog_begins_with_what_is_not_released_or_with_this_version() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    heads = [line.split()[1].strip("[]") for line in lines if line.startswith("## ")]
    assert heads[0] in {"Unreleased", __version__}
