"""Open-Meteo: places by name, then the weather there.

https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/geocoding-api
"""

from typing import Any

from pydantic import BaseModel, ValidationError

from everturn.tools.kit.web import BadAnswer, Web
from everturn.tools.providers.languages import language_of
from everturn.tools.providers.weather import (
    Conditions,
    Day,
    Hour,
    PlaceNotFound,
    Units,
    WeatherReport,
)
from everturn.tools.providers.weather.places import Candidate, best, full_name, others, split
from everturn.tools.providers.weather.sky import condition

_MIN_LENGTH = 2
"""Characters of a name that the geocoding searches for."""
_CURRENT = "temperature_2m,apparent_temperature,relative_humidity_2m,weather_code,wind_speed_10m"
_HOURLY = "temperature_2m,weather_code,precipitation_probability,wind_speed_10m"
_DAILY = (
    "temperature_2m_max,temperature_2m_min,weather_code,precipitation_probability_max,"
    "wind_speed_10m_max"
)
_IMPERIAL = {
    "temperature_unit": "fahrenheit",
    "wind_speed_unit": "mph",
}


class _Found(BaseModel):
    results: list[Candidate] = []


class _Current(BaseModel):
    time: str
    temperature_2m: float
    apparent_temperature: float
    relative_humidity_2m: int
    weather_code: int | None = None
    wind_speed_10m: float


class _Hourly(BaseModel):
    time: list[str]
    temperature_2m: list[float]
    weather_code: list[int | None]
    precipitation_probability: list[int | None]
    wind_speed_10m: list[float]


class _Daily(BaseModel):
    time: list[str]
    temperature_2m_max: list[float]
    temperature_2m_min: list[float]
    weather_code: list[int | None]
    precipitation_probability_max: list[int | None]
    wind_speed_10m_max: list[float]


class _Forecast(BaseModel):
    current: _Current
    hourly: _Hourly | None = None
    daily: _Daily | None = None


class OpenMeteo:
    """A weather provider that needs no key; one for commercial use can be set."""

    name = "Open-Meteo"

    def __init__(self, web: Web) -> None:
        self._web = web

    async def report(
        self, location: str, units: Units, *, hours: int = 0, days: int = 0
    ) -> WeatherReport:
        """Return the weather at the best match for `location`."""
        found = await self._places(location)
        settings, place = self._web.settings, found[0].place
        params: dict[str, str | int | float] = {
            "latitude": place["latitude"],
            "longitude": place["longitude"],
            "current": _CURRENT,
            "timezone": "auto",
        }
        params |= {"hourly": _HOURLY, "forecast_hours": hours} if hours else {}
        params |= {"daily": _DAILY, "forecast_days": days} if days else {}
        params |= _IMPERIAL if units == "imperial" else {}
        answer = await self._ask(str(settings.open_meteo_url), "v1/forecast", params)
        try:
            forecast = _Forecast.model_validate(answer)
        except ValidationError:
            raise BadAnswer(f"{self.name} sent no forecast") from None
        report: WeatherReport = {
            "location": full_name(place),
            "units": units,
            "current": _conditions(forecast.current, units),
            "time": forecast.current.time,
            "place": place,
            "source": self.name,
            "sample": False,
            "note": "",
        }
        if same := others(found):
            report["other_places"] = same
        if forecast.hourly:
            report["hours"] = _hours(forecast.hourly)
        if forecast.daily:
            report["days"] = _days(forecast.daily)
        return report

    async def _places(self, location: str) -> list[Candidate]:
        name, qualifiers = split(location)
        found = await self._search(name) if len(name) >= _MIN_LENGTH else []
        if not found and not qualifiers and " " in name:  # Paris Texas
            name, _, last = name.rpartition(" ")
            found, qualifiers = await self._search(name), [last]
        if not found:
            raise PlaceNotFound(f"No place called {location!r} is known.")
        return best(found, qualifiers)

    async def _search(self, name: str) -> list[Candidate]:
        answer = await self._ask(
            str(self._web.settings.open_meteo_geocoding_url),
            "v1/search",
            {"name": name, "count": 10, "language": language_of(name), "format": "json"},
        )
        try:
            return _Found.model_validate(answer).results
        except ValidationError:
            raise BadAnswer(f"{self.name} sent no places") from None

    async def _ask(self, url: str, path: str, params: dict[str, str | int | float]) -> Any:
        key = self._web.settings.open_meteo_api_key
        with_key = {**params, "apikey": key.get_secret_value()} if key else params
        return await self._web.ask(self.name, f"{url.rstrip('/')}/{path}", with_key)


def _conditions(current: _Current, units: Units) -> Conditions:
    return {
        "condition": condition(current.weather_code),
        "temperature": current.temperature_2m,
        "feels_like": current.apparent_temperature,
        "temperature_unit": "°C" if units == "metric" else "°F",
        "humidity_percent": current.relative_humidity_2m,
        "wind_speed": current.wind_speed_10m,
        "wind_speed_unit": "km/h" if units == "metric" else "mph",
    }


def _hours(hourly: _Hourly) -> list[Hour]:
    return [
        {
            "time": time,
            "condition": condition(code),
            "temperature": temperature,
            "precipitation_percent": chance,
            "wind_speed": wind,
        }
        for time, code, temperature, chance, wind in zip(
            hourly.time,
            hourly.weather_code,
            hourly.temperature_2m,
            hourly.precipitation_probability,
            hourly.wind_speed_10m,
            strict=False,
        )
    ]


def _days(daily: _Daily) -> list[Day]:
    return [
        {
            "date": date,
            "condition": condition(code),
            "high": high,
            "low": low,
            "precipitation_percent": chance,
            "wind_speed": wind,
        }
        for date, code, high, low, chance, wind in zip(
            daily.time,
            daily.weather_code,
            daily.temperature_2m_max,
            daily.temperature_2m_min,
            daily.precipitation_probability_max,
            daily.wind_speed_10m_max,
            strict=False,
        )
    ]
