"""Searching with services that speak as the real ones do, and what happens when they do not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from pydantic import ValidationError

from everturn.tools.kit.web import Web
from everturn.tools.providers.languages import language_of
from everturn.tools.providers.search import SearchReport
from everturn.tools.search import search
from tests.tools.wire import mojeek_page, searxng, wikipedia
from tests.tools.world import Reply, World, json_reply, settings, sharing


async def ask(web: Web, query: str, **more: Any) -> SearchReport:
    report: SearchReport = await search.ainvoke({"query": query, **more}, sharing(web))
    return report


async def test_wikipedia(web: Web, world: World) -> None:
    world.at("/wiki/en/w/api.php", wikipedia("Tower", "Bridge", "Gate"))
    report = await ask(web, "tallest tower", max_results=2)
    assert report == {
        "query": "tallest tower",
        "results": [
            {
                "title": "Tower",
                "url": "https://en.wikipedia.org/wiki/Tower",
                "snippet": "Tower is an article.",
            },
            {
                "title": "Bridge",
                "url": "https://en.wikipedia.org/wiki/Bridge",
                "snippet": "Bridge is an article.",
            },
        ],
        "source": "Wikipedia (en)",
        "sample": False,
        "note": "",
    }
    query = world.requests[0].query
    assert (query["gsrsearch"], query["gsrlimit"]) == ("tallest tower", "2")


@pytest.mark.parametrize(
    ("query", "language", "asked"),
    [("서울의 역사", "", "ko"), ("Türme", "de", "de"), ("x", "zh-yue", "zh-yue"), ("x", "", "en")],
)
async def test_in_the_language_of_the_query_or_another(
    web: Web, world: World, query: str, language: str, asked: str
) -> None:
    world.at(f"/wiki/{asked}/w/api.php", wikipedia("A"))
    report = await ask(web, query, language=language)
    assert report["source"] == f"Wikipedia ({asked})"


async def test_nothing_found_is_an_answer(web: Web, world: World) -> None:
    world.at("/wiki/en/w/api.php", wikipedia())
    report = await ask(web, "qwertzuiop")
    assert (report["results"], report["sample"]) == ([], False)


@pytest.mark.parametrize("language", ["EN", "e", "en.evil.org/", "en/../", "-en", "한국어", "a b"])
async def test_a_language_cannot_lead_elsewhere(web: Web, language: str) -> None:
    with pytest.raises(ValidationError):
        await ask(web, "x", language=language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hello", "en"),
        ("", "en"),
        ("123 !?", "en"),
        ("Zürich", "en"),
        ("서울 2024", "ko"),
        ("東京タワー", "ja"),
        ("东京塔", "zh"),
        ("Москва", "ru"),
        ("Київ", "uk"),
        ("القاهرة", "ar"),
        ("تهران پایتخت", "fa"),
        ("Αθήνα", "el"),
        ("ירושלים", "he"),
        ("กรุงเทพ", "th"),
        ("दिल्ली", "hi"),
        ("What does LangGraph mean by 그래프?", "en"),
        ("LangGraph란 무엇인가요", "ko"),
    ],
)
def test_the_language_of_a_text(text: str, language: str) -> None:
    assert language_of(text) == language


async def test_a_searxng_of_ones_own_is_asked_first(world: World) -> None:
    web = Web(settings(world, searxng_url=f"{world.url}/sx/"))
    world.at("/sx/search", searxng(4))
    report = await ask(web, "news", max_results=3, language="de")
    assert report["source"] == "SearXNG"
    assert [hit["title"] for hit in report["results"]] == ["Page 1", "Page 2", "Page 3"]
    assert report["results"][1]["snippet"] == ""
    assert len(report["results"][0]["snippet"]) <= 500
    assert "\n" not in report["results"][0]["snippet"]
    assert world.requests[0].query == {"q": "news", "format": "json", "language": "de"}
    await web.aclose()


@pytest.mark.parametrize(
    "broken", [Reply(status=403), Reply(b"<html>"), json_reply({"results": 7}), json_reply(None)]
)
async def test_wikipedia_answers_when_searxng_fails(world: World, broken: Reply) -> None:
    web = Web(settings(world, searxng_url=f"{world.url}/sx"))
    world.at("/sx/search", broken)
    world.at("/wiki/en/w/api.php", wikipedia("A"))
    assert (await ask(web, "x"))["source"] == "Wikipedia (en)"
    await web.aclose()


@pytest.fixture
async def mojeek(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    """DDGS with one of its engines, at an address on this machine."""
    monkeypatch.setattr("ddgs.engines.mojeek.Mojeek.search_url", f"{world.url}/mojeek")
    web = Web(settings(world, ddgs_engines="mojeek"))
    yield web
    await web.aclose()


async def test_ddgs_asks_more_engines(mojeek: Web, world: World) -> None:
    world.at("/mojeek", mojeek_page(4))
    report = await ask(mojeek, "Page about towers", max_results=3)
    assert report["source"] == "DDGS"
    assert report["sample"] is False
    assert len(report["results"]) == 3
    assert {
        "title": "Page 2",
        "url": "https://page2.example/",
        "snippet": "Some text",
    } in report["results"]
    assert world.requests[0].query["q"] == "Page about towers"


async def test_ddgs_that_finds_nothing_has_answered(mojeek: Web, world: World) -> None:
    world.at("/mojeek", mojeek_page(0))
    report = await ask(mojeek, "qwertzuiop")
    assert (report["source"], report["results"]) == ("DDGS", [])


async def test_wikipedia_answers_while_ddgs_hangs_and_ddgs_is_spared(
    mojeek: Web, world: World
) -> None:
    mojeek.settings.web_timeout = 2
    world.at("/mojeek", world.silence)
    world.at("/wiki/en/w/api.php", wikipedia("A"))
    ticks, asking = 0, asyncio.create_task(ask(mojeek, "x"))
    while not asking.done():
        await asyncio.sleep(0.05)
        ticks += 1
    assert asking.result()["source"] == "Wikipedia (en)"
    assert ticks > 2  # the loop went on, for the two seconds that DDGS was waited for
    assert mojeek.breaker.seconds("DDGS") > 0
    asked = len(world.requests)
    assert (await ask(mojeek, "y"))["source"] == "Wikipedia (en)"
    assert [request.path for request in world.requests[asked:]] == ["/wiki/en/w/api.php"]


async def test_wikipedia_answers_when_ddgs_fails(mojeek: Web, world: World) -> None:
    world.at("/mojeek", world.hang_up)
    world.at("/wiki/en/w/api.php", wikipedia("A"))
    assert (await ask(mojeek, "x"))["source"] == "Wikipedia (en)"


def test_ddgs_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everturn.tools.kit.web.settings.find_spec", lambda name: None)
    assert settings().ddgs_engines is None
    with pytest.raises(ValidationError, match=r"pip install 'everturn\[ddgs\]'"):
        settings(ddgs_engines="auto")


@pytest.mark.parametrize(
    "broken",
    [
        Reply(status=500),
        json_reply([]),
        json_reply({"query": {"pages": [{"title": "x"}]}}),
        json_reply({"error": {"code": "ratelimited", "info": "Slow down"}}),
    ],
)
async def test_a_marked_sample_when_nobody_answers(web: Web, world: World, broken: Reply) -> None:
    world.at("/wiki/en/w/api.php", broken)
    report = await ask(web, "x")
    assert report["sample"] is True
    assert "not live search results: Wikipedia (en)" in report["note"]
    assert all(hit["url"].startswith("https://example.org/") for hit in report["results"])


async def test_never_a_sample_where_the_operator_wants_none(world: World) -> None:
    web = Web(settings(world, tools_offline="never", searxng_url=f"{world.url}/sx"))
    world.at("/sx/search", Reply(status=403))
    world.at("/wiki/en/w/api.php", Reply(status=500))
    call = {"type": "tool_call", "id": "c", "name": "search", "args": {"query": "x"}}
    answer = await search.ainvoke(call, sharing(web))
    assert isinstance(answer, ToolMessage)
    assert answer.status == "error"
    assert "json under search.formats; Wikipedia (en) answered with status 500" in answer.text
    await web.aclose()


async def test_nobody_is_asked_where_the_operator_wants_it(world: World) -> None:
    web = Web(settings(world, tools_offline="always"))
    assert (await ask(web, "x"))["sample"] is True
    assert world.requests == []
