"""A signal that comes as a start ends is not lost."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from everturn.server.cli.process import opened
from everturn.server.settings import Settings
from tests.service import ROOT
from tests.waiting import PATIENCE

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {sign: signal.getsignal(sign) for sign in SIGNALS}
    yield
    for sign, handler in before.items():
        signal.signal(sign, handler)


async def test_it_comes_again_when_there_is_a_handler(data_dir: Path) -> None:
    settings = Settings.read({"data_dir": data_dir, "config": ROOT / "langgraph.json", "port": 0})
    came = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with opened(settings, nullcontext, several=False):
        signal.raise_signal(signal.SIGTERM)  # before who serves has said what it does then
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(came.set))
        await asyncio.wait_for(came.wait(), PATIENCE)
