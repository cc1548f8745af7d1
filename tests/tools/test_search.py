import json
from typing import Any

import pytest
from pydantic import ValidationError

import everturn.tools.search
from everturn.tools.providers.search import SearchReport
from everturn.tools.providers.search.offline import OfflineSearch
from everturn.tools.search import search


async def ask(query: str, **more: Any) -> SearchReport:
    report: SearchReport = await search.ainvoke({"query": query, **more})
    return report


async def test_it_says_that_it_is_a_sample() -> None:
    report = await ask("LangGraph checkpointers")
    assert report["query"] == "LangGraph checkpointers"
    assert report["source"] == "offline sample data"
    assert report["sample"] is True
    assert "not live" in report["note"]


async def test_each_result_claims_nothing_and_leads_nowhere() -> None:
    for hit in (await ask("tallest tower", max_results=10))["results"]:
        assert hit["url"].startswith("https://example.org/")
        assert "sample" in hit["title"]
        assert hit["snippet"].startswith("Sample:")


@pytest.mark.parametrize("count", [1, 5, 10])
async def test_as_many_results_as_asked_for_and_each_once(count: int) -> None:
    results = (await ask("python", max_results=count))["results"]
    assert len({hit["url"] for hit in results}) == count


async def test_five_results_by_default() -> None:
    assert len((await ask("python"))["results"]) == 5


async def test_the_same_question_has_the_same_answer_and_another_another() -> None:
    first, again, other = await ask("날씨"), await ask("날씨"), await ask("경제")
    assert first == again
    assert first["results"] != other["results"]


async def test_more_results_begin_with_the_fewer() -> None:
    few, many = await ask("python", max_results=3), await ask("python", max_results=10)
    assert many["results"][:3] == few["results"]


async def test_the_answer_is_json() -> None:
    report = await ask('say "hi" \\ 안녕')
    assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"query": "  "},
        {"query": "x" * 401},
        {"query": "x", "max_results": 0},
        {"query": "x", "max_results": 11},
        {"query": "x", "max_results": "many"},
    ],
    ids=lambda arguments: str(arguments)[:40],
)
async def test_wrong_arguments_do_not_reach_it(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        await search.ainvoke(arguments)


async def test_another_provider_takes_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        name = "library"

        async def find(self, query: str, max_results: int, *, language: str = "") -> SearchReport:
            plain = await OfflineSearch().find(query, max_results)
            plain["source"] = "the shelf"
            return plain

    monkeypatch.setattr(everturn.tools.search, "provider", Library())
    assert (await ask("books", max_results=2))["source"] == "the shelf"
