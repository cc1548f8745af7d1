"""No pattern takes more than its share of time on hostile texts: twice the text, twice the time."""

from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest

from everturn.graph.characters import CharacterRefused, clean
from everturn.graph.guards.injection import SIGNS, Sign, signs_in
from everturn.graph.guards.kinds import Kind
from everturn.graph.guards.pii import PII
from everturn.graph.guards.secrets import SECRETS

SIZE = 100_000
FLAG = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
NUMBERS = [
    *("a", "1", " ", "a.", "a@", "a@a.", "1 ", "1-", "1234 ", "+1 ", "(", "-", "eyJ"),
    *("eyJaaaaaaaa.", "eyJaaaaaaaa.eyJ", "sk-", "ghp_", "://", "://a:", "://a:b", "x:y@"),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "bearer a", "DE89 ", "DE89", "passport "),
]
WORDS = [
    *("a", " ", "\n", "ignore the ", "ignore all ", "ignore everything you ", "send password "),
    *("![](http://", "include the ", "print ", "show me the ", "<!--", "system:", "act without "),
    *("new instructions ", "이전의 지시", "시스템 프롬프트", "대화 ", "you must ", "call the a "),
    *("attention ai ", "do not tell ", "ignoriere alle ", "これまで", "your previous rule "),
]
CHARACTERS = ["가", "😀", "e\u0301", "\u200b가", "\u202a", "\x0c", "🏴\U000e0067", FLAG]


def _took(work: Callable[[str], object], text: str) -> float:
    started = process_time()
    work(text)
    return process_time() - started


def _is_linear(work: Callable[[str], object], unit: str) -> bool:
    """Compare a text with one of four times its length, side by side: a square would be 16."""
    short, long = (unit * (size // len(unit)) for size in (SIZE // 4, SIZE))
    return any(_took(work, long) <= 10 * _took(work, short) + 0.05 for _ in range(3))


@pytest.mark.parametrize("kind", [*PII, *SECRETS], ids=lambda kind: str(kind.name))
def test_kinds(kind: Kind) -> None:
    slow = [unit for unit in NUMBERS if not _is_linear(lambda text: list(kind.finds(text)), unit)]
    assert not slow


@pytest.mark.slow
@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: str(sign.kind))
def test_signs(sign: Sign) -> None:
    assert not [unit for unit in WORDS if not _is_linear(sign.pattern.search, unit)]


def test_all_signs_together() -> None:
    assert not [unit for unit in WORDS[::6] if not _is_linear(signs_in, unit)]


def test_characters() -> None:
    def look(text: str) -> None:
        with suppress(CharacterRefused):
            clean(text)

    assert not [unit for unit in CHARACTERS if not _is_linear(look, unit)]
