"""The tool `weather`: the weather now, from the provider in place."""

from typing import Annotated

from langchain_core.tools import tool
from pydantic import StringConstraints

from tools.kit.weather import Units, WeatherProvider, WeatherReport
from tools.kit.weather.offline import OfflineWeather

Place = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]

provider: WeatherProvider = OfflineWeather()


@tool(parse_docstring=True)
async def weather(location: Place, units: Units = "metric") -> WeatherReport:
    """Get the current weather at a place: sky, temperature, humidity and wind.

    Args:
        location: The place as people name it, e.g. "Seoul" or "Paris, Texas".
        units: "metric" for °C and km/h, "imperial" for °F and mph.
    """
    return await provider.report(location, units)
