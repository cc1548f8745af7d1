"""Redis loses a primary while clients have turns by all doors of two processes."""

import asyncio
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from tests.checkpoints.redis.primaries import primary_of
from tests.checkpoints.redis.replicas import replicated
from tests.checkpoints.stores import postgres_database
from tests.service import process
from tests.soak.accounts import findings, settled
from tests.soak.failover import Load
from tests.soak.instances import PROJECT
from tests.soak.journal import VARIABLE
from tests.soak.turns import KINDS, Clients
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_a_lost_primary_costs_no_turn(kind: str, tmp_path: Path) -> None:
    """Of a cluster the one is lost that knows which processes are alive."""
    async with postgres_database() as database:
        with replicated(kind) as redis_url, ExitStack() as stack:
            environment = {
                "REDIS_URL": redis_url,
                "DATABASE_URL": database.render_as_string(hide_password=False),
                "EVERTURN_CONFIG": str(PROJECT),
                VARIABLE: str(tmp_path / "journal"),
            }
            running = [
                stack.enter_context(process(tmp_path / name, **environment)) for name in "ab"
            ]
            clients = Clients([each.url() for each in running], patience=PATIENCE)
            load = Load(clients, Random(kind))
            talking = asyncio.gather(*(load.talk(number) for number in range(len(KINDS))))
            await eventually(lambda: _kinds_answered(load, 0) == {*KINDS})
            os.kill(primary_of("{everturn:processes}", redis_url), signal.SIGKILL)
            lost = len(load.turns)
            await eventually(lambda: _kinds_answered(load, lost) == {*KINDS})
            load.over = True
            await talking
            threads, _ = await settled(clients, {turn.thread for turn in load.turns}, PATIENCE)
            await clients.http.aclose()
            assert findings(load.turns, threads, []) == []


def _kinds_answered(load: Load, since: int) -> set[str]:
    return {turn.kind for turn in load.turns[since:] if turn.answers}
