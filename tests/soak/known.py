"""Promises that are known to be broken, which the short form does not ask for: by rig.

The long form shows them all. Whoever mends one takes it out here.
"""

_ASKED_AGAIN = {"doubled", "asked twice", "unanswered", "history"}
"""A turn that is sent again with its key is another turn."""
_STREAMED = {"told", "not told", "lost", "wrong answer"}
"""A streamed run's id is told before its row is written, and words before they are in the log."""

OPEN: dict[str, set[str]] = {
    "one": set(),
    "three": {*_ASKED_AGAIN, *_STREAMED, "order"},
    "deaths": set(),
    "faults": {*_ASKED_AGAIN, *_STREAMED, "error", "stuck", "not told", "executed twice"},
    "still": {
        "repeated",
        "stuck",
        "lost",
        "unanswered",
        "doubled",
        "asked twice",
        "executed twice",
        "order",
        "told",
        "not told",
    },
    "apart": {"lost", "not told", "history", "told", "unanswered"},
    "set-back": {"lost", "history", "not told", "told", "unanswered"},
    "stopped": {*_ASKED_AGAIN, *_STREAMED, "error", "refused"},
    "calls": set(),
    "machine": set(),
}
