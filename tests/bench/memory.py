"""What long-term memory costs, and what it finds: `python -m tests.bench.memory [100000]`.

Prints the p95 of a recall among 1,000 and among 100,000 memories of one user, on SQLite; the
milliseconds that memory adds to a turn which uses none; and how often the memory that answers a
question is among the first three: by words alone, by meaning alone, and by both.

Meaning needs the extra `memory`; without it that part is left out.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple
from zlib import crc32

from langchain_core.runnables import RunnableConfig
from langgraph.store.base import IndexConfig, PutOp

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.store import Meaning, SQLStore, finding, open_store
from everturn.graph.agent import graph
from everturn.graph.models.embeddings import EmbeddingsMissing, OfflineEmbeddings
from everturn.tools.providers.memories.settings import MemorySettings
from tests.bench.memory_questions import FACTS, QUESTIONS

NAMESPACE = ("everturn:memories", "(local)", "(local)")
DIMENSIONS = 512
LOOKS = 200
TOP = 3
_AT_ONCE = 500
_WORDS = [f"{a}{b}" for a in "bdfgklmnprstvz" for b in ("ana", "elo", "iru", "ossa", "unt", "aki")]


def p95(milliseconds: Sequence[float]) -> float:
    """Nineteen of twenty are no slower."""
    return sorted(milliseconds)[int(len(milliseconds) * 0.95)]


class Took(NamedTuple):
    """Milliseconds of each of many, and of the processor for one of them."""

    each: list[float]
    processor: float


async def timed(count: int, work: Callable[[], Awaitable[Any]]) -> Took:
    found, began = [], process_time()
    for _ in range(count):
        started = perf_counter()
        await work()
        found.append((perf_counter() - started) * 1000)
    return Took(found, (process_time() - began) * 1000 / count)


def made_up(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=8))


@cache
def vector_of(word: str) -> Any:
    import numpy as np

    return np.random.default_rng(crc32(word.encode())).standard_normal(DIMENSIONS)


def made_up_vectors(texts: Sequence[str]) -> list[list[float]]:
    """Vectors that depend on the words alone, as quick as can be: the search is measured."""
    import numpy as np

    return [np.sum([vector_of(word) for word in text.split()], axis=0).tolist() for text in texts]


async def fill(store: SQLStore, count: int, rng: random.Random) -> None:
    for start in range(0, count, _AT_ONCE):
        ops = [
            PutOp(NAMESPACE, f"{number:08}", {"text": made_up(rng), "kind": "fact"}, ["text"])
            for number in range(start, min(count, start + _AT_ONCE))
        ]
        await store.abatch(ops)


async def recall(count: int) -> None:
    """Print how long a recall takes, by words alone and by meaning and words."""
    rng = random.Random(1)
    index = IndexConfig(dims=DIMENSIONS, embed=made_up_vectors, fields=[])
    with tempfile.TemporaryDirectory() as folder:
        async with open_database(None, Path(folder)) as database:
            async with open_store(database, meaning=Meaning(index, name="made up")) as store:
                await fill(store, count, rng)

                async def look(in_store: SQLStore = store) -> None:
                    await in_store.asearch(NAMESPACE, query=made_up(rng), limit=8)

                first = (await timed(1, look)).each[0]
                both = await timed(LOOKS, look)
            async with open_store(database) as words:
                alone = await timed(LOOKS, lambda: look(words))
    for name, took in (("meaning and words", both), ("words alone", alone)):
        print(
            f"recall among {count:,} by {name}: p95 {p95(took.each):.1f} ms, median "
            f"{median(took.each):.1f}; of the processor {took.processor:.1f}"
        )
    print(f"  the first one by meaning, which reads all vectors: {first:.0f} ms")


async def added() -> None:
    """Print what memory adds to a turn of a user who has none, and of one who has some."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_database(None, Path(folder)) as database, open_store(database) as store:
            took = {name: await _turns(store, name) for name in ("off", "tools")}
            await fill(store, 100, random.Random(2))
            await asyncio.sleep(5.5)  # that there was nothing is known for so long
            some = await _turns(store, "tools")
    took["100 remembered"] = some
    off = took["off"]
    for name, each in took.items():
        more = median(each.each) - median(off.each), each.processor - off.processor
        print(
            f"a turn, memory {name}: median {median(each.each):.2f} ms ({more[0]:+.2f}), of the "
            f"processor {each.processor:.2f} ({more[1]:+.2f})"
        )


async def _turns(store: SQLStore, memory: str) -> Took:
    from everturn.graph.models.provider import Models
    from everturn.graph.models.settings import ModelSettings
    from everturn.graph.services import Services

    settings = MemorySettings.model_validate({"memory": memory})
    services = Services(models=Models(ModelSettings().without_provider()), memory=settings)
    config: RunnableConfig = {"configurable": {"__everturn": services}}
    served: Any = graph.copy({"store": store})

    async def turn() -> None:
        await served.ainvoke({"messages": [("user", "Good morning to you")]}, config)

    await timed(20, turn)
    return await timed(LOOKS, turn)


async def quality(name: str, embeddings: Any) -> None:
    """Print how many questions find their fact among the first three."""
    index = IndexConfig(dims=0, embed=embeddings, fields=[])
    with tempfile.TemporaryDirectory() as folder:
        async with open_database(None, Path(folder)) as database:
            meaning = Meaning(index, setting=name) if embeddings else None
            async with open_store(database, meaning=meaning) as store:
                ops = [
                    PutOp(NAMESPACE, str(number), {"text": text}, ["text"])
                    for number, text in enumerate(FACTS)
                ]
                await store.abatch(ops)
                found = [await _among(store, *question) for question in QUESTIONS]
                asked = [query for query, _ in QUESTIONS]
                took = await timed(20, lambda: store.asearch(NAMESPACE, query=asked[0], limit=TOP))
    share = sum(found) / len(found)
    print(
        f"top-{TOP} of {len(QUESTIONS)} questions about {len(FACTS)} facts, {name}: {sum(found)}"
        f" = {share:.3f} ({median(took.each):.1f} ms a question)"
    )


async def _among(store: SQLStore, query: str, fact: int) -> bool:
    items = await store.asearch(NAMESPACE, query=query, limit=TOP)
    return any(item.key == str(fact) and item.score is not None for item in items)


async def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for count in dict.fromkeys((min(most, 1_000), most)):
        await recall(count)
    await added()
    await quality("words alone", None)
    try:
        embeddings = OfflineEmbeddings()
    except EmbeddingsMissing as missing:
        print(missing)
        return
    await embeddings.aembed_query("once, to load it")
    weight = finding.WEIGHT_OF_WORDS
    finding.WEIGHT_OF_WORDS = 0.0
    await quality("meaning alone", embeddings)
    finding.WEIGHT_OF_WORDS = weight
    await quality("meaning and words", embeddings)


if __name__ == "__main__":
    asyncio.run(main())
