"""The store finds texts by their words: the same on SQLite and PostgreSQL, and no one else's."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import IndexConfig, PutOp
from sqlalchemy import func, select, text, update

from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.store import Meaning, SQLStore, open_store, words
from everturn.checkpoints.sql.store.finding import Query, ranked
from everturn.checkpoints.sql.tables import store_items, store_texts
from tests.checkpoints.stores import in_database, postgres_database

MINE = ("memories", "ada")
TEXTS = {
    "tea": "She likes green tea in the morning.",
    "bank": "She works at a bank in Seoul.",
    "order": "The number of her order is KR-20931.",
    "weather": "그녀는 비 오는 날씨를 좋아한다.",
    "cat": "고양이 두 마리를 키운다.",
    "allergy": "She has an allergy to peanuts.",
}


@pytest.fixture
async def store(database: Database) -> AsyncIterator[SQLStore]:
    async with open_store(database) as opened:
        yield opened


async def keep(store: SQLStore, texts: dict[str, str], namespace: tuple[str, ...] = MINE) -> None:
    await store.abatch(
        [PutOp(namespace, key, {"text": said}, ["text"]) for key, said in texts.items()]
    )


async def met(store: SQLStore, query: str, namespace: tuple[str, ...] = MINE) -> list[str]:
    found = await store.asearch(namespace, query=query, limit=100)
    return [item.key for item in found if item.score is not None]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("tea", ["tea"]),
        ("TEA?", ["tea"]),
        ("likes", ["tea"]),
        ("liked", ["tea"]),  # nearly the same word
        ("banks", ["bank"]),
        ("KR-20931", ["order"]),
        ("20931", ["order"]),
        ("날씨", ["weather"]),
        ("날씨가 어때", ["weather"]),
        ("고양이", ["cat"]),
        ("allergies", ["allergy"]),
        ("she in the", []),  # such words say nothing
        ("elephant", []),
        ('" OR * NEAR(', []),
        ("' ; DROP TABLE store_items; --", []),
    ],
)
async def test_what_words_find(store: SQLStore, query: str, keys: list[str]) -> None:
    await keep(store, TEXTS)
    assert await met(store, query) == keys
    found = await store.asearch(MINE, query=query, limit=100)
    assert {item.key for item in found} == TEXTS.keys()  # the others come behind


async def test_a_changed_text_is_found_by_what_it_says_now(
    store: SQLStore, database: Database
) -> None:
    await keep(store, TEXTS)
    await keep(store, {"tea": "She likes black coffee."})
    assert await met(store, "tea") == []
    assert await met(store, "coffee") == ["tea"]
    await store.adelete(MINE, "tea")
    assert await met(store, "coffee") == []
    left = await in_database(database, select(func.count()).select_from(store_texts))
    assert left.scalar() == len(TEXTS) - 1


async def test_no_one_finds_what_is_somebody_elses(store: SQLStore) -> None:
    await keep(store, TEXTS)
    await keep(store, {"beer": "He likes green beer."}, ("memories", "bob"))
    assert await met(store, "green") == ["tea"]
    assert await met(store, "green", ("memories", "bob")) == ["beer"]
    assert await met(store, "green", ("memories", "adam")) == []


async def test_only_texts_that_an_item_names_are_found(store: SQLStore) -> None:
    await store.aput(MINE, "plain", {"text": "green"})
    await store.aput(MINE, "none", {"text": "green"}, index=False)
    await store.aput(MINE, "other", {"title": "green", "text": "blue"}, index=["title"])
    assert await met(store, "green") == ["other"]
    assert await met(store, "blue") == []


async def test_ten_thousand_with_one_word_cost_little_and_the_rare_one_is_first(
    store: SQLStore,
) -> None:
    for start in range(0, 10_000, 1_000):
        await keep(store, {f"{n:05}": "tea" for n in range(start, start + 1_000)})
    await keep(store, {"rare": "tea from Ceylon"})
    found = await store.asearch(MINE, query="Ceylon tea", limit=5)
    assert found[0].key == "rare"
    assert len(await met(store, "tea")) == 100
    assert len(await store.asearch(MINE, query="nothing of that", limit=5)) == 5


async def test_a_text_of_a_megabyte(store: SQLStore) -> None:
    await keep(store, {"large": "word " * 200_000 + "last", "small": "a word"})
    assert set(await met(store, "word")) == {"large", "small"}
    assert await met(store, "last") == []  # a text is not read to its end


async def test_words_that_an_earlier_version_did_not_make_are_made(database: Database) -> None:
    async with open_store(database) as store:
        await keep(store, TEXTS)
    await in_database(database, update(store_texts).values(words=None))
    async with open_store(database) as store:
        made = await store.filling.reindex()
        assert made.texts == len(TEXTS)
        assert await met(store, "tea") == ["tea"]


def near(texts: Sequence[str]) -> list[list[float]]:
    """Drinks are near to drinks."""
    drinks = ("tea", "coffee", "drink")
    return [[1.0, 0.1] if any(each in said for each in drinks) else [0.1, 1.0] for said in texts]


async def test_words_only_add_to_what_meaning_finds(database: Database) -> None:
    index = IndexConfig(dims=2, embed=near, fields=[])
    async with open_store(database, meaning=Meaning(index)) as store:
        await keep(store, TEXTS)
        assert (await met(store, "a drink"))[0] == "tea"
        assert (await met(store, "KR-20931"))[0] == "order"
        # One word of several does not lift a text over what is meant.
        assert (await met(store, "which drink has she in her bank"))[0] == "tea"


async def test_an_index_in_memory_follows_what_others_write(database: Database) -> None:
    index = IndexConfig(dims=2, embed=near, fields=[])
    async with (
        open_store(database, meaning=Meaning(index)) as one,
        open_store(database, meaning=Meaning(index)) as other,
    ):
        await keep(one, {"a": "tea"})
        assert await met(other, "drink") == ["a"]
        await keep(one, {"b": "coffee", "c": "stone"})
        assert (await met(other, "drink"))[:2] == ["a", "b"]
        await one.adelete(MINE, "a")
        assert (await met(other, "drink"))[0] == "b"
        for number in range(400):  # one text again and again: its old vectors are gone
            await keep(one, {"b": f"coffee {number}"})
        assert (await met(other, "drink"))[0] == "b"


async def test_both_databases_rank_alike(tmp_path: Path) -> None:
    queries = ["green tea", "날씨 고양이", "her bank in Seoul", "order 20931 peanuts"]
    orders = []
    async with postgres_database() as url:
        for place in (None, url.render_as_string(hide_password=False)):
            async with open_database(place, tmp_path) as opened, open_store(opened) as store:
                await keep(store, TEXTS)
                found = [await store.asearch(MINE, query=query, limit=9) for query in queries]
                shown = [[(item.key, item.score) for item in each if item.score] for each in found]
                orders.append(shown)
    assert orders[0] == orders[1]
    assert all(orders[0])


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=200)
def test_a_text_is_found_by_any_of_its_own_words(said: str, more: str) -> None:
    kept = words.stored("n", f"{said} {more}").split()
    assert len(kept) == len(set(kept))
    assert set(words.asked("n", said)) <= set(kept) | set(words.asked("n", f"{said} {more}"))
    found = words.scores({word: [1] for word in kept}, len(kept))
    assert found == ({1: pytest.approx(1)} if kept else {})
    assert all(each.isalnum() and each.isascii() for each in kept)
    if kept:
        assert set(kept).isdisjoint(words.stored("m", f"{said} {more}").split())


async def test_rows_that_are_gone_are_not_ranked(store: SQLStore, database: Database) -> None:
    await keep(store, TEXTS)
    await in_database(database, store_items.delete().where(store_items.c.key == "tea"))
    query = Query(words.asked(".".join(MINE), "green tea"))
    found, _ = await database.read(lambda c: ranked(c, query, None, None, 5))
    assert found == {}
    check = text("SELECT 1")
    assert (await in_database(database, check)).scalar() == 1
