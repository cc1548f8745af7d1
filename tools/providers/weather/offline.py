"""Weather without a network: plausible, the same for the same place, and marked as a sample."""

import math
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import NamedTuple

from everturn.tools.providers.sample import SOURCE, sample_note, seeded
from everturn.tools.providers.weather import Conditions, Day, Hour, Units, WeatherReport

KM_PER_MILE = 1.609344


class _Sky(NamedTuple):
    condition: str
    humidity: tuple[int, int]  # percent, from and to


_SKIES = (
    _Sky("clear", (35, 60)),
    _Sky("partly cloudy", (45, 70)),
    _Sky("overcast", (60, 85)),
    _Sky("light rain", (75, 95)),
)
_CHANCES = {"clear": 0, "partly cloudy": 10, "overcast": 30, "light rain": 80}
"""Of rain, in percent."""


class OfflineWeather:
    """A weather provider that asks no service."""

    name = "offline"

    async def report(
        self, location: str, units: Units, *, hours: int = 0, days: int = 0
    ) -> WeatherReport:
        """Return mild sample weather of the kind that most inhabited places know.

        The forecast begins now, by UTC: where the place lies is not known.
        """
        random = seeded(location)
        report: WeatherReport = {
            "location": location,
            "units": units,
            "current": _conditions(random, units),
            "source": SOURCE,
            "sample": True,
            "note": sample_note("weather"),
        }
        now = datetime.now(UTC)
        if hours:
            moments = (now + timedelta(hours=hour) for hour in range(hours))
            report["hours"] = [_hour(moment, _conditions(random, units)) for moment in moments]
        if days:
            dates = (now.date() + timedelta(days=day) for day in range(days))
            report["days"] = [_day(date, _conditions(random, units)) for date in dates]
        return report


def _hour(moment: datetime, expected: Conditions) -> Hour:
    return {
        "time": f"{moment:%Y-%m-%dT%H}:00",
        "condition": expected["condition"],
        "temperature": expected["temperature"],
        "precipitation_percent": _CHANCES[expected["condition"]],
        "wind_speed": expected["wind_speed"],
    }


def _day(day: date, expected: Conditions) -> Day:
    mean, spread = expected["temperature"], 4 if expected["temperature_unit"] == "°C" else 7
    return {
        "date": day.isoformat(),
        "condition": expected["condition"],
        "high": round(mean + spread, 1),
        "low": round(mean - spread, 1),
        "precipitation_percent": _CHANCES[expected["condition"]],
        "wind_speed": expected["wind_speed"],
    }


def _conditions(random: Random, units: Units) -> Conditions:
    sky = _SKIES[int(random.random() * len(_SKIES))]
    celsius = 6 + 20 * random.random()
    low, high = sky.humidity
    humidity = round(low + (high - low) * random.random())
    kmh = 4 + 22 * random.random()
    felt = apparent_temperature(celsius, humidity, kmh)
    metric = units == "metric"
    return {
        "condition": sky.condition,
        "temperature": round(celsius if metric else _fahrenheit(celsius), 1),
        "feels_like": round(felt if metric else _fahrenheit(felt), 1),
        "temperature_unit": "°C" if metric else "°F",
        "humidity_percent": humidity,
        "wind_speed": round(kmh if metric else kmh / KM_PER_MILE, 1),
        "wind_speed_unit": "km/h" if metric else "mph",
    }


def apparent_temperature(celsius: float, humidity_percent: float, wind_kmh: float) -> float:
    """Return what it feels like in the shade, in °C.

    Steadman's formula of 1994 without radiation, as the Australian Bureau of Meteorology gives it.
    """
    vapour_hpa = humidity_percent / 100 * 6.105 * math.exp(17.27 * celsius / (237.7 + celsius))
    return celsius + 0.33 * vapour_hpa - 0.70 * wind_kmh / 3.6 - 4.00


def _fahrenheit(celsius: float) -> float:
    return celsius * 9 / 5 + 32
