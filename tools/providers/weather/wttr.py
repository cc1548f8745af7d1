"""wttr.in, asked when Open-Meteo fails: place and weather in one answer.

https://github.com/chubin/wttr.in#json-output
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError

from everturn.tools.kit.web import BadAnswer, Web
from everturn.tools.providers.weather import Day, Hour, Place, PlaceNotFound, Units, WeatherReport
from everturn.tools.providers.weather.places import full_name

_NOT_FOUND = 404
_STEP = 3  # hours


class _Text(BaseModel):
    value: str = ""


class _Area(BaseModel):
    area_name: list[_Text] = Field(alias="areaName", min_length=1)
    region: list[_Text] = []
    country: list[_Text] = []
    latitude: float = 0.0
    longitude: float = 0.0


class _Current(BaseModel):
    """Numbers come as text."""

    celsius: float = Field(alias="temp_C")
    fahrenheit: float = Field(alias="temp_F")
    felt_celsius: float = Field(alias="FeelsLikeC")
    felt_fahrenheit: float = Field(alias="FeelsLikeF")
    humidity: int
    kmh: float = Field(alias="windspeedKmph")
    mph: float = Field(alias="windspeedMiles")
    sky: list[_Text] = Field(alias="weatherDesc", min_length=1)
    observed: str = Field(alias="localObsDateTime", default="")


class _Hour(BaseModel):
    time: int = Field(ge=0, le=2359)
    """Hours and minutes of the day: 0, 300 … 2100."""
    celsius: float = Field(alias="tempC")
    fahrenheit: float = Field(alias="tempF")
    kmh: float = Field(alias="windspeedKmph")
    mph: float = Field(alias="windspeedMiles")
    rain: int = Field(alias="chanceofrain", default=0)
    snow: int = Field(alias="chanceofsnow", default=0)
    sky: list[_Text] = Field(alias="weatherDesc", min_length=1)


class _Day(BaseModel):
    date: date
    high_celsius: float = Field(alias="maxtempC")
    high_fahrenheit: float = Field(alias="maxtempF")
    low_celsius: float = Field(alias="mintempC")
    low_fahrenheit: float = Field(alias="mintempF")
    hourly: list[_Hour] = Field(min_length=1)


class _Answer(BaseModel):
    current_condition: list[_Current] = Field(min_length=1)
    nearest_area: list[_Area] = Field(min_length=1)
    weather: list[_Day] = []


class Wttr:
    """A weather provider with three days of forecast, one every three hours."""

    name = "wttr.in"

    def __init__(self, web: Web) -> None:
        self._web = web

    async def report(
        self, location: str, units: Units, *, hours: int = 0, days: int = 0
    ) -> WeatherReport:
        """Return the weather at the place that wttr.in takes `location` for."""
        if not any(
            letter.isalnum() for letter in location
        ):  # it would take the asking host's place
            raise PlaceNotFound(f"No place called {location!r} is known.")
        url = f"{str(self._web.settings.wttr_url).rstrip('/')}/{quote(location, safe='')}"
        try:
            answer = await self._web.ask(self.name, url, {"format": "j1", "lang": "en"})
        except BadAnswer as error:
            if error.status == _NOT_FOUND:
                raise PlaceNotFound(f"No place called {location!r} is known.") from None
            raise
        try:
            # Some answers come wrapped once more.
            found = _Answer.model_validate(answer.get("data", answer))
        except (ValidationError, AttributeError):
            raise BadAnswer(f"{self.name} sent no weather") from None
        current, place = found.current_condition[0], _place(found.nearest_area[0])
        now = _moment(current.observed)
        metric = units == "metric"
        report: WeatherReport = {
            "location": full_name(place),
            "units": units,
            "current": {
                "condition": _sky(current.sky),
                "temperature": current.celsius if metric else current.fahrenheit,
                "feels_like": current.felt_celsius if metric else current.felt_fahrenheit,
                "temperature_unit": "°C" if metric else "°F",
                "humidity_percent": current.humidity,
                "wind_speed": current.kmh if metric else current.mph,
                "wind_speed_unit": "km/h" if metric else "mph",
            },
            "time": f"{now:%Y-%m-%dT%H:%M}" if now else current.observed,
            "place": place,
            "source": self.name,
            "sample": False,
            "note": "",
        }
        if hours:
            steps = [_hour(day.date, hour, units) for day in found.weather for hour in day.hourly]
            report["hours"] = _ahead(steps, now, hours)
        if days:
            report["days"] = [_day(day, units) for day in found.weather[:days]]
            if len(found.weather) < days:
                report["note"] = f"{self.name} forecasts {len(found.weather)} days, no more."
        return report


def _place(area: _Area) -> Place:
    return {
        "name": area.area_name[0].value,
        "region": area.region[0].value if area.region else "",
        "country": area.country[0].value if area.country else "",
        "latitude": area.latitude,
        "longitude": area.longitude,
    }


def _moment(observed: str) -> datetime | None:
    """Read `2026-11-05 02:11 PM`, which is the place's own time."""
    with suppress(ValueError):
        return datetime.strptime(observed, "%Y-%m-%d %I:%M %p")  # noqa: DTZ007
    return None


def _ahead(steps: Sequence[Hour], now: datetime | None, hours: int) -> list[Hour]:
    """Return the steps of the next `hours`, beginning with the one that is going on."""
    if now is None:
        return list(steps[: math.ceil(hours / _STEP)])
    since, until = now - timedelta(hours=_STEP), now + timedelta(hours=hours)
    return [step for step in steps if since < datetime.fromisoformat(step["time"]) < until]


def _hour(day: date, hour: _Hour, units: Units) -> Hour:
    metric = units == "metric"
    return {
        "time": f"{day}T{hour.time // 100:02}:{hour.time % 100:02}",
        "condition": _sky(hour.sky),
        "temperature": hour.celsius if metric else hour.fahrenheit,
        "precipitation_percent": max(hour.rain, hour.snow),
        "wind_speed": hour.kmh if metric else hour.mph,
    }


def _day(day: _Day, units: Units) -> Day:
    metric = units == "metric"
    noon = min(day.hourly, key=lambda hour: abs(hour.time - 1200))
    return {
        "date": day.date.isoformat(),
        "condition": _sky(noon.sky),
        "high": day.high_celsius if metric else day.high_fahrenheit,
        "low": day.low_celsius if metric else day.low_fahrenheit,
        "precipitation_percent": max(max(hour.rain, hour.snow) for hour in day.hourly),
        "wind_speed": max(hour.kmh if metric else hour.mph for hour in day.hourly),
    }


def _sky(texts: list[_Text]) -> str:
    return texts[0].value.strip().lower()
