"""The seam of `tools/weather.py`: what a weather service is asked, and what it answers."""

from typing import Literal, Protocol, TypedDict

Units = Literal["metric", "imperial"]


class Conditions(TypedDict):
    """The weather at one moment; each measure stands beside its unit."""

    condition: str
    temperature: float
    feels_like: float
    temperature_unit: Literal["°C", "°F"]
    humidity_percent: int
    wind_speed: float
    wind_speed_unit: Literal["km/h", "mph"]


class WeatherReport(TypedDict):
    """The weather somewhere, who says so, and whether it is only a sample."""

    location: str
    units: Units
    current: Conditions
    source: str
    sample: bool
    note: str


class WeatherProvider(Protocol):
    """A weather service."""

    name: str

    async def report(self, location: str, units: Units) -> WeatherReport:
        """Return the weather now at `location`, a place as people name it."""
        ...
