"""How many items the store takes and gives, alone and by many at once. Prints its figures.

python tests/bench/store.py            SQLite, and PostgreSQL where one answers
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from langgraph.store.base import BaseStore, IndexConfig

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.store import Meaning, open_store
from tests.checkpoints.stores import new_postgres_database

_ITEMS = 2000
_WRITERS = 50
_DIMS = 256
INDEX: IndexConfig = {
    "dims": _DIMS,
    "embed": lambda texts: [[float(hash(text) >> n & 1) for n in range(_DIMS)] for text in texts],
    "fields": ["text"],
}


async def rate(times: int, side_by_side: int, call: Callable[[int], Awaitable[object]]) -> float:
    """Calls a second."""
    numbers = iter(range(times))

    async def worker() -> None:
        for number in numbers:
            await call(number)

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(side_by_side)))
    return times / (time.perf_counter() - begun)


async def measure(name: str, store: BaseStore) -> None:
    """Print a line of figures."""

    async def put(n: int) -> None:
        await store.aput(("bench", str(n % 20)), str(n), {"n": n, "text": f"item {n}"})

    async def get(n: int) -> None:
        await store.aget(("bench", str(n % 20)), str(n))

    async def search(n: int) -> None:
        await store.asearch(("bench", str(n % 20)), limit=10)

    async def filtered(n: int) -> None:
        await store.asearch(("bench",), filter={"n": {"$gte": _ITEMS - 10}}, limit=10)

    async def meaning(n: int) -> None:
        await store.asearch(("bench",), query=f"item {n}", limit=10)

    figures = {
        "put, one after another": await rate(300, 1, put),
        f"put, {_WRITERS} writers": await rate(_ITEMS, _WRITERS, put),
        "get, one after another": await rate(500, 1, get),
        f"get, {_WRITERS} readers": await rate(_ITEMS, _WRITERS, get),
        "search, 10 latest": await rate(500, 1, search),
        f"filter over {_ITEMS}": await rate(20, 1, filtered),
        f"by meaning over {_ITEMS}": await rate(20, 1, meaning),
    }
    for what, figure in figures.items():
        print(f"{name:<10} {what:<26} {figure:>8.0f} a second")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_database(None, Path(folder)) as engine,
            open_store(engine, meaning=Meaning(INDEX)) as store,
        ):
            await measure("SQLite", store)
        async with (
            new_postgres_database() as database,
            open_database(database.render_as_string(hide_password=False), Path(folder)) as engine,
            open_store(engine, meaning=Meaning(INDEX)) as store,
        ):
            await measure("PostgreSQL", store)


if __name__ == "__main__":
    asyncio.run(main())
