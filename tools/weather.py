"""The tool `weather`: the weather now and to come, from the provider in place."""

from typing import Annotated

from langchain_core.tools import ToolException, tool
from pydantic import Field, StringConstraints

from everturn.tools.kit.current import do_not_cache
from everturn.tools.kit.declare import declare
from everturn.tools.providers.first_answer import NoServiceAnswered
from everturn.tools.providers.weather import PlaceNotFound, Units, WeatherProvider, WeatherReport
from everturn.tools.providers.weather.services import WeatherServices

Place = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Hours = Annotated[int, Field(ge=0, le=48)]
Days = Annotated[int, Field(ge=0, le=7)]

provider: WeatherProvider = WeatherServices()


@declare(cache=600)
@tool(parse_docstring=True)
async def weather(
    location: Place, units: Units = "metric", hours: Hours = 0, days: Days = 0
) -> WeatherReport:
    """Get the current weather at a place: sky, temperature, humidity and wind; and a forecast.

    Args:
        location: The place as people name it, e.g. "Seoul" or "Paris, Texas".
        units: "metric" for °C and km/h, "imperial" for °F and mph.
        hours: Hours of forecast to add, 0 to 48, from now on.
        days: Days of forecast to add, 0 to 7, from today on.
    """
    try:
        report = await provider.report(location, units, hours=hours, days=days)
    except (PlaceNotFound, NoServiceAnswered) as error:
        raise ToolException(str(error)) from None
    if report["sample"]:  # what stands in for an answer must not outlast its reason
        do_not_cache()
    return report


weather.handle_tool_error = True  # the model reads what a ToolException says
