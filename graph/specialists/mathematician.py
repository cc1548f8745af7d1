"""Calculates."""

from everturn.graph.specialists.kit.specialist import Specialist

specialist = Specialist(
    name="mathematician",
    purpose="Calculates exactly: arithmetic, percentages, roots and powers, by a calculator.",
    tools=("calculator",),
    instructions="Calculate with the tool, never in your head, and give the number with its steps.",
    require_tools=True,
)
