"""The walk over the tree: every step's result passes the caps before the next step sees it."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from everturn.tools.providers.arithmetic.functions import FUNCTIONS, power
from everturn.tools.providers.arithmetic.limits import (
    CalculationError,
    Value,
    too_large,
    within_limits,
)
from everturn.tools.providers.arithmetic.syntax import (
    Call,
    Comparison,
    Negative,
    Node,
    Number,
    Operation,
    Percent,
    parse,
)

_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": power,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(expression: str) -> Value:
    """Return what `expression` comes to: an exact int, a finite float, or a bool of a comparison.

    Numbers behave as Python's do, except that a percentage added or taken away is a part of what
    stands before it, as on any pocket calculator: `200 + 15%` is 230.

    Raises:
        CalculationError: it cannot be read, has no real and finite result, or costs too much.
    """
    try:
        return _value_of(parse(expression))
    except ZeroDivisionError:
        raise CalculationError("division by zero") from None
    except OverflowError:
        raise too_large() from None


def _value_of(node: Node) -> Value:
    match node:
        case Number(value):
            result = value
        case Negative(operand):
            result = -_value_of(operand)
        case Percent(operand):
            result = _hundredth(_value_of(operand))
        case Operation("*", Percent(share), whole) | Operation("*", whole, Percent(share)):
            # Multiplied first, 7% of 100 is 7; 0.07 * 100 would be 7.000000000000001.
            result = _hundredth(within_limits(_value_of(share) * _value_of(whole)))
        case Operation("+" | "-" as sign, left, Percent(share)) if not isinstance(left, Percent):
            base = _value_of(left)
            part = _hundredth(within_limits(base * _value_of(share)))
            result = _OPERATIONS[sign](base, part)
        case Operation(sign, left, right):
            result = _OPERATIONS[sign](_value_of(left), _value_of(right))
        case Comparison(first, links):
            result = _holds(_value_of(first), links)
        case Call(name, arguments):
            result = _called(name, [_value_of(argument) for argument in arguments])
    return within_limits(result)


def _hundredth(value: Value) -> Value:
    return value // 100 if isinstance(value, int) and value % 100 == 0 else value / 100


def _holds(left: Value, links: Sequence[tuple[str, Node]]) -> bool:
    holds = True
    for sign, node in links:
        right = _value_of(node)
        holds = holds and _OPERATIONS[sign](left, right)
        left = right
    return holds


def _called(name: str, arguments: Sequence[Value]) -> Any:
    function = FUNCTIONS[name]
    if len(arguments) < function.least or len(arguments) > (function.most or len(arguments)):
        raise CalculationError(f"{name} takes {function.takes()}, not {len(arguments)}")
    try:
        return function.compute(*arguments)
    except CalculationError:
        raise
    except ValueError:
        raise CalculationError(f"{name} is not defined for these arguments") from None
