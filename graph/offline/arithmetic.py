"""Finding the arithmetic in a text, written in signs or in English or Korean words."""

import math
import re
from collections.abc import Sequence

# Patterns stay strings: `re` compiles each at its first use and keeps it, so importing is free.
_N = r"(?<![\d.])(-?\d++(?:\.\d+)?)"
_PERCENT = r"(?:%|percent\b|per cent\b|퍼센트|프로)"
_PHRASES = [
    (rf"(?ai){phrase}", signs)
    for phrase, signs in (
        # Operators. The signs ×, ÷ and − mean arithmetic for sure, unlike a plain x, / or -.
        (r"\b(?:multiplied by|times)\b|곱하기", " × "),
        (r"\bdivided by\b|나누기", " ÷ "),
        (r"\bplus\b|더하기", " + "),
        (r"\bminus\b|빼기", " − "),
        (r"\b(?:raised )?to the power(?: of)?\b|\^", " ** "),
        (r"(?<=[\d)])(?: squared\b|²)", " ** 2"),
        (r"(?<=[\d)])(?: cubed\b|³)", " ** 3"),
        (r"(?<=\d)\s*x\s*(?=\d)", " x "),
        # Shares, roots and powers.
        # Multiplied first, 7% of 100 is 7; divided first, it is 7.000000000000001.
        (rf"{_N}\s*{_PERCENT}\s*(?:[a-z]+\s+)?(?:of|on)\s+{_N}", r"\1 × \2 ÷ 100"),
        (rf"{_N}의\s*{_N}\s*{_PERCENT}", r"\1 × \2 ÷ 100"),
        (rf"(?<=\d)\s*{_PERCENT}", "%"),
        (rf"(?:\b(?:the )?square root of|루트|√)\s*{_N}", r"sqrt(\1)"),
        (rf"{_N}의\s*제곱근", r"sqrt(\1)"),
        (rf"{_N}의\s*제곱", r"\1 ** 2"),
        (rf"{_N}의\s*{_N}\s*(?:제곱|승)", r"\1 ** \2"),
        # Verbs and nouns that stand before or behind both numbers.
        (rf"\b(?:add|(?:the )?sum of)\s+{_N}\s+(?:and|to|with)\s+{_N}", r"\1 + \2"),
        (rf"\bsubtract\s+{_N}\s+from\s+{_N}", r"\2 − \1"),
        (rf"\b(?:the )?difference between\s+{_N}\s+and\s+{_N}", r"\1 − \2"),
        (rf"\b(?:multiply|(?:the )?product of)\s+{_N}\s+(?:by|and|with)\s+{_N}", r"\1 × \2"),
        (rf"\bdivide\s+{_N}\s+by\s+{_N}", r"\1 ÷ \2"),
        (rf"{_N}(?:에|과|와)\s*{_N}(?:을|를|의)?\s*(?:더|합)", r"\1 + \2 "),
        (rf"{_N}에서\s*{_N}(?:을|를)?\s*(?:빼|뺀)", r"\1 − \2 "),
        (rf"{_N}(?:에|과|와)\s*{_N}(?:을|를|의)?\s*곱", r"\1 × \2 "),
        (rf"{_N}(?:을|를)\s*{_N}(?:으로|로)\s*나", r"\1 ÷ \2 "),
    )
]
_NUMBER_WORDS: str = "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
# Inside a function's parentheses a comma separates arguments, elsewhere it may group digits.
_GROUPED = r"(?a)([A-Za-z_]\w*\([^()]*\))|(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])"
_FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)}

_LEXEME = r"""(?aix)
    (?P<other>    (?<!\d) (?: \d{4}-\d{1,2}-\d{1,2}(?!\d)          # a date
                           | \d{2,4}-\d{3,4}-\d{4}(?!\d)          # a telephone number
                           | \d+(?:\.\d+){2,} | \d{1,2}:\d{2} ) )  # an address; a time of day
  | (?P<number>   (?<![\w.]) (?>(?:\d+(?:\.\d+)?|\.\d+) (?:e[+-]?\d+)?) (?![a-z_]) )
  | (?P<function> (?<!\w) [a-z_]\w*(?=\() )
  | (?P<constant> (?<!\w) (?:pi|tau|e) (?!\w) )
  | (?P<operator> \*\* | // | [-+*/%×÷−·] | (?<=\ )x(?=\ ) )
  | (?P<bracket>  [(),] )
  | (?P<word>     [a-z_]\w* | \S )
"""
_OPERATORS = {"×": "*", "·": "*", "x": "*", "÷": "/", "−": "-"}
_DOUBTFUL = {"-", "/", "%", "x"}
"""Between numbers these may also mean a range, a date, a name such as `24/7`, or a size."""

_FUNCTIONS = {name for name in dir(math) if name.isalnum()} | {"abs", "max", "min", "round"}
_ORDER = r"(?i)\b(?:calculate|compute|evaluate|solve|calc)\b|계산"
_FILLER = (
    r"(?i)\b(?:what(?:['’]?s| is| are)?|how much(?: is)?|please|tell me|can you|could you|hello|hi"
    r"|hey|the|answer|result|value|of|equals?|so|and|then|now|is)\b"
    r"|얼마|계산|값|결과|몇|뭐|알려|말해|해|줘|주세요|안녕하세요|인가요|입니까|이야|예요|[야요은는이가]"
    r"|[\s?!.,:;=]"
)
_OPERANDS = {"number", "constant", "function"}
_DEEPEST = 32


def expressions(text: str) -> list[str]:
    """Return each calculation in `text`, as `3 * (4 + 5)` or `sqrt(2)`, in order.

    Dates, telephone numbers, versions and names such as `GPT-4` are none, and `24/7` is one only
    where nothing else is said or a calculation is ordered. An ordered calculation that is broken,
    such as `2 * (3`, is returned as it stands: the calculator says best what is wrong with it.
    """
    signs = re.sub(rf"(?ai)\b(?:{_NUMBER_WORDS})\b", _digits, text.translate(_FULL_WIDTH))
    if not re.search(r"[0-9]", signs):
        return []
    for phrase, replacement in _PHRASES:
        signs = re.sub(phrase, replacement, signs)
    signs = re.sub(_GROUPED, lambda match: match[1] or match[0].replace(",", ""), signs)

    runs = _runs(signs)
    words = _around(runs, signs)
    ordered = bool(re.search(_ORDER, words))
    alone = ordered or not re.sub(_FILLER, "", words)
    found: list[str] = []
    for run in runs:
        read, complete = _read(run, alone=alone)
        found += read if complete or not ordered else [signs[run[0].start() : run[-1].end()]]
    return found


def _digits(word: re.Match[str]) -> str:
    return str(_NUMBER_WORDS.split("|").index(word[0].lower()))


def _runs(signs: str) -> list[list[re.Match[str]]]:
    """Find the stretches of tokens that may belong to an expression."""
    runs: list[list[re.Match[str]]] = [[]]
    for token in re.finditer(_LEXEME, signs):
        if token.lastgroup not in {"other", "word"}:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _around(runs: Sequence[Sequence[re.Match[str]]], signs: str) -> str:
    """Return the words before, between and behind the runs."""
    starts = [*(run[0].start() for run in runs), len(signs)]
    ends = [0, *(run[-1].end() for run in runs)]
    return " ".join(signs[end:start] for end, start in zip(ends, starts, strict=True))


def _read(run: Sequence[re.Match[str]], *, alone: bool) -> tuple[list[str], bool]:
    """Read the expressions of a run; the flag says whether no operator was left over."""
    found: list[str] = []
    complete, at = True, 0
    while at < len(run):
        reader = _Reader(run, at)
        expression = reader.expression()
        if expression is None:
            complete = complete and run[at][0] in {")", ","}
            at += 1
            continue
        if reader.certain or (reader.doubtful and alone):
            found.append(expression)
        at = reader.at
    return found, complete


class _Reader:
    """Reads the longest expression from a place in a run: `operand (operator operand)*`."""

    def __init__(self, run: Sequence[re.Match[str]], at: int) -> None:
        self._run = run
        self._depth = 0
        self.at = at
        self.certain = False
        """An operator or a function was seen that means nothing but arithmetic."""
        self.doubtful = False
        """An operator was seen that may mean something else."""

    def expression(self) -> str | None:
        """Return the expression in plain notation; `None` if there is none at this place."""
        text = self._operand()
        while text is not None and self._kind() == "operator":
            before, sign = self.at, self._take()
            operand = self._operand()
            if operand is None:
                self.at = before
                break
            self.certain |= sign not in _DOUBTFUL
            self.doubtful |= sign in _DOUBTFUL
            text = f"{text} {_OPERATORS.get(sign, sign)} {operand}"
        return text

    def _operand(self) -> str | None:
        if self._depth >= _DEEPEST:
            return None
        self._depth += 1
        operand = self._one_operand()
        self._depth -= 1
        return operand

    def _one_operand(self) -> str | None:
        kind = self._kind()
        if kind in {"number", "constant"}:
            return self._take() + self._share()
        if kind == "function":
            name = self._take()
            self.certain |= name in _FUNCTIONS
            arguments = self._bracketed()
            return None if arguments is None else name + arguments
        if kind == "operator" and self._run[self.at][0] in {"-", "−"}:
            self._take()
            operand = self._operand()
            return None if operand is None else f"-{operand}"
        return self._bracketed()

    def _share(self) -> str:
        """Read the sign of a share, as in `200 + 15%`; before another operand it is a remainder."""
        behind = self._run[self.at + 1 : self.at + 2]
        is_operand = behind and (behind[0].lastgroup in _OPERANDS or behind[0][0] == "(")
        return self._take() if self._peek() == "%" and not is_operand else ""

    def _bracketed(self) -> str | None:
        """Read `(a, b, …)`; grouping is the case of one."""
        parts: list[str] = []
        sign = "("
        while sign != ")":
            if self._peek() != sign:
                return None
            self._take()
            part = self.expression()
            if part is None:
                return None
            parts.append(part)
            sign = ")" if self._peek() == ")" else ","
        self._take()
        return f"({', '.join(parts)})"

    def _kind(self) -> str | None:
        return self._run[self.at].lastgroup if self.at < len(self._run) else None

    def _peek(self) -> str:
        return self._run[self.at][0] if self.at < len(self._run) else ""

    def _take(self) -> str:
        self.at += 1
        return self._run[self.at - 1][0].lower()
