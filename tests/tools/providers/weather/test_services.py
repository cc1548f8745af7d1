"""The weather from services that speak as the real ones do, and what happens when they do not."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import ToolMessage

from everturn.tools.kit.web import Web
from everturn.tools.kit.web.addresses import Address
from everturn.tools.providers.weather.places import Candidate, best, split
from everturn.tools.weather import weather
from tests.tools.wire import open_meteo_at, wttr
from tests.tools.world import Names, Reply, World, json_reply, settings, sharing


async def ask(web: Web, location: str, **more: Any) -> dict[str, Any]:
    report: dict[str, Any] = await weather.ainvoke({"location": location, **more}, sharing(web))
    return report


async def call(web: Web, location: str) -> ToolMessage:
    request = {"type": "tool_call", "id": "c", "name": "weather", "args": {"location": location}}
    answer = await weather.ainvoke(request, sharing(web))
    assert isinstance(answer, ToolMessage)
    return answer


async def test_open_meteo(web: Web, world: World) -> None:
    open_meteo_at(world)
    report = await ask(web, "Paris")
    assert report["location"] == "Paris, Île-de-France, France"
    assert report["source"] == "Open-Meteo"
    assert report["sample"] is False
    assert report["note"] == ""
    assert report["time"] == "2026-11-05T14:15"
    assert report["other_places"] == [
        "Paris, Texas, United States",
        "Paris, Kentucky, United States",
    ]
    assert report["current"] == {
        "condition": "light rain",
        "temperature": 11.4,
        "feels_like": 9.8,
        "temperature_unit": "°C",
        "humidity_percent": 81,
        "wind_speed": 13.4,
        "wind_speed_unit": "km/h",
    }
    assert "hours" not in report
    assert "days" not in report
    assert json.loads(json.dumps(report)) == report


async def test_open_meteo_in_other_units_and_with_a_forecast(web: Web, world: World) -> None:
    open_meteo_at(world)
    report = await ask(web, "Paris", units="imperial", hours=3, days=2)
    assert report["current"]["temperature"] == 52.5
    assert report["current"]["temperature_unit"] == "°F"
    assert report["current"]["wind_speed"] == 8.3
    assert report["hours"] == [
        {
            "time": f"2026-11-05T{hour}:00",
            "condition": condition,
            "temperature": temperature,
            "precipitation_percent": chance,
            "wind_speed": 10.0,
        }
        for hour, condition, temperature, chance in [
            (14, "light rain", 51.8, 80),
            (15, "overcast", 53.6, None),
            (16, "clear", 55.4, 5),
        ]
    ]
    assert [day["date"] for day in report["days"]] == ["2026-11-05", "2026-11-06"]
    assert report["days"][0]["high"] == 55.4
    assert report["days"][0]["condition"] == "rain"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Paris", "Paris, Île-de-France, France"),
        ("Paris, France", "Paris, Île-de-France, France"),
        ("Paris, Texas", "Paris, Texas, United States"),
        ("Paris, TX", "Paris, Texas, United States"),
        ("paris Texas", "Paris, Texas, United States"),
        ("Paris, KY, USA", "Paris, Kentucky, United States"),
        ("Paris, US", "Paris, Texas, United States"),
        ("서울", "서울특별시, 대한민국"),
        ("Atoll", "Atoll"),
    ],
)
async def test_the_place_that_is_meant(web: Web, world: World, asked: str, found: str) -> None:
    open_meteo_at(world)
    assert (await ask(web, asked.replace("paris", "Paris")))["location"] == found
    language = "ko" if asked == "서울" else "en"
    assert world.requests[0].query["language"] == language


def test_ca_is_california_in_america_and_canada_elsewhere() -> None:
    def candidate(country_code: str, admin1: str, population: int) -> Candidate:
        return Candidate(
            name="X",
            latitude=0,
            longitude=0,
            country_code=country_code,
            admin1=admin1,
            population=population,
        )

    america, canada = candidate("US", "California", 5), candidate("CA", "Ontario", 3)
    texas = candidate("US", "Texas", 9)
    assert best([canada, texas], ["CA"])[0] is canada
    assert best([texas, america], ["CA"])[0] is america
    assert split(" Paris , Texas,,  USA ") == ("Paris", ["Texas", "USA"])


@pytest.mark.parametrize("location", ["Nowhereville", "No Where Ville", "X", ",", "..", "?!"])
async def test_an_unknown_place_is_an_error_that_the_model_reads(
    web: Web, world: World, location: str
) -> None:
    open_meteo_at(world)
    answer = await call(web, location)
    assert answer.status == "error"
    assert answer.content == f"No place called {location!r} is known."
    assert not any(request.path.startswith("/wttr") for request in world.requests)


async def test_a_key_for_commercial_use_is_sent_to_open_meteo_alone(world: World) -> None:
    world.at("/v1/search", Reply(status=500))
    world.at("/wttr/Paris", wttr())
    web = Web(settings(world, open_meteo_api_key="hunter2"))
    report = await ask(web, "Paris")
    assert [request.query.get("apikey") for request in world.requests] == ["hunter2", None]
    assert "hunter2" not in json.dumps(report)
    await web.aclose()


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "broken",
    [
        Reply(status=503),
        Reply(b"<html>"),
        json_reply({"results": [{"name": "Paris"}]}),
        json_reply([]),
        json_reply(None),
        json_reply({}, 429),
    ],
    ids=["503", "html", "shape", "list", "null", "429"],
)
async def test_wttr_answers_when_open_meteo_fails(
    web: Web, world: World, broken: Reply, wrapped: bool
) -> None:
    world.at("/v1/search", broken)
    world.at("/wttr/Paris", wttr(wrapped=wrapped))
    report = await ask(web, "Paris", hours=3, days=2)
    assert report["source"] == "wttr.in"
    assert report["sample"] is False
    assert report["location"] == "Paris, Ile-de-France, France"
    assert report["current"] == {
        "condition": "partly cloudy",
        "temperature": 11,
        "feels_like": 9,
        "temperature_unit": "°C",
        "humidity_percent": 82,
        "wind_speed": 13,
        "wind_speed_unit": "km/h",
    }
    assert report["time"] == "2026-11-05T14:11"
    assert [hour["time"] for hour in report["hours"]] == ["2026-11-05T12:00", "2026-11-05T15:00"]
    assert report["days"][0] == {
        "date": "2026-11-05",
        "condition": "light rain",
        "high": 13,
        "low": 7,
        "precipitation_percent": 70,
        "wind_speed": 14,
    }


async def test_what_wttr_forecasts_reaches_as_far_as_it_was_asked_or_says_so(
    web: Web, world: World
) -> None:
    world.at("/v1/search", Reply(status=503))
    world.at("/wttr/Paris", wttr())
    report = await ask(web, "Paris", hours=13, days=5)
    times = [f"2026-11-0{day}:00" for day in ("5T12", "5T15", "5T18", "5T21", "6T00", "6T03")]
    assert [hour["time"] for hour in report["hours"]] == times
    assert len(report["days"]) == 3
    assert report["note"] == "wttr.in forecasts 3 days, no more."
    world.at("/wttr/Paris", Reply(wttr().body.replace(b"02:11 PM", b"?")))  # type: ignore[union-attr]
    report = await ask(web, "Paris", hours=5)
    assert [hour["time"] for hour in report["hours"]] == ["2026-11-05T00:00", "2026-11-05T03:00"]


async def test_a_forecast_that_fails_after_the_place_was_found(web: Web, world: World) -> None:
    open_meteo_at(world)
    world.at("/v1/forecast", json_reply({"current": {"time": "x"}}))
    world.at("/wttr/Paris", wttr())
    assert (await ask(web, "Paris", units="imperial"))["current"]["temperature"] == 52


@pytest.mark.parametrize("answer", [Reply(b"{}"), Reply(b"[]"), Reply(b"7"), Reply(status=502)])
async def test_a_marked_sample_when_nobody_answers(web: Web, world: World, answer: Reply) -> None:
    world.at("/v1/search", Reply(status=500))
    world.at("/wttr/Paris", answer)
    report = await ask(web, "Paris", hours=2, days=3)
    assert report["sample"] is True
    assert report["source"] == "offline sample data"
    assert report["location"] == "Paris"
    assert "not live weather: Open-Meteo answered with status 500; wttr.in" in report["note"]
    assert len(report["hours"]) == 2
    assert len(report["days"]) == 3
    assert all(day["low"] < day["high"] for day in report["days"])


async def test_never_a_sample_where_the_operator_wants_none(world: World) -> None:
    web = Web(settings(world, tools_offline="never"))
    world.at("/v1/search", Reply(status=500))
    answer = await call(web, "Paris")
    assert answer.status == "error"
    assert answer.content == "No place called 'Paris' is known."
    world.at("/wttr/Paris", Reply(status=500))
    answer = await call(web, "Paris")
    assert answer.status == "error"
    assert "status 500; wttr.in answered with status 500" in str(answer.content)
    await web.aclose()


async def test_nobody_is_asked_where_the_operator_wants_it(world: World) -> None:
    web = Web(settings(world, tools_offline="always"))
    report = await ask(web, "Paris")
    assert report["sample"] is True
    assert report["note"].endswith("no service was asked.")
    assert world.requests == []


async def test_without_a_network_the_first_answer_is_quick_and_the_next_at_once() -> None:
    """Nobody answers the resolver, as on a machine that is cut off: with the default limits."""

    class Dead(Names):
        async def resolve(self, host: str) -> list[Address]:
            self.looked_up.append(host)
            await asyncio.Event().wait()
            return []

    network = Dead(None, {})
    meteo = {"open_meteo_url": "http://meteo.test", "open_meteo_geocoding_url": "http://meteo.test"}
    web = Web(settings(None, **meteo, wttr_url="http://wttr.test"), network=network)
    reports = await asyncio.gather(ask(web, "Rome"), ask(web, "Oslo"))
    assert [report["sample"] for report in reports] == [True, True]
    asked = list(network.looked_up)
    # Both cities at once, and each name once for each: it takes no more than two waits.
    assert asked == ["meteo.test", "meteo.test", "wttr.test", "wttr.test"]
    assert (await ask(web, "Lima"))["sample"] is True
    assert network.looked_up == asked
    await web.aclose()
