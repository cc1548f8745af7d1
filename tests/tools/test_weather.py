import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import everturn.tools.weather
from everturn.tools.providers.weather import Units, WeatherReport
from everturn.tools.providers.weather.offline import OfflineWeather, apparent_temperature
from everturn.tools.weather import weather

PLACES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100).filter(
    str.strip
)


async def ask(location: str, **more: Any) -> WeatherReport:
    report: WeatherReport = await weather.ainvoke({"location": location, **more})
    return report


async def test_it_says_that_it_is_a_sample() -> None:
    report = await ask("Seoul")
    assert report["location"] == "Seoul"
    assert report["source"] == "offline sample data"
    assert report["sample"] is True
    assert "not live" in report["note"]


async def test_the_same_place_has_the_same_weather_however_it_is_written() -> None:
    first, second = await ask("New York"), await ask("  new   YORK ")
    assert first["current"] == second["current"]
    assert second["location"] == "new   YORK"


async def test_the_weather_of_a_place_never_changes_between_versions_of_the_program() -> None:
    assert (await ask("Seoul"))["current"] == {
        "condition": "light rain",
        "temperature": 17.0,
        "feels_like": 15.2,
        "temperature_unit": "°C",
        "humidity_percent": 79,
        "wind_speed": 14.8,
        "wind_speed_unit": "km/h",
    }


async def test_places_differ() -> None:
    reports = [await ask(place) for place in ("Seoul", "Paris", "Lima", "Oslo", "Cairo")]
    assert len({report["current"]["temperature"] for report in reports}) == 5


@given(PLACES)
async def test_the_weather_is_plausible(location: str) -> None:
    current = (await ask(location))["current"]
    assert 6 <= current["temperature"] <= 26
    assert abs(current["feels_like"] - current["temperature"]) < 10
    assert 35 <= current["humidity_percent"] <= 95
    assert 4 <= current["wind_speed"] <= 26
    if current["condition"] == "light rain":
        assert current["humidity_percent"] >= 75


@given(PLACES)
async def test_units_change_the_numbers_and_not_the_weather(location: str) -> None:
    metric = (await ask(location, units="metric"))["current"]
    imperial = (await ask(location, units="imperial"))["current"]
    assert imperial["temperature"] == pytest.approx(metric["temperature"] * 1.8 + 32, abs=0.2)
    assert imperial["feels_like"] == pytest.approx(metric["feels_like"] * 1.8 + 32, abs=0.2)
    assert imperial["wind_speed"] == pytest.approx(metric["wind_speed"] / 1.609344, abs=0.1)
    assert (imperial["temperature_unit"], imperial["wind_speed_unit"]) == ("°F", "mph")
    assert imperial["condition"] == metric["condition"]


def test_apparent_temperature_is_lowered_by_wind_and_raised_by_humidity() -> None:
    # Steadman: 25 °C at 50 % and 10 km/h has a vapour pressure of 15.8 hPa.
    assert apparent_temperature(25, 50, 10) == pytest.approx(24.3, abs=0.1)
    assert apparent_temperature(25, 50, 40) < apparent_temperature(25, 50, 10)
    assert apparent_temperature(25, 90, 10) > apparent_temperature(25, 50, 10)


async def test_a_forecast_is_a_sample_too() -> None:
    report: Any = await ask("Seoul", hours=5, days=3)
    assert report["current"] == (await ask("Seoul"))["current"]
    assert len({hour["time"] for hour in report["hours"]}) == 5
    dates = [day["date"] for day in report["days"]]
    assert dates == sorted(set(dates))
    assert all(day["low"] < day["high"] for day in report["days"])


async def test_the_answer_is_json() -> None:
    report = await ask("서울")
    assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"location": ""},
        {"location": " \n"},
        {"location": "x" * 101},
        {"location": 5},
        {"location": "Seoul", "units": "kelvin"},
        {"location": "Seoul", "hours": 49},
        {"location": "Seoul", "days": -1},
    ],
    ids=str,
)
async def test_wrong_arguments_do_not_reach_it(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        await weather.ainvoke(arguments)


async def test_another_provider_takes_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Foggy:
        name = "foggy"

        async def report(
            self, location: str, units: Units, *, hours: int = 0, days: int = 0
        ) -> WeatherReport:
            plain = await OfflineWeather().report(location, units)
            plain["current"]["condition"] = "fog"
            return plain

    monkeypatch.setattr(everturn.tools.weather, "provider", Foggy())
    assert (await ask("London"))["current"]["condition"] == "fog"
