"""Weather without a network: plausible, the same for the same place, and marked as a sample."""

import math
from random import Random
from typing import NamedTuple

from tools.kit.sample import SOURCE, sample_note, seeded
from tools.kit.weather import Conditions, Units, WeatherReport

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


class OfflineWeather:
    """A weather provider that asks nobody."""

    name = "offline"

    async def report(self, location: str, units: Units) -> WeatherReport:
        """Return mild sample weather of the kind that most inhabited places know."""
        return {
            "location": location,
            "units": units,
            "current": _conditions(seeded(location), units),
            "source": SOURCE,
            "sample": True,
            "note": sample_note("weather"),
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
