"""The tool `current_time`: what a model cannot know by itself."""

from datetime import datetime
from typing import Annotated, TypedDict
from zoneinfo import ZoneInfo

from langchain_core.tools import ToolException, tool
from pydantic import StringConstraints

from everturn.tools.providers.zones import UnknownZone, zone_of

Zone = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Moment(TypedDict):
    """A moment as the clocks of a time zone show it."""

    zone: str
    time: str
    """ISO 8601, to the second, with its distance from UTC."""
    weekday: str
    utc_offset: str
    abbreviation: str
    daylight_saving: bool
    unix: int


@tool(parse_docstring=True)
def current_time(zone: Zone = "UTC") -> Moment:
    """Get the date, the weekday and the time now.

    Args:
        zone: An IANA time zone or a well-known city, e.g. "Asia/Seoul", "New York" or "UTC".
    """
    try:
        name = zone_of(zone)
    except UnknownZone as error:
        raise ToolException(str(error)) from None
    now = datetime.now(ZoneInfo(name))
    return {
        "zone": name,
        "time": now.isoformat(timespec="seconds"),
        "weekday": f"{now:%A}",
        "utc_offset": now.isoformat()[-6:],
        "abbreviation": now.tzname() or "",
        "daylight_saving": bool(now.dst()),
        "unix": int(now.timestamp()),
    }


current_time.handle_tool_error = True  # the model reads what a ToolException says
