"""Modules are imported off the event loop: they may block and run loops of their own."""

import asyncio
import json
import signal
import threading
from pathlib import Path

import pytest

from everturn.server.projects.imports import off_the_loop
from tests.service import ROOT, process, serving
from tests.waiting import eventually_sync


async def test_what_blocks_does_not_stop_the_loop() -> None:
    going_on = threading.Event()

    def load() -> tuple[int, bool]:
        assert going_on.wait(60)  # set by the loop, while this blocks
        return asyncio.run(asyncio.sleep(0, 7)), threading.current_thread().daemon

    loading = asyncio.create_task(off_the_loop(load))
    await asyncio.sleep(0)
    going_on.set()
    assert await loading == (7, True)


async def test_what_is_raised_is_raised() -> None:
    def load() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await off_the_loop(load)


async def test_one_that_hangs_can_be_left() -> None:
    end = threading.Event()
    loading = asyncio.create_task(off_the_loop(end.wait))
    await asyncio.sleep(0)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    end.set()


def test_a_module_that_runs_a_loop_at_its_import(tmp_path: Path) -> None:
    config = ROOT / "tests/projects/runtimes/langgraph.json"
    with serving(tmp_path / "data", config=config) as client:
        answer = client.post("/runs/wait", json={"assistant_id": "slow", "input": {}})
        assert answer.json()["seen"] == {"prepared": "prepared", "main": False}


def test_a_start_that_hangs_in_an_import_can_be_stopped(data_dir: Path) -> None:
    folder = data_dir.parent
    (folder / "hangs.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(3600)\n")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"agent": "./hangs.py:graph"}}))
    for sign in (signal.SIGINT, signal.SIGTERM):
        with process(data_dir, EVERTURN_CONFIG=str(config)) as running:
            eventually_sync((folder / "begun").exists)
            running.popen.send_signal(sign)
            assert running.ended() == 0
            assert "Traceback" not in "".join(running.log)
        (folder / "begun").unlink()
