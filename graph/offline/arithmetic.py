"""Finding the arithmetic in a text, written in signs or in English or Korean words."""

import re
from collections.abc import Iterator, Sequence

from everturn.tools.providers.arithmetic.functions import FUNCTIONS
from everturn.tools.providers.arithmetic.syntax import length_at
from everturn.tools.providers.arithmetic.tokens import Token

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

_ORDER = r"(?i)\b(?:calculate|compute|evaluate|solve|calc)\b|계산"
_FILLER = (
    r"(?i)\b(?:what(?:['’]?s| is| are)?|how much(?: is)?|please|tell me|can you|could you|hello|hi"
    r"|hey|the|answer|result|value|of|equals?|so|and|then|now|is)\b"
    r"|얼마|계산|값|결과|몇|뭐|알려|말해|해|줘|주세요|안녕하세요|인가요|입니까|이야|예요|[야요은는이가]"
    r"|[\s?!.,:;=]"
)
_OPERANDS = {"number", "constant", "function"}


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
    tokens = [_token(run, at) for at in range(len(run))]
    found: list[str] = []
    complete, at = True, 0
    while at < len(run):
        # A plus in front of a number is no part of a calculation: `C++ 3 + 4`.
        length = 0 if tokens[at].text == "+" else length_at(tokens, at)
        if length == 0:
            complete = complete and run[at][0] in {")", ","}
            at += 1
            continue
        expression = run[at : at + length]
        if _is_meant(expression, alone=alone):
            found.append(_text_of(expression, tokens[at : at + length]))
        at += length
    return found, complete


def _token(run: Sequence[re.Match[str]], at: int) -> Token:
    """Return a token of the calculator's, of the same kind but with no value of its own.

    The calculator says best what is wrong with a number or with the name of a function, so that
    they are not checked here.
    """
    match run[at].lastgroup:
        case "number":
            return Token("number", "1", at)
        case "function":
            return Token("name", "max", at)
        case "constant":
            return Token("name", "pi", at)
    sign = run[at][0].lower()
    if sign == "%" and not _is_operand(run[at + 1 : at + 2]):
        return Token("percent", sign, at)  # a share, as in `200 + 15%`, and no remainder
    return Token("operator", _OPERATORS.get(sign, sign), at)


def _is_operand(following: Sequence[re.Match[str]]) -> bool:
    return any(each.lastgroup in _OPERANDS or each[0] == "(" for each in following)


def _is_meant(expression: Sequence[re.Match[str]], *, alone: bool) -> bool:
    """Say whether an expression is arithmetic: for sure, or where the text is nothing `alone`."""
    signs = {expression[at][0].lower() for at in _between(expression)}
    functions = {each[0].lower() for each in expression if each.lastgroup == "function"}
    return bool(signs - _DOUBTFUL or functions & FUNCTIONS.keys() or (signs and alone))


def _between(expression: Sequence[re.Match[str]]) -> Iterator[int]:
    """Yield the places of the operators between two operands."""
    for at in range(1, len(expression) - 1):
        if expression[at].lastgroup == "operator" and _ends_operand(expression[at - 1]):
            yield at


def _ends_operand(before: re.Match[str]) -> bool:
    return before.lastgroup in {"number", "constant"} or before[0] in {")", "%"}


def _text_of(expression: Sequence[re.Match[str]], tokens: Sequence[Token]) -> str:
    """Write an expression in plain notation, spaced as people do."""
    between = set(_between(expression))
    pieces: list[str] = []
    for at, (match, token) in enumerate(zip(expression, tokens, strict=True)):
        text = match[0].lower() if token.kind in {"number", "name"} else token.text
        if token.kind == "operator" and at in between:
            text = f" {text} "
        pieces.append(", " if text == "," else text)
    return "".join(pieces)
