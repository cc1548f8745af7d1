"""Whole turns whose tools ask the world: over the service's own connections, and without any."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Client, serving
from tests.tools.wire import open_meteo_at, wikipedia
from tests.tools.world import World


@pytest.fixture
def world() -> Iterator[World]:
    with World() as running:
        yield running


def served(data_dir: Path, url: str) -> Iterator[Client]:
    with serving(
        data_dir,
        tools_offline="auto",
        open_meteo_url=url,
        open_meteo_geocoding_url=url,
        wttr_url=f"{url}/wttr",
        wikipedia_url=f"{url}/wiki/{{language}}",
    ) as client:
        yield client


@pytest.fixture
def online(data_dir: Path, world: World) -> Iterator[Client]:
    open_meteo_at(world)
    world.at("/wiki/en/w/api.php", wikipedia("LangGraph"))
    yield from served(data_dir, world.url)


@pytest.fixture
def cut_off(data_dir: Path) -> Iterator[Client]:
    yield from served(data_dir, "http://127.0.0.1:9")


def test_live_answers_say_where_they_are_from(online: Client, world: World) -> None:
    answer = online.ask("weather in Paris in fahrenheit for 2 days")["response"]
    assert "Paris, Île-de-France, France" in answer
    assert "52.5 °F" in answer
    assert "2026-11-06" in answer
    assert "Sample" not in answer
    answer = online.ask("search for LangGraph")["response"]
    assert "1. LangGraph – LangGraph is an article." in answer
    online.ask("weather in Paris")
    assert world.connections == 1  # the service keeps it


def test_without_a_network_the_answer_is_a_marked_sample(cut_off: Client) -> None:
    answer = cut_off.ask("weather in Paris and search for LangGraph")
    assert sorted(answer["tools_used"]) == ["search", "weather"]
    assert answer["response"].count("Sample data, made up") == 1


def test_pages_inside_are_refused_and_the_model_is_told(cut_off: Client) -> None:
    address = str(cut_off.base_url).rstrip("/")
    answer = cut_off.ask(f'fetch_page(url="{address}/ok")')["response"]
    assert "not a public host" in answer


def test_the_time(cut_off: Client) -> None:
    answer = cut_off.ask('current_time(zone="Seoul")')["response"]
    assert "Asia/Seoul" in answer
    assert "+09:00" in answer
