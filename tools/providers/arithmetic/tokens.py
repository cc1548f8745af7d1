"""From text to tokens. Whatever is neither a number, a name nor an operator is refused here.

Two signs mean two things each, and the text around them decides:

* `%` is the remainder when an operand follows (`10 % 3`, and `10 % -3` spaced like this), and
  percent everywhere else (`15%`, `15% + 1`, `15% of 200`);
* `,` separates arguments directly inside a function's parentheses (`gcd(48,180)`), and groups
  thousands everywhere else (`1,250,000`).
"""

import re
from typing import Literal, NamedTuple

from everturn.tools.providers.arithmetic.limits import MAX_LENGTH, MAX_TOKENS, CalculationError

Kind = Literal["number", "name", "percent", "operator", "end"]


class Token(NamedTuple):
    """A piece of the expression: its kind, its text in plain notation, and where it stands."""

    kind: Kind
    text: str
    at: int


_TAIL = r"(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
_TOKEN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<grouped>[1-9][0-9]{{0,2}}(?:,[0-9]{{3}})+(?![0-9]){_TAIL})
    | (?P<number>[0-9]+(?:_[0-9]+)*{_TAIL}|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*|[πτ])
    | (?P<of>%\s*(?i:of)\b)
    | (?P<percent>%(?!\s*[0-9.(A-Za-z_πτ])(?!(?<=\s%)\s+[-+]\S))
    | (?P<operator>\*\*|//|[=!<>]=|[-+*/%^<>(),×÷−≤≥≠])
    """,
    re.VERBOSE,
)
_PLAIN = {"^": "**", "×": "*", "÷": "/", "−": "-", "≤": "<=", "≥": ">=", "≠": "!="}
_REASONS = {
    "=": "compare with '=='",
    ".": "nothing has attributes here: write sqrt(2), not math.sqrt(2)",
    ",": "a comma groups three digits or separates arguments; decimals take a point",
    '"': "there is no text here, only numbers",
    "'": "there is no text here, only numbers",
    "(": "write * to multiply",
    "x": "write * to multiply",
    "[": "there are no lists here, only numbers",
    "{": "there are no sets here, only numbers",
}


def unexpected(text: str, at: int) -> CalculationError:
    """Return the error for a piece that cannot stand where it stands."""
    reason = _REASONS.get(text)
    found = f"unexpected {text[:40]!r} at character {at + 1}" if text else "it ends too early"
    return CalculationError(f"{found}: {reason}" if reason else found)


def tokens_of(expression: str) -> list[Token]:
    """Return the tokens of `expression`, closed by one of kind `end`.

    Raises:
        CalculationError: the text is empty, too long, ambiguous, or holds something unknown.
    """
    if len(expression) > MAX_LENGTH:
        raise CalculationError(f"the expression is too long: at most {MAX_LENGTH} characters")
    tokens: list[Token] = []
    commas = _Commas()
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise unexpected(expression[at], at)
        text = commas.cut(match[0]) if match.lastgroup == "grouped" else match[0]
        read = _read(match.lastgroup, text, at)
        at += len(text)
        for token in read:
            commas.note(token, spaced=expression[at : at + 1].isspace())
        tokens += read
        if len(tokens) > MAX_TOKENS:
            raise CalculationError(f"the expression has too many parts: at most {MAX_TOKENS}")
    if not tokens:
        raise CalculationError("the expression is empty")
    return [*tokens, Token("end", "", at)]


def _read(group: str | None, text: str, at: int) -> list[Token]:
    match group:
        case "space":
            return []
        case "grouped" | "number":
            return [Token("number", text.replace(",", "").replace("_", ""), at)]
        case "name":
            return [Token("name", text.lower(), at)]
        case "percent":
            return [Token("percent", text, at)]
        case "of":
            return [Token("percent", "%", at), Token("operator", "*", at)]
        case _:
            return [Token("operator", _PLAIN.get(text, text), at)]


class _Commas:
    """Knows whose parentheses are open, and so what a comma in them is for."""

    def __init__(self) -> None:
        # For each open parenthesis the styles its commas were written in; None if no function's.
        self._open: list[set[str] | None] = []
        self._after_name = False

    def cut(self, grouped: str) -> str:
        """Return `1,250` as it is or, among a function's arguments, only its `1`."""
        if not self._open or self._open[-1] is None:
            return grouped
        self._write("tight")
        return grouped.partition(",")[0]

    def note(self, token: Token, *, spaced: bool) -> None:
        """Take notice of a token, and of whether a space follows it."""
        if token.text == "(":
            self._open.append(set() if self._after_name else None)
        elif token.text == ")" and self._open:
            self._open.pop()
        elif token.text == "," and spaced:
            self._write("spaced")
        self._after_name = token.kind == "name"

    def _write(self, style: str) -> None:
        styles = self._open[-1] if self._open else None
        if styles is None:
            return
        styles.add(style)
        if len(styles) > 1:
            # max(1,200, 1,500): two numbers or four? A guess could be wrong without a trace.
            raise CalculationError(
                "ambiguous commas: among arguments write 1200 for 1,200, "
                "and a space after all commas or none"
            )
