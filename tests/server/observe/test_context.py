"""Each line of a turn names its run and, as a hash, who asked."""

from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from everturn.server.access.caller import Caller
from everturn.server.observe import turns
from everturn.server.observe.context import caller_hash, hash_callers_by
from tests.server.access.project import served, user_of

ALICE, BOB = Caller({"identity": "alice"}), Caller({"identity": "bob"})


class Lines:
    """Takes the lines of turns, with what is bound where they are written."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []

    def info(self, event: str, **values: Any) -> None:
        self.taken.append({**get_contextvars(), **values})


def test_a_turn_names_its_run_and_its_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    monkeypatch.setattr(turns, "log", lines)
    with served(tmp_path / "data", caller_key="k") as url:
        for user in ("alice", "bob"):
            with user_of(url, user) as client:
                thread = client.post("/threads", json={}).json()["thread_id"]
                body = {"assistant_id": "agent", "input": {"messages": "Hi"}}
                run = client.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
                client.get(f"/threads/{thread}/runs/{run}/join").raise_for_status()
            line = lines.taken[-1]
            assert (line["run_id"], line["thread_id"]) == (run, thread)
        callers = [line["caller"] for line in lines.taken]
        assert callers == [caller_hash(ALICE), caller_hash(BOB)]
    assert "alice" not in str(lines.taken)


def test_a_hash_is_by_the_key_and_tells_callers_apart() -> None:
    hash_callers_by("one")
    first = caller_hash(ALICE)
    assert caller_hash(ALICE) == first != caller_hash(BOB)
    hash_callers_by("two")
    assert caller_hash(ALICE) != first
    assert caller_hash(None) is None
