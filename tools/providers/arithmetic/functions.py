"""All that may be called: the functions of `math` and a few built-ins, with their costs capped."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from typing import Any

from everturn.tools.providers.arithmetic.limits import (
    MAX_BITS,
    MAX_DIGITS,
    CalculationError,
    Value,
    too_large,
    within_limits,
)


@dataclass(frozen=True, slots=True)
class Function:
    """What a name computes, and how many arguments it takes (`most=None`: any number)."""

    compute: Callable[..., Any]
    least: int = 1
    most: int | None = 1

    def takes(self) -> str:
        """Say how many arguments it takes, for the message about another number."""
        if self.most is None:
            return f"{self.least} or more arguments"
        if self.most > self.least:
            return f"{self.least} to {self.most} arguments"
        return "1 argument" if self.most == 1 else f"{self.most} arguments"


def power(base: Value, exponent: Value) -> Any:
    """Return base ** exponent, refusing before the work what would be too large after it."""
    if isinstance(base, int) and isinstance(exponent, int):
        # A base of b bits is at least 2**(b - 1): a bound from below, so nothing fair is refused.
        least_bits = (base.bit_length() - 1) * exponent
        if least_bits > MAX_BITS:
            raise too_large()
    return base**exponent


def on_whole_numbers(compute: Callable[..., int]) -> Callable[..., int]:
    """Let `compute` take 6.0 for 6, and say plainly that it takes no 6.5."""

    @wraps(compute)
    def on_whole(*values: Value) -> int:
        if any(value != int(value) for value in values):
            raise CalculationError(f"{compute.__name__} takes whole numbers only")
        return compute(*map(int, values))

    return on_whole


def _foresee_product(largest: int, factors: int) -> None:
    # n·(n-1)·…·(n-k+1) has at most k times the bits of n. The slack lets division bring the
    # result of `comb` back under the cap; what passes still takes microseconds.
    if factors * largest.bit_length() > 10 * MAX_BITS:
        raise too_large()


@on_whole_numbers
def factorial(n: int) -> int:
    """Return n!."""
    _foresee_product(n, n)
    return math.factorial(n)


@on_whole_numbers
def perm(n: int, k: int | None = None) -> int:
    """Return the number of ways to put `k` of `n` things (by default all) in a row."""
    _foresee_product(n, n if k is None else min(n, k))
    return math.perm(n, k)


@on_whole_numbers
def comb(n: int, k: int) -> int:
    """Return the number of ways to choose `k` of `n` things."""
    _foresee_product(n, min(k, n - k))
    return math.comb(n, k)


@on_whole_numbers
def lcm(*numbers: int) -> int:
    """Return the least common multiple, checked after each number: it grows with all of them."""
    return reduce(lambda one, other: int(within_limits(math.lcm(one, other))), numbers, 1)


def rounded(value: Value, digits: Value = 0) -> Value:
    """Return `value` to that many decimals, or to a whole number; halves go to the even side."""
    if digits != int(digits) or abs(digits) > MAX_DIGITS:
        raise CalculationError(f"round takes a whole number of digits, at most {MAX_DIGITS}")
    return round(value, int(digits)) if digits else round(value)


_OF_ONE = (
    *(abs, math.floor, math.ceil, math.trunc, math.sqrt, math.cbrt),
    *(math.exp, math.exp2, math.expm1, math.log2, math.log10, math.log1p),
    *(math.sin, math.cos, math.tan, math.asin, math.acos, math.atan),
    *(math.sinh, math.cosh, math.tanh, math.asinh, math.acosh, math.atanh),
    *(math.degrees, math.radians, math.gamma, math.lgamma, math.erf, math.erfc),
)

FUNCTIONS: dict[str, Function] = {
    **{function.__name__: Function(function) for function in _OF_ONE},
    "atan2": Function(math.atan2, 2, 2),
    "comb": Function(comb, 2, 2),
    "copysign": Function(math.copysign, 2, 2),
    "factorial": Function(factorial),
    "fmod": Function(math.fmod, 2, 2),
    "gcd": Function(on_whole_numbers(math.gcd), 1, None),
    "hypot": Function(math.hypot, 1, None),
    "isqrt": Function(on_whole_numbers(math.isqrt)),
    "lcm": Function(lcm, 1, None),
    "ln": Function(math.log),
    "log": Function(math.log, 1, 2),
    "max": Function(lambda *values: max(values), 1, None),
    "min": Function(lambda *values: min(values), 1, None),
    "perm": Function(perm, 1, 2),
    "pow": Function(power, 2, 2),
    "round": Function(rounded, 1, 2),
}
