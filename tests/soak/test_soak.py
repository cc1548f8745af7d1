"""The short form of `make soak`: some trials of each rig, without a judgement of any time."""

import asyncio
from pathlib import Path

import pytest

from tests.checkpoints.redis.servers import redis_binary
from tests.soak.figures import Figures
from tests.soak.known import OPEN
from tests.soak.rigs import RIGS, Options
from tests.soak.stores import postgres_folder

pytestmark = [pytest.mark.slow, pytest.mark.clock, pytest.mark.timeout(1200)]

TRIALS = {
    "one": 3,
    "three": 2,
    "deaths": 60,
    "still": 1,
    "apart": 2,
    "set-back": 2,
    "stopped": 2,
    "calls": 2,
    "machine": 1,
}
SHARED = {"three", "still", "apart", "faults"}


@pytest.mark.parametrize("rig", TRIALS)
def test_what_is_promised_is_kept(rig: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    seeds = [f"{rig} short {number}" for number in range(TRIALS[rig])]
    _kept(rig, Options(_folder(rig, tmp_path_factory), seeds, beside=2, lanes=1))


def test_stores_may_be_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    names = ["redis_stopped", "postgres_restarted", "sqlite_locked"]
    folder = _folder("faults", tmp_path_factory)
    _kept("faults", Options(folder, ["faults short 0"], beside=2, faults=names, seconds=3))


def _folder(rig: str, factory: pytest.TempPathFactory) -> Path:
    """A short path, for the sake of sockets; skips where a server is not installed."""
    if redis_binary() is None or (rig in SHARED and postgres_folder() is None):
        pytest.skip("no Redis or no PostgreSQL server is installed")
    return factory.mktemp("s")


def _kept(rig: str, options: Options) -> None:
    figures = Figures(rig)
    made = RIGS[rig][1](options, figures)
    if asyncio.iscoroutine(made):
        asyncio.run(made)
    assert figures.trials
    broken = {
        f"{promise} ({turn}): {figures.shown[promise, turn]}"
        for promise, turn in figures.broken
        if promise not in OPEN[rig] and turn != "p95"  # no test judges how quick a machine is
    }
    assert broken == set()
