"""A thread that is deleted leaves nothing behind, in no store."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis

from tests.checkpoints.stores import REDIS_URL
from tests.service import ROOT, Client, serving
from tests.waiting import eventually_sync

TOY = ROOT / "tests" / "server" / "toy_graph.py"


def _left(data_dir: Path, prefix: str, *ids: str) -> list[Any]:
    """What holds one of the ids, in its name or its content."""
    return [found for found in _all_kept(data_dir, prefix) if any(id_ in str(found) for id_ in ids)]


def _all_kept(data_dir: Path, prefix: str) -> Iterator[Any]:
    with Redis.from_url(REDIS_URL) as redis:
        for key in redis.scan_iter(match=f"*{prefix}*", count=1000):
            # A writer that was overtaken must not bring the thread back: its fence stays a while.
            if not (key.endswith(b":fence") and redis.pttl(key) > 0):
                yield key, redis.dump(key)
    with closing(sqlite3.connect(data_dir / "everturn.db")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in database.execute(f"SELECT * FROM {table}"):
                yield table, row


def test_nothing_is_left_of_a_thread(data_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"toy": f"{TOY}:graph"}}))
    prefix = f"test-{uuid4().hex}"
    with serving(data_dir, config=config, redis_url=REDIS_URL, redis_prefix=prefix) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        run_ids = _used(client, thread)
        assert _left(data_dir, prefix, thread, *run_ids)
        assert client.delete(f"/threads/{thread}").status_code == 204
        eventually_sync(lambda: not _left(data_dir, prefix, thread, *run_ids))
        for run_id in run_ids:
            path = f"/threads/{thread}/runs/{run_id}/stream"
            assert client.get(path, headers={"Last-Event-ID": "-1"}).status_code == 404


def _used(client: Client, thread: str) -> list[str]:
    """Run all kinds of runs on a thread; return their ids."""
    path, body = f"/threads/{thread}/runs", {"assistant_id": "toy", "input": {"words": "a b"}}
    streamed = client.post(f"{path}/stream", json={**body, "stream_resumable": True})
    waited = client.post(f"{path}/wait", json=body)
    under_way = client.post(path, json={**body, "input": {"wait": 3600}})
    delayed = client.post(path, json={**body, "after_seconds": 3600})
    places = [each.headers["Content-Location"] for each in (streamed, waited, under_way, delayed)]
    return [place.rpartition("/")[2] for place in places]
