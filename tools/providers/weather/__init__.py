"""The seam of `tools/weather.py`: what a weather service is asked, and what it answers."""

from typing import Literal, NotRequired, Protocol, TypedDict

Units = Literal["metric", "imperial"]
TemperatureUnit = Literal["°C", "°F"]
SpeedUnit = Literal["km/h", "mph"]


class Conditions(TypedDict):
    """The weather at one moment; each measure stands beside its unit."""

    condition: str
    temperature: float
    feels_like: float
    temperature_unit: TemperatureUnit
    humidity_percent: int
    wind_speed: float
    wind_speed_unit: SpeedUnit


class Hour(TypedDict):
    """What is expected at an hour, in the units of `Conditions`."""

    time: str
    """At the place: `2026-11-05T14:00`."""
    condition: str
    temperature: float
    precipitation_percent: int | None
    """The chance of rain or snow."""
    wind_speed: float


class Day(TypedDict):
    """What is expected on a day, in the units of `Conditions`."""

    date: str
    condition: str
    high: float
    low: float
    precipitation_percent: int | None
    wind_speed: float
    """The strongest."""


class Place(TypedDict):
    """Where the weather is of, as the service understood it."""

    name: str
    region: str
    country: str
    latitude: float
    longitude: float


class WeatherReport(TypedDict):
    """The weather somewhere, who says so, and whether it is only a sample."""

    location: str
    """The place in full, with its country, where a service knows it; else as it was asked for."""
    units: Units
    current: Conditions
    hours: NotRequired[list[Hour]]
    days: NotRequired[list[Day]]
    time: NotRequired[str]
    """Of `current`, at the place."""
    place: NotRequired[Place]
    other_places: NotRequired[list[str]]
    """Places of the same name that were not meant."""
    source: str
    sample: bool
    note: str


class PlaceNotFound(Exception):
    """No place of this name is known; its text says so."""


class WeatherProvider(Protocol):
    """A weather service."""

    name: str

    async def report(
        self, location: str, units: Units, *, hours: int = 0, days: int = 0
    ) -> WeatherReport:
        """Return the weather now at `location`, a place as people name it, and a forecast.

        Raises:
            PlaceNotFound: there is no such place.
            WebError: the service brought nothing.
        """
        ...
