"""Promises that are known to be broken, which the short form does not ask for: by rig.

The long form shows them all. Whoever mends one takes it out here.
"""

OPEN: dict[str, set[str]] = {
    "one": set(),
    "three": set(),
    "deaths": set(),
    "faults": set(),
    "still": {"stuck"},  # a thread that stays busy
    "apart": set(),
    "set-back": set(),
    "stopped": set(),
    "calls": set(),
    "machine": set(),
}
