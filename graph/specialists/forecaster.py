"""Knows the weather."""

from everturn.graph.specialists.kit.specialist import Specialist

specialist = Specialist(
    name="forecaster",
    purpose="Knows the weather of any place, now and for some days, and what time it is there.",
    tools=("weather", "current_time"),
    instructions="Name the place, the time and the units, and where the data is from.",
    require_tools=True,
)
