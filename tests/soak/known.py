"""Promises that the short form does not ask for yet, by rig: broken, or kept in a few trials only.

The long form shows them all. Whoever has seen one kept for long takes it out here.
"""

OPEN: dict[str, set[str]] = {
    "one": set(),
    "three": set(),
    "deaths": set(),
    "faults": {"error", "stuck", "executed twice"},
    "still": {"stuck", "executed twice"},
    "apart": set(),
    "set-back": set(),
    "stopped": {"refused", "error"},
    "calls": set(),
    "machine": set(),
}
