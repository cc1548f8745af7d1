"""Several real processes: each that is asked shows all of them; one that was killed is silent."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from everturn.server.api.operators.now import NowView
from tests.service import Client, process
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock


def now(url: str) -> NowView:
    """Ask one of them, over a connection of its own."""
    with Client(url) as client:
        return NowView.model_validate_json(client.get("/api/now").content, strict=True)


def test_each_shows_all(tmp_path: Path) -> None:
    with process(tmp_path / "data", "--workers", "2") as running:
        url = running.url()
        made = 0

        def both_have_turns() -> bool:
            nonlocal made
            with Client(url) as client:
                client.ask("Compute 2 + 3")
            made += 1
            view = now(url)
            return len(view.processes) == 2 and all(p.figures.turns for p in view.processes)

        eventually_sync(both_have_turns)
        eventually_sync(lambda: now(url).figures.turns == made)
        asked = set[str]()

        def both_were_asked() -> bool:
            view = now(url)
            if view.figures.turns != made:  # this one has not heard of all turns of the other
                return False
            first, other = view.processes
            assert (first.answers, other.answers) == (True, False)
            assert first.figures.turns + other.figures.turns == view.figures.turns == made
            assert len(view.turns) == min(made, 50)
            assert {turn.process for turn in view.turns} <= {first.name, other.name}
            (calculator,) = view.tools
            assert calculator.calls == made
            asked.add(first.id)
            return len(asked) == 2

        eventually_sync(both_were_asked)

        victim = int(now(url).processes[0].name.rpartition(":")[2])
        os.kill(victim, signal.SIGKILL)

        def is_silent() -> bool:
            with suppress(httpx.TransportError):  # it may have taken the connection as it died
                return [p.name for p in now(url).processes if not p.alive] != []
            return False

        eventually_sync(is_silent)
        view = now(url)
        assert view.figures.turns == made
        assert any(p.alive for p in view.processes)
