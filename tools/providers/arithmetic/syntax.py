"""From tokens to a tree, by recursive descent. The methods read from loosest to tightest binding.

* comparison: `operation (< operation)*`; as in Python, a chain holds if every link does
* operation: `+ -`, then `* / // %`, left to right
* signed: `-power`, so -2^2 is -4
* power: `percent ^ signed`, right to left
* percent: `atom %`
* atom: a number, a constant, `function(comparison, …)` or `(comparison)`
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import NoReturn, TypeAlias

from everturn.tools.providers.arithmetic.functions import FUNCTIONS
from everturn.tools.providers.arithmetic.limits import MAX_DEPTH, CalculationError, Value
from everturn.tools.providers.arithmetic.tokens import Token, tokens_of, unexpected

CONSTANTS = {"pi": math.pi, "π": math.pi, "tau": math.tau, "τ": math.tau, "e": math.e}


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written, or a constant."""

    value: Value


@dataclass(frozen=True, slots=True)
class Negative:
    """The negative of a node."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class Percent:
    """A node followed by `%`."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class Operation:
    """Two nodes and one of `+ - * / // % **` between them."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A chain as `1 < 2 <= 3`: the first node, then each sign with what follows it."""

    first: "Node"
    links: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `FUNCTIONS` and its arguments."""

    function: str
    arguments: tuple["Node", ...]


Node: TypeAlias = Number | Negative | Percent | Operation | Comparison | Call

_COMPARISONS = ("<", "<=", "==", "!=", ">", ">=")
_LEVELS = (("+", "-"), ("*", "/", "//", "%"))


def parse(expression: str) -> Node:
    """Return the tree of `expression`, or raise CalculationError naming what is wrong where."""
    parser = _Parser(tokens_of(expression))
    tree = parser.comparison()
    if parser.next.kind != "end":
        parser.refuse()
    return tree


def length_at(tokens: Sequence[Token], start: int) -> int:
    """Return how many tokens the longest expression at `start` has; 0 where there is none.

    It finds a calculation in tokens that may go on with something else, and works nothing out.
    """
    rest = (tokens[at] for at in range(start, len(tokens)))  # no copy: most starts end at once
    parser = _Parser(chain(rest, [Token("end", "", 0)]))
    with suppress(CalculationError):
        parser.comparison()
    return parser.complete


class _Parser:
    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = iter(tokens)
        self._depth = self._open = self._taken = 0
        self.next = next(self._tokens)
        self.complete = 0
        """How many tokens were taken when they last were an expression by themselves."""

    def comparison(self) -> Node:
        first = self._operation()
        links: list[tuple[str, Node]] = []
        while operator := self._accept(*_COMPARISONS):
            links.append((operator, self._operation()))
        return Comparison(first, tuple(links)) if links else first

    def refuse(self) -> NoReturn:
        raise unexpected(self.next.text, self.next.at)

    def _operation(self, level: int = 0) -> Node:
        if level == len(_LEVELS):
            return self._signed()
        left = self._operation(level + 1)
        while operator := self._accept(*_LEVELS[level]):
            left = Operation(operator, left, self._operation(level + 1))
        return left

    def _signed(self) -> Node:
        # Everything that nests passes here, so this is where its depth is counted.
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise CalculationError(f"the expression is nested too deeply: at most {MAX_DEPTH}")
        sign = self._accept("-", "+")
        node = self._signed() if sign else self._power()
        self._depth -= 1
        return Negative(node) if sign == "-" else node

    def _power(self) -> Node:
        base = self._percent()
        return Operation("**", base, self._signed()) if self._accept("**") else base

    def _percent(self) -> Node:
        node = self._atom()
        if self.next.kind == "percent":
            self._advance()
            node = Percent(node)
        if not self._open:  # what follows an operand may be missing, unless a bracket is open
            self.complete = self._taken
        return node

    def _atom(self) -> Node:
        if self.next.kind == "number":
            return Number(_number(self._advance()))
        if self.next.kind == "name":
            return self._named(self._advance().text)
        if not self._accept("("):
            self.refuse()
        self._open += 1
        inside = self.comparison()
        self._require(")")
        self._open -= 1
        return inside

    def _named(self, name: str) -> Node:
        if name in CONSTANTS:
            return Number(CONSTANTS[name])
        if name not in FUNCTIONS:
            known = ", ".join(["pi", "tau", "e", *sorted(FUNCTIONS)])
            raise CalculationError(f"unknown name {name[:40]!r}; there are {known}")
        self._require("(")
        self._open += 1
        arguments = [] if self._accept(")") else [self.comparison()]
        while arguments and not self._accept(")"):
            self._require(",")
            arguments.append(self.comparison())
        self._open -= 1
        return Call(name, tuple(arguments))

    def _accept(self, *operators: str) -> str | None:
        if self.next.kind == "operator" and self.next.text in operators:
            return self._advance().text
        return None

    def _require(self, operator: str) -> None:
        if not self._accept(operator):
            found = f"{self.next.text[:40]!r}" if self.next.text else "the end"
            raise CalculationError(
                f"expected {operator!r} at character {self.next.at + 1}, found {found}"
            )

    def _advance(self) -> Token:
        token = self.next
        self._taken += 1
        self.next = next(self._tokens, token)
        return token


def _number(token: Token) -> Value:
    text = token.text
    if len(text) > 1 and text[0] == "0" and text[1].isdigit():
        # Octal to some, and the rest of a cut `1,000` in a function's parentheses.
        raise CalculationError(f"{text[:40]!r} at character {token.at + 1} starts with a zero")
    return int(text) if text.isdigit() else float(text)
