import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everturn.tools.providers.arithmetic import MAX_LENGTH, CalculationError, evaluate
from everturn.tools.providers.arithmetic.functions import FUNCTIONS
from everturn.tools.providers.arithmetic.limits import MAX_DEPTH, MAX_DIGITS, MAX_TOKENS

TOO_LARGE = "too large"
REFUSED = {
    # costs
    "9**9**9": TOO_LARGE,
    "9^9^9^9": TOO_LARGE,
    "10**10**10 % 3": TOO_LARGE,
    "2 ** 1e9": TOO_LARGE,
    "(10**999) * 10": TOO_LARGE,
    "10 ** 1000": TOO_LARGE,
    "-(10 ** 999) * 10": TOO_LARGE,
    "pow(10, 10 ** 6)": TOO_LARGE,
    "factorial(10**6)": TOO_LARGE,
    "factorial(451)": TOO_LARGE,
    "factorial(10**500)": TOO_LARGE,
    "perm(10**6)": TOO_LARGE,
    "perm(10**6, 10**5)": TOO_LARGE,
    "comb(10**6, 5 * 10**5)": TOO_LARGE,
    "comb(10**900, 10**800)": TOO_LARGE,
    "lcm(2**3300 + 1, 2**3299 + 1)": TOO_LARGE,
    "exp(1000)": TOO_LARGE,
    "gamma(200)": TOO_LARGE,
    "round(5, -10**9)": "whole number of digits",
    "round(1.5e308, -308)": TOO_LARGE,
    # no finite, real answer
    "1e308 * 10": TOO_LARGE,
    "1e308 + 1e308": TOO_LARGE,
    "1e999": TOO_LARGE,
    "1e308 // 1e-308": TOO_LARGE,
    "10**400 * 1.0": TOO_LARGE,
    "10**400 / 3": TOO_LARGE,
    "(-8) ^ (1/3)": "not a real number",
    "sqrt(-1)": "sqrt is not defined",
    "log(0)": "log is not defined",
    "acos(2)": "acos is not defined",
    "factorial(-1)": "factorial is not defined",
    "factorial(2.5)": "factorial takes whole numbers",
    "gcd(1.5, 3)": "gcd takes whole numbers",
    "comb(5, 2.5)": "comb takes whole numbers",
    "1 / 0": "division by zero",
    "1 // 0": "division by zero",
    "1 % 0": "division by zero",
    "1.5 % 0.0": "division by zero",
    "0 ** -1": "division by zero",
    "log(8, 1)": "division by zero",
    "nan": "unknown name 'nan'",
    "inf": "unknown name 'inf'",
    "infinity": "unknown name 'infinity'",
    # what is no arithmetic
    "__import__('os').system('id')": "unknown name|unexpected",
    "().__class__": "unexpected '.' at character 3|unexpected '\\)'",
    "math.sqrt(2)": "unexpected '.' at character 5: .*sqrt\\(2\\)",
    "(1).real": "unexpected '.'",
    "'a' * 9": "there is no text",
    '"a"': "there is no text",
    "[1, 2]": "there are no lists",
    "[x for x in 1]": "there are no lists",
    "{1: 2}": "there are no sets",
    "lambda: 0": "unexpected ':'",
    "open(1)": "unknown name 'open'",
    "eval(1)": "unknown name 'eval'",
    "abs": "expected '\\('",
    "sqrt": "expected '\\('",
    "2 if 1 else 3": "unexpected 'if'",
    "1 and 2": "unexpected 'and'",
    "x := 3": "unexpected ':'",
    "y = 3": "unexpected '='",
    "~1": "unexpected '~'",
    "1 << 3": "unexpected '<'",
    "5 & 3": "unexpected '&'",
    "1; 2": "unexpected ';'",
    "1 # 2": "unexpected '#'",
    "3j": "unexpected 'j'",
    "0x1F": "unexpected 'x1f'",
    "$5": "unexpected '\\$'",
    # mistakes, named where they are
    "": "empty",
    " \n\t ": "empty",
    "1 +": "ends too early",
    "(1": "expected '\\)' at character 3, found the end",
    "1)": "unexpected '\\)' at character 2",
    "()": "unexpected '\\)' at character 2",
    "* 3": "unexpected '\\*' at character 1",
    "2 3": "unexpected '3' at character 3",
    "2(3)": "unexpected '\\(' at character 2: write \\* to multiply",
    "3 x 4": "unexpected 'x' at character 3: write \\* to multiply",
    "2pi": "unexpected 'pi' at character 2",
    "1 = 1": "compare with '=='",
    "1..2": "unexpected '.2'",
    "1.2.3": "unexpected '.3'",
    "1__0": "unexpected '__0'",
    "5%%": "unexpected '%'",
    "% 5": "unexpected '%'",
    "of 5": "unknown name 'of'",
    "3 of 5": "unexpected 'of'",
    "sqrt()": "sqrt takes 1 argument, not 0",
    "sqrt(1, 2)": "sqrt takes 1 argument, not 2",
    "pow(2, 3, 5)": "pow takes 2 arguments, not 3",
    "log(1, 2, 3)": "log takes 1 to 2 arguments, not 3",
    "max()": "max takes 1 or more arguments, not 0",
    "max(1,": "ends too early",
    "max(,1)": "unexpected ','",
    # commas and zeros that mean different things to different people
    "0,5": "decimals take a point",
    "1,5": "decimals take a point",
    "1,00": "decimals take a point",
    "1,0000": "decimals take a point",
    "12,34,567": "decimals take a point",
    "1.000,5": "decimals take a point",
    "1 000": "starts with a zero|unexpected",
    "(1, 2)": "expected '\\)'",
    "max(1,000)": "starts with a zero",
    "sqrt(1,200)": "sqrt takes 1 argument, not 2",
    "max(1,200, 1,500)": "ambiguous commas",
    "max(7, 1,500)": "ambiguous commas",
    "007": "'007' at character 1 starts with a zero",
    # strange characters
    "1\x000": "unexpected '\\\\x00'",
    "٣ + ٤": "unexpected '٣'",
    "１ + 1": "unexpected '１'",
    "²": "unexpected '²'",
    "ｓｑｒｔ(4)": "unexpected 'ｓ'",
    "\ud800": "unexpected '\\\\ud800'",
    "1 +\u202e 2": "unexpected '\\\\u202e'",
    # shapes
    "(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1): "nested too deeply",
    "-" * MAX_DEPTH + "1": "nested too deeply",
    "2^" * MAX_DEPTH + "2": "nested too deeply",
    "abs(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH: "nested too deeply",
    "(" * 900: "nested too deeply|too many parts",
    "1+" * (MAX_TOKENS // 2) + "1": "too many parts",
    "9" * (MAX_LENGTH + 1): "too long",
    " " * 10**6: "too long",
    "1" + "+1" * 10**6: "too long",
}


@pytest.mark.parametrize(("expression", "reason"), REFUSED.items(), ids=lambda text: text[:30])
def test_the_table(expression: str, reason: str) -> None:
    with pytest.raises(CalculationError, match=reason) as refused:
        evaluate(expression)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    "expression",
    [
        "(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1),
        "1" + "+1" * (MAX_TOKENS // 2 - 1),
        "1" + "<1" * (MAX_TOKENS // 2 - 1),
        "9" * MAX_DIGITS,
        "10 ** 999",
        "1" + " " * (MAX_LENGTH - 2) + " ",
    ],
    ids=lambda text: text[:10],
)
def test_what_lies_just_inside_the_caps_is_answered(expression: str) -> None:
    expected = eval(expression.strip())
    assert evaluate(expression) == expected


def test_the_deepest_tree_leaves_room_for_its_callers() -> None:
    deepest = "(" * (MAX_DEPTH - 1) + "1" + "+1" * 150 + ")" * (MAX_DEPTH - 1)

    def called_from(frames: int) -> float:
        return called_from(frames - 1) if frames else evaluate(deepest)

    assert called_from(frames=400) == 151


PIECES = st.sampled_from(
    [
        *["1e308", "1e-308", "10", "999", ".5", "1,000", "1_0", "007", "9999999999"],
        *["**", "//", "<=", "==", "!=", ">=", "of", "e", "pi"],
        *"0123+-*/%^<>(),×÷−πτ",
        *(f"{name}(" for name in FUNCTIONS),
        *"\"'.[]{}=\x00\ud800\n ٣",
        *["lambda", "__class__"],
    ]
)


def _ends_well(expression: str) -> None:
    try:
        result = evaluate(expression)
    except CalculationError:
        return
    assert isinstance(result, int | float)
    assert -(10**MAX_DIGITS) < result < 10**MAX_DIGITS
    assert isinstance(result, int) or math.isfinite(result)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_pieces_of_arithmetic_in_any_order_end_well(expression: str) -> None:
    _ends_well(expression)


@given(st.text(max_size=200))
def test_any_text_ends_well(expression: str) -> None:
    _ends_well(expression)


LARGE = st.sampled_from(
    [
        *["0", "-1", "2", "3.5", "449", "3000", "10^6"],
        *["10^400", "(10^999)", "(2^3321-1)", "1e308", "5e-324"],
    ]
)


@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(LARGE, min_size=1, max_size=4))
def test_functions_of_extreme_numbers_end_well(name: str, arguments: list[str]) -> None:
    _ends_well(f"{name}({', '.join(arguments)})")


@given(LARGE, st.sampled_from(["+", "-", "*", "/", "//", "%", "^", "^-", "<"]), LARGE)
def test_operations_on_extreme_numbers_end_well(left: str, sign: str, right: str) -> None:
    _ends_well(f"({left}) {sign} ({right})")
