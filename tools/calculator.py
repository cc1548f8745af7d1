"""The tool `calculator`: exact arithmetic for a model that would otherwise guess."""

from typing import Literal, TypedDict

from langchain_core.tools import tool

from everturn.tools.providers.arithmetic import MAX_LENGTH, CalculationError, evaluate


class Calculated(TypedDict):
    """An answer: an exact int, a float, or a bool if it was a comparison."""

    success: Literal[True]
    result: int | float
    expression: str


class NotCalculated(TypedDict):
    """No answer, and why; the expression is cut at the length that would have been read."""

    success: Literal[False]
    error: str
    expression: str


@tool(parse_docstring=True)
def calculator(expression: str) -> Calculated | NotCalculated:
    """Work out an arithmetic expression. Use it for every calculation, however small.

    It knows + - * / // % ^ (power), comparisons, percentages ("15% of 200", "80 + 5%"),
    pi, e and tau, and functions such as sqrt, sin, log, round, factorial, comb, gcd, min and max.

    Args:
        expression: The expression alone, without words around it, e.g. "sqrt(2) * (3 + 4) ^ 2".
    """
    shown = expression[:MAX_LENGTH]
    try:
        return {"success": True, "result": evaluate(expression), "expression": shown}
    except CalculationError as error:
        return {"success": False, "error": str(error), "expression": shown}
