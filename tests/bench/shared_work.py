"""How long background runs take that are posted to one of several processes.

    python -m tests.bench.shared_work [runs] [slots a process]

Each run waits 1.5 s, as for a model: what is measured is how the work is shared, not this machine's
processors. PostgreSQL and Redis are those of the tests.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.checkpoints.stores import REDIS_URL, new_postgres_database, redis_store
from tests.service import ROOT, process

GRAPH = ROOT / "tests" / "server" / "journal_graph.py"
WAIT = 1.5


async def measure(processes: int, runs: int, slots: int) -> tuple[float, list[int]]:
    """Return the seconds until all have ended, and how many each process executed."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "langgraph.json").write_text(json.dumps({"graphs": {"j": f"{GRAPH}:graph"}}))
        async with redis_store() as redis, new_postgres_database() as database:
            url = database.render_as_string(hide_password=False)
            settings = {
                "REDIS_URL": REDIS_URL,
                "DATABASE_URL": url,
                "EVERTURN_REDIS_PREFIX": redis.prefix,
                "EVERTURN_CONFIG": str(here / "langgraph.json"),
                "EVERTURN_MAX_RUNS": str(slots),
                "LOG_LEVEL": "WARNING",
            }
            with ExitStack() as stack:
                started = [
                    stack.enter_context(
                        process(here / str(number), **{**settings, "LOG_LEVEL": "INFO"})
                    )
                    for number in range(processes)
                ]
                urls = [each.url() for each in started]
                began = time.monotonic()
                async with httpx.AsyncClient(base_url=urls[0], timeout=120) as client:
                    body = {
                        "assistant_id": "j",
                        "if_not_exists": "create",
                        "input": {"journal": str(here / "journal"), "name": "x", "wait": WAIT},
                    }
                    gate = asyncio.Semaphore(32)

                    async def post() -> None:
                        async with gate:
                            answer = await client.post(f"/threads/{uuid4()}/runs", json=body)
                            answer.raise_for_status()

                    await asyncio.gather(*(post() for _ in range(runs)))
                    posted = time.monotonic() - began
                    engine = create_async_engine(url)
                    left = text("SELECT count(*) FROM everturn.runs WHERE status <> 'success'")
                    while True:
                        async with engine.connect() as connection:
                            if not await connection.scalar(left):
                                break
                        await asyncio.sleep(0.05)
                    await engine.dispose()
                took = time.monotonic() - began
                print(f"  posted in {posted:.1f} s", flush=True)
            lines = (here / "journal").read_text().split()
            return took, sorted(Counter(lines[1::2]).values())


async def main() -> None:
    """Measure one process, and two."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    slots = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    for processes in (1, 2):
        seconds, executed = await measure(processes, runs, slots)
        print(f"{processes} processes: {seconds:.1f} s, executed by each {executed}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
