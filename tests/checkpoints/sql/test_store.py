"""The contract of LangGraph's store: LangGraph's own in memory is held to it as ours is."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel
from sqlalchemy import event, func, select, update

from everturn.checkpoints.errors import (
    InvalidItem,
    SearchTimeout,
    StoreMisconfigured,
    StoreUnavailable,
)
from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.store import Meaning, SQLStore, finding, open_store
from everturn.checkpoints.sql.store.values import as_json, fits
from everturn.checkpoints.sql.tables import store_items, store_texts
from tests.checkpoints.stores import in_database, in_postgres, postgres_database

WORDS = ["cats", "purr", "softly", "dogs", "bark", "the", "sun", "shines", "on", "bread", "x"]


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Texts with the same words are near: enough of a meaning to be ranked by."""
    vectors = []
    for text in texts:
        vector = [0.0] * len(WORDS)
        for word in text.split():
            if word in WORDS:
                vector[WORDS.index(word)] += 1
        vectors.append(vector)
    return vectors


INDEX: IndexConfig = {"dims": len(WORDS), "embed": embed, "fields": ["text"]}


@pytest.fixture
async def ours(database: Database) -> AsyncIterator[SQLStore]:
    async with open_store(database, meaning=Meaning(INDEX)) as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BaseStore]:
    async with STORES[request.param](tmp_path) as opened:
        yield opened


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[BaseStore]:
    yield InMemoryStore(index=INDEX)


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[BaseStore]:
    async with (
        open_database(None, folder) as database,
        open_store(database, meaning=Meaning(INDEX)) as s,
    ):
        yield s


@asynccontextmanager
async def on_postgres(folder: Path) -> AsyncIterator[BaseStore]:
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), folder) as database,
        open_store(database, meaning=Meaning(INDEX)) as opened,
    ):
        yield opened


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[BaseStore]]] = {
    "memory": in_memory,
    "sqlite": on_sqlite,
    "postgres": on_postgres,
}


async def test_put_get_update_delete(store: BaseStore) -> None:
    await store.aput(("users", "ada"), "prefs", {"theme": "dark", "deep": {"list": [1, 2.5, None]}})
    item = await store.aget(("users", "ada"), "prefs")
    assert item is not None
    assert item.value == {"theme": "dark", "deep": {"list": [1, 2.5, None]}}
    assert (item.namespace, item.key) == (("users", "ada"), "prefs")
    assert item.created_at.tzinfo is not None
    await store.aput(("users", "ada"), "prefs", {"theme": "light"})
    changed = await store.aget(("users", "ada"), "prefs")
    assert changed is not None
    assert changed.value == {"theme": "light"}
    assert changed.updated_at > item.updated_at
    assert await store.aget(("users",), "prefs") is None
    assert await store.aget(("users", "ada"), "other") is None
    await store.adelete(("users", "ada"), "prefs")
    await store.adelete(("users", "ada"), "prefs")
    assert await store.aget(("users", "ada"), "prefs") is None


async def test_a_sync_node_uses_it_from_its_thread(store: BaseStore) -> None:
    def node() -> list[Any]:
        store.put(("n",), "k", {"v": 1})
        found = store.get(("n",), "k")
        listed = [item.key for item in store.search(("n",))]
        names = store.list_namespaces()
        store.delete(("n",), "k")
        return [found and found.value, listed, names, store.get(("n",), "k")]

    assert await asyncio.to_thread(node) == [{"v": 1}, ["k"], [("n",)], None]


async def test_a_prefix_is_of_labels_not_of_letters(store: BaseStore) -> None:
    for namespace in [
        ("a",),
        ("a", "b"),
        ("ab",),
        ("a-b",),
        ("a/b",),
        ("a%",),
        ("a_", "b"),
        ("é",),
    ]:
        await store.aput(namespace, "k", {"v": 1})

    async def found(*prefix: str) -> set[tuple[str, ...]]:
        return {item.namespace for item in await store.asearch(prefix, limit=100)}

    assert await found("a") == {("a",), ("a", "b")}
    assert await found("a", "b") == {("a", "b")}
    assert await found("a%") == {("a%",)}
    assert await found("a_") == {("a_", "b")}
    assert await found("é") == {("é",)}
    assert len(await found()) == 8
    assert await found("b") == set()


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"one", "two", "three", "none"}),
    ({"kind": "x"}, {"one", "two"}),
    ({"kind": "x", "n": 2}, {"two"}),
    ({"n": {"$eq": 2}}, {"two"}),
    ({"n": {"$gt": 1}}, {"two", "three"}),
    ({"n": {"$gte": 2, "$lt": 3}}, {"two"}),
    ({"n": {"$lte": 1}}, {"one", "none"}),
    ({"kind": {"$ne": "x"}}, {"three", "none"}),
    ({"deep": {"a": 1}}, {"one"}),
    ({"deep": {"a": {"$gt": 1}}}, {"two"}),
    ({"tags": ["p", "q"]}, {"one"}),
    ({"tags": ["p"]}, set()),
    ({"missing": "x"}, set()),
    ({"ok": True}, {"one"}),
    ({"gone": None}, {"one", "two", "three", "none"}),
    ({"n": 1.0}, {"one"}),
    ({'qu"o\\te': "x"}, {"three"}),
]


async def test_filters(store: BaseStore) -> None:
    values: dict[str, dict[str, Any]] = {
        "one": {"kind": "x", "n": 1, "deep": {"a": 1, "b": 2}, "tags": ["p", "q"], "ok": True},
        "two": {"kind": "x", "n": 2, "deep": {"a": 2}, "ok": False},
        "three": {"kind": "y", "n": 3.5, "deep": {"a": 0}, 'qu"o\\te': "x"},
        "none": {"n": -4, "deep": {"a": -1}},
    }
    for key, value in values.items():
        await store.aput(("f",), key, value)
    for condition, expected in FILTERS:
        found = {item.key for item in await store.asearch(("f",), filter=condition, limit=100)}
        assert found == expected, condition


async def test_what_cannot_be_compared_does_not_fit(ours: SQLStore) -> None:
    values: list[dict[str, Any]] = [
        {},
        {"n": "x"},
        {"n": None},
        {"n": [1]},
        {"n": True},
        {"n": "7"},
        {"n": 8},
    ]
    for number, value in enumerate(values):
        await ours.aput(("f",), str(number), value)
    found = await ours.asearch(("f",), filter={"n": {"$gt": 6}})
    assert {item.key for item in found} == {"5", "6"}
    await ours.aput(("d",), "k", {"day": "2026-11-02"})
    assert await ours.asearch(("d",), filter={"day": {"$gte": "2026-11-01"}})
    assert not await ours.asearch(("d",), filter={"day": {"$lt": "2026-11-01"}})


async def test_an_operator_that_there_is_not(store: BaseStore) -> None:
    await store.aput(("f",), "k", {"n": 1})
    with pytest.raises(ValueError, match=r"Unsupported operator: \$regex"):
        await store.asearch(("f",), filter={"n": {"$regex": "x"}})
    with pytest.raises(ValueError, match="Unsupported operator: x"):
        await store.asearch(("f",), filter={"n": {"$gt": 0, "x": 1}})


async def test_limit_and_offset(ours: SQLStore) -> None:
    for number in range(7):
        await ours.aput(("p", str(number % 2)), str(number), {"n": number, "even": not number % 2})
    pages = [await ours.asearch(("p",), limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [[item.key for item in page] for page in pages] == [
        ["6", "5", "4"],
        ["3", "2", "1"],
        ["0"],
        [],
    ]
    even = await ours.asearch(("p",), filter={"even": True}, limit=2, offset=1)
    assert [item.key for item in even] == ["4", "2"]


async def test_namespaces(store: BaseStore) -> None:
    for path in ["a", "a.b", "a.b.c", "a.d.c", "e.b", "e.b.c.f"]:
        await store.aput(tuple(path.split(".")), "k", {"v": path})

    async def listed(**conditions: Any) -> list[str]:
        return [".".join(each) for each in await store.alist_namespaces(**conditions)]

    assert await listed() == ["a", "a.b", "a.b.c", "a.d.c", "e.b", "e.b.c.f"]
    assert await listed(prefix=("a",)) == ["a", "a.b", "a.b.c", "a.d.c"]
    assert await listed(prefix=("a", "*", "c")) == ["a.b.c", "a.d.c"]
    assert await listed(suffix=("c",)) == ["a.b.c", "a.d.c"]
    assert await listed(suffix=("b", "*")) == ["a.b.c"]
    assert await listed(prefix=("e",), suffix=("f",)) == ["e.b.c.f"]
    assert await listed(max_depth=1) == ["a", "e"]
    assert await listed(max_depth=2) == ["a", "a.b", "a.d", "e.b"]
    assert await listed(limit=2, offset=1) == ["a.b", "a.b.c"]
    assert await listed(prefix=("a",), max_depth=2, limit=2, offset=1) == ["a.b", "a.d"]
    assert await listed(prefix=("nothing",)) == []


async def test_conditions_side_by_side(store: BaseStore) -> None:
    for path in ["a", "a.b", "c.b"]:
        await store.aput(tuple(path.split(".")), "k", {"v": path})
    conditions = (MatchCondition("prefix", ("a",)), MatchCondition("prefix", ("a", "b")))
    found = await store.abatch([ListNamespacesOp(match_conditions=conditions)])
    assert found == [[("a", "b")]]
    conditions = (MatchCondition("prefix", ("a",)), MatchCondition("prefix", ("c",)))
    assert await store.abatch([ListNamespacesOp(match_conditions=conditions)]) == [[]]


async def test_a_namespace_without_items_is_gone(ours: SQLStore) -> None:
    await ours.aput(("n",), "k", {"v": 1})
    await ours.adelete(("n",), "k")
    assert await ours.alist_namespaces() == []


async def test_a_batch_reads_and_then_writes(store: BaseStore) -> None:
    await store.aput(("b",), "old", {"v": 0})
    results = await store.abatch(
        [
            PutOp(("b",), "new", {"v": 1}),
            GetOp(("b",), "new"),
            PutOp(("b",), "new", {"v": 2}),
            PutOp(("b",), "old", None),
            GetOp(("b",), "old"),
            SearchOp(("b",)),
            ListNamespacesOp(),
        ]
    )
    assert results[:4] == [None, None, None, None]
    assert [getattr(results[4], "value", None), len(results[5]), results[6]] == [  # type: ignore[arg-type]
        {"v": 0},
        1,
        [("b",)],
    ]
    kept = {item.key: item.value for item in await store.asearch(("b",))}
    assert kept == {"new": {"v": 2}}


async def test_namespaces_that_langgraph_refuses(store: BaseStore) -> None:
    refused: list[Any] = [(), ("",), ("a", ""), ("a.b",), ("langgraph", "x"), ("nul\0",), (1,)]
    for namespace in refused:
        with pytest.raises(InvalidNamespaceError):
            await store.aput(namespace, "k", {"v": 1})


async def test_what_no_database_holds_is_refused_or_replaced(ours: SQLStore) -> None:
    for key in ["nul\0", "half \ud800", "x" * 3000]:
        with pytest.raises(InvalidItem):
            await ours.aput(("n",), key, {"v": 1})
    with pytest.raises(InvalidItem):
        await ours.abatch([PutOp((), "k", {"v": 1})])
    with pytest.raises(InvalidItem, match="object"):
        await ours.aput(("n",), "k", {"v": object()})
    await ours.aput(
        ("n",),
        "k" * 800,
        {"nul\0": ["half \ud800", "\\u0000", "\0"], "big": 2**200, "inf": math.inf},
    )
    item = await ours.aget(("n",), "k" * 800)
    assert item is not None
    assert item.value == {"nul�": ["half �", "\\u0000", "�"], "big": 2**200, "inf": None}


async def test_what_is_nested_too_deeply_is_refused(ours: SQLStore) -> None:
    deep: dict[str, Any] = {}
    for _ in range(600):
        deep = {"a": deep}
    with pytest.raises(InvalidItem, match="deep"):
        await ours.aput(("n",), "k", deep)
    with pytest.raises(InvalidItem, match="deep"):
        await ours.asearch(("n",), filter=deep)


async def test_values_come_back_as_json(ours: SQLStore) -> None:
    class Note(BaseModel):
        at: datetime
        text: str

    note = Note(at=datetime(2026, 11, 2, tzinfo=UTC), text="x")
    value: Any = {"note": note, "set": {1}, "tuple": (1, 2), 3: "three"}
    await ours.aput(("n",), "k", value)
    item = await ours.aget(("n",), "k")
    assert item is not None
    assert item.value == {
        "note": {"at": "2026-11-02T00:00:00Z", "text": "x"},
        "set": [1],
        "tuple": [1, 2],
        "3": "three",
    }


async def test_meaning(store: BaseStore) -> None:
    texts = {"cat": "cats purr softly", "dog": "dogs bark", "sun": "the sun shines on cats"}
    for key, text in texts.items():
        await store.aput(("m",), key, {"text": text, "kind": key})
    await store.aput(("m",), "mute", {"other": "cats"})
    await store.aput(("m",), "hidden", {"text": "cats purr softly"}, index=False)
    await store.aput(("m",), "own", {"title": ["cats purr", "bread"]}, index=["title[*]"])
    found = await store.asearch(("m",), query="cats purr softly", limit=10)
    scores = {item.key: item.score for item in found}
    assert [item.key for item in found][:2] == ["cat", "own"]
    assert scores["cat"] == pytest.approx(1, abs=1e-6)
    assert scores["own"] == pytest.approx(math.sqrt(2 / 3), abs=1e-6)
    assert {key for key, score in scores.items() if score is None} == {"mute", "hidden"}
    one = await store.asearch(("m",), query="bread", limit=1)
    assert one[0].key == "own"
    assert one[0].score == pytest.approx(1, abs=1e-6)
    filtered = await store.asearch(("m",), query="cats", filter={"kind": {"$ne": "cat"}}, limit=1)
    assert filtered[0].key in {"sun", "own"}
    await store.aput(("m",), "cat", {"text": "bread"})
    again = await store.asearch(("m",), query="bread", limit=2)
    assert {item.key for item in again} == {"cat", "own"}


async def test_pages_of_a_search_by_meaning_overlap_nowhere(ours: SQLStore) -> None:
    for number in range(5):
        await ours.aput(("m",), f"s{number}", {"text": "cats " + "x " * number})
        await ours.aput(("m",), f"u{number}", {"other": "cats"})
    whole = [item.key for item in await ours.asearch(("m",), query="cats", limit=100)]
    pages = [
        await ours.asearch(("m",), query="cats", limit=3, offset=start) for start in range(0, 12, 3)
    ]
    assert [item.key for page in pages for item in page] == whole
    assert whole[:5] == [f"s{number}" for number in range(5)]


async def test_vectors_of_another_index_count_as_none(database: Database) -> None:
    async with open_store(database, meaning=Meaning(INDEX)) as store:
        await store.aput(("m",), "old", {"text": "cats"})
    shorter: IndexConfig = {"dims": 2, "embed": lambda texts: [[1.0, 0.0]] * len(texts)}
    async with open_store(database, meaning=Meaning(shorter)) as store:
        await store.aput(("m",), "new", {"text": "cats"})
        found = await store.asearch(("m",), query="dogs")
        assert [(item.key, item.score) for item in found] == [("new", 1.0), ("old", None)]
        words = await store.asearch(("m",), query="cats")
        assert [(item.key, item.score) for item in words] == [("new", 1.0), ("old", 1.0)]
    async with open_store(database) as store:  # no index: words alone
        assert [item.score for item in await store.asearch(("m",), query="dogs")] == [None, None]
        assert [item.score for item in await store.asearch(("m",), query="cats")] == [1, 1]
        await store.aput(("m",), "new", {"text": "dogs"})
        left = await database.read(lambda c: c.scalars(select(store_texts.c.key)).all())
        assert left == ["old"]


async def test_reading_many_vectors_goes_on_where_it_was_ended(
    ours: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = [PutOp(("m",), f"{number}", {"text": f"cats {number}"}) for number in range(40)]
    await ours.abatch(puts)
    monkeypatch.setattr(finding, "_ROWS_AT_ONCE", 10)
    add, read = finding._add, list[int]()

    def noted(bits: Any, some: Sequence[tuple[int, bytes | None]]) -> None:
        read.append(len(some))
        add(bits, some)
        if len(read) == 2:
            raise TimeoutError

    monkeypatch.setattr(finding, "_add", noted)
    with pytest.raises(SearchTimeout):
        await ours.asearch(("m",), query="cats 7", limit=1)
    found = await ours.asearch(("m",), query="cats 7", limit=1)
    assert [item.key for item in found] == ["7"]
    assert sum(read) == 40


async def test_an_index_that_does_not_fit_its_embeddings(database: Database) -> None:
    wrong: IndexConfig = {"dims": 3, "embed": embed}
    async with open_store(database, meaning=Meaning(wrong)) as store:
        with pytest.raises(StoreMisconfigured, match="dims says 3"):
            await store.aput(("m",), "k", {"text": "x"})


async def expire(database: Database, ago: timedelta) -> None:
    expired = update(store_items).values(expires_at=datetime.now(UTC) - ago)
    await database.write(lambda c: c.execute(expired))


async def expiry(database: Database, key: str) -> datetime | None:
    wanted = select(store_items.c.expires_at).where(store_items.c.key == key)
    return await database.read(lambda c: c.scalar(wanted))


async def test_ttl_is_renewed_by_reading(database: Database, ours: SQLStore) -> None:
    await ours.aput(("t",), "k", {"v": 1}, ttl=10)
    await ours.aput(("t",), "forever", {"v": 1})
    soon = datetime.now(UTC) + timedelta(seconds=5)

    async def nearly_over() -> None:
        rows = update(store_items).where(store_items.c.key == "k")
        await database.write(lambda c: c.execute(rows.values(expires_at=soon)))

    await nearly_over()
    await ours.aget(("t",), "k", refresh_ttl=False)
    assert await expiry(database, "k") == soon
    await ours.aget(("t",), "k")
    renewed = await expiry(database, "k")
    assert renewed is not None
    assert renewed - datetime.now(UTC) > timedelta(minutes=9)
    await nearly_over()
    await ours.asearch(("t",))
    renewed = await expiry(database, "k")
    assert renewed is not None
    assert renewed > soon
    assert await expiry(database, "forever") is None


async def test_what_has_expired_is_gone_before_it_is_swept(
    database: Database, ours: SQLStore
) -> None:
    await ours.aput(("t",), "k", {"text": "cats"}, ttl=1)
    first = await ours.aget(("t",), "k")
    assert first is not None
    await expire(database, timedelta(seconds=1))
    assert await ours.aget(("t",), "k") is None
    assert await ours.asearch(("t",)) == []
    assert await ours.asearch(("t",), query="cats") == []
    assert await ours.alist_namespaces() == []
    await ours.aput(("t",), "k", {"text": "dogs"})
    new = await ours.aget(("t",), "k")
    assert new is not None
    assert new.created_at > first.created_at
    await expire(database, timedelta(seconds=1))
    assert await ours.sweep() == 1
    for table in (store_items, store_texts):
        counted = select(func.count()).select_from(table)
        assert (await in_database(database, counted)).scalar() == 0


async def test_the_default_ttl(database: Database) -> None:
    config: Any = {"default_ttl": 5, "refresh_on_read": False}
    async with open_store(database, ttl=config) as store:
        await store.aput(("t",), "default", {"v": 1})
        await store.aput(("t",), "none", {"v": 1}, ttl=None)
        before = await expiry(database, "default")
        await store.aget(("t",), "default")
        assert before is not None
        assert await expiry(database, "default") == before
        assert await expiry(database, "none") is None


async def test_many_writers_share_commits(database: Database, ours: SQLStore) -> None:
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(database.sync_engine, "commit", count)
    await asyncio.gather(
        *(ours.aput(("w", str(n % 10)), str(n), {"n": n}, index=False) for n in range(500)),
        *(ours.aput(("w", "same"), "k", {"n": n}, index=False) for n in range(50)),
    )
    assert commits < 50
    found = await ours.asearch(("w",), limit=1000)
    assert len(found) == 501
    assert all(item.value == {"n": int(item.key)} for item in found if item.key != "k")


async def test_several_processes_write_the_same_keys(database: Database) -> None:
    """Two stores stand for two processes: they share nothing but the database."""
    async with open_store(database) as one, open_store(database) as other:
        rounds = range(20)
        shuffled = [random.sample(range(20), 20) for _ in rounds]
        writes = [
            store.abatch(
                [PutOp(("s",), str(n), {"by": number} if n % 3 else None, ttl=5) for n in order]
            )
            for number, (order, store) in enumerate(zip(shuffled, [one, other] * 10, strict=True))
        ]
        reads = [store.asearch(("s",), limit=50) for store in [one, other] * 10]
        await asyncio.gather(*writes, *reads)
        assert len(await one.asearch(("s",), limit=50)) == 13


async def test_a_writer_that_is_cancelled_costs_the_others_nothing(ours: SQLStore) -> None:
    writers = [
        asyncio.create_task(ours.aput(("c",), str(n), {"n": n}, index=False)) for n in range(40)
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    for writer in writers[::3]:
        writer.cancel()
    results = await asyncio.gather(*writers, return_exceptions=True)
    assert all(result is None for n, result in enumerate(results) if n % 3)
    kept = {int(item.key) for item in await ours.asearch(("c",), limit=100)}
    assert {n for n in range(40) if n % 3} <= kept


async def test_in_the_loop_sync_calls_say_what_to_write(ours: SQLStore) -> None:
    with pytest.raises(RuntimeError, match=r"await store\.aget"):
        ours.get(("n",), "k")


async def test_a_database_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as database,
        open_store(database) as store,
    ):
        await store.aput(("d",), "k", {"v": 1})
        await in_postgres(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
        await in_postgres(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{url.database}'"
        )
        failed = await asyncio.gather(
            *(store.aput(("d",), str(n), {"v": n}) for n in range(3)),
            store.aget(("d",), "k"),
            return_exceptions=True,
        )
        assert [type(each) for each in failed] == [StoreUnavailable] * 4
        assert len({id(each) for each in failed}) == 4
        await in_postgres(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true")
        await store.aput(("d",), "k", {"v": 2})
        item = await store.aget(("d",), "k")
        assert item is not None
        assert item.value == {"v": 2}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(value=st.dictionaries(st.text(), JSON, max_size=4))
async def test_any_json_comes_back_and_is_found_by_itself(
    ours: SQLStore, value: dict[str, Any]
) -> None:
    await ours.aput(("any",), "k", value, index=False)
    item = await ours.aget(("any",), "k")
    assert item is not None
    assert item.value == as_json(value)
    by_itself = {key: inner for key, inner in item.value.items() if not key.startswith("$")}
    if "$" in str(by_itself):
        return
    found = await ours.asearch(("any",), filter=by_itself)
    assert [each.key for each in found] == ["k"]
    assert fits(item.value, by_itself)


async def test_vectors_have_a_length_that_can_be_kept() -> None:
    for vector, says in (([1.0] * 20_000, "vectors of 20,000 numbers"), ([], "no vectors")):
        index = IndexConfig(dims=0, embed=lambda texts, made=vector: [made for _ in texts])
        meaning = Meaning(index, setting="EVERTURN_EMBEDDINGS")
        with pytest.raises(StoreMisconfigured, match=f"EVERTURN_EMBEDDINGS: the model .*{says}"):
            await meaning.of_query("tea")
