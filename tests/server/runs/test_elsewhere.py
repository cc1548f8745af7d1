"""Runs that wait are taken to be ended: one that cannot be ended now waits again."""

from pathlib import Path

import pytest

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.peers import SinglePeer
from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.group_commit import open_group_commit
from everturn.checkpoints.sql.runs import Claimed, RunRow, RunRows
from everturn.server.runs.elsewhere import Elsewhere
from everturn.server.runs.here import Here
from everturn.server.runs.run import CancelAction
from everturn.server.streams.feed import NoLog


async def test_a_run_that_cannot_be_ended_waits_again(tmp_path: Path) -> None:
    ended: list[str] = []

    async def end(claimed: Claimed, _: CancelAction) -> None:
        if ended:
            raise StoreUnavailable("the database has just gone away")
        ended.append(claimed.row.run_id)

    async with open_database(None, tmp_path) as database, open_group_commit(database) as commits:
        rows = RunRows(database, commits, "a")
        for name in ("one", "two", "three"):
            row = RunRow(run_id=name, thread_id=name, assistant_id="toy")
            await rows.insert(row, waits=True)
        elsewhere = Elsewhere(Here(), rows, NoLog(), SinglePeer(), end)
        with pytest.raises(StoreUnavailable):
            await elsewhere.end_waiting(["one", "two", "three"], "interrupt")
        await commits.close()
        assert [each.row.run_id for each in await rows.claim(10)] == ["two", "three"]
