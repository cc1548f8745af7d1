"""Promises that are known to be broken, which the short form does not ask for: by rig.

The long form shows them all. Whoever mends one takes it out here.
"""

OPEN: dict[str, set[str]] = {
    "one": {"doubled", "asked twice", "told", "lost", "unanswered", "repeated", "history"},
    "three": {"doubled", "asked twice", "told", "lost", "unanswered", "repeated", "history"},
    "deaths": {"doubled", "asked twice", "told", "lost", "unanswered", "repeated", "history"},
    "faults": {"error", "told", "lost", "unanswered", "doubled", "asked twice", "history", "stuck"},
    "still": {"repeated", "doubled", "asked twice", "executed twice"},
    "apart": {"lost", "not told", "history"},
    "set-back": {"lost", "history"},
    "stopped": {"error", "told", "lost", "refused", "unanswered", "asked twice", "doubled"},
    "calls": {"known, made again"},
    "machine": {"error", "told", "doubled", "asked twice", "unanswered", "history"},
}
