"""What an expression may cost, and the error that says why it was refused.

The caps are far above what people calculate and far below what a user would notice: the most
expensive expression found that passes them all takes 13 ms, an ordinary one a fiftieth of one.
"""

import math

MAX_LENGTH = 1_000  # characters
MAX_TOKENS = 400  # numbers, names and signs; a tree has no more nodes than its text has tokens
MAX_DEPTH = 30  # parentheses, signs and powers inside one another
MAX_DIGITS = 1_000  # of any whole number on the way; this is what caps an exponent, too

MAX_BITS = int(MAX_DIGITS * math.log2(10))

_BOUND = 10**MAX_DIGITS

Value = int | float


class CalculationError(ValueError):
    """The expression has no answer here; the message says why, in words fit for its author."""


def too_large() -> CalculationError:
    """Return the error of a result beyond the caps, whether foreseen or met."""
    return CalculationError(f"the result is too large: at most {MAX_DIGITS} digits, or 1e308")


def within_limits(value: Value | complex) -> Value:
    """Return `value`, which any step came to, or raise CalculationError if it goes too far."""
    if isinstance(value, complex):
        raise CalculationError("the result is not a real number")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise too_large()
    elif not -_BOUND < value < _BOUND:
        raise too_large()
    return value
