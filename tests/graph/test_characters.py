"""Which characters are taken, refused and left out, and that texts of people pass unharmed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everturn.graph.characters import MAX_MARKS, CharacterRefused, clean

PEOPLE = [
    "Hello, world!\n\tTab and line\r\n",
    "안녕하세요, 만나서 반갑습니다. 한글 ㅋㅋㅋ",
    unicodedata.normalize("NFD", "한글과 프랑스어 à la carte, Tiếng Việt, ṩ"),
    "مرحبا بالعالم، كيف حالك؟ بِسْمِ ٱللَّهِ ٱلرَّحْمَٰنِ",
    "שָׁלוֹם עוֹלָם בְּרֵאשִׁית",
    "می‌خواهم",  # a Persian non-joiner
    "ราคาเท่าไหร่ครับ น้ำ",
    "क्षत्रिय हिन्दी",
    "བོད་སྐད་ རྒྱུ",
    "👩‍👩‍👧‍👦 👨🏽‍🚀 🏳️‍🌈 🏴‍☠️ ❤️ 1️⃣ 🇰🇷",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🏴󠁧󠁢󠁷󠁬󠁳󠁿",
    "漢字と葛󠄀城市",  # with an ideographic variation
    "\u2067עברית\u2069 in English \u200e!",
    "½ × √2 ≈ 0.7 — “quoted” … ﷽",
    "\ufeffA byte order mark, and soft\u00adhyphens",
]


@pytest.mark.parametrize("text", PEOPLE)
def test_what_people_write_passes_unchanged(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a\0b", "U+0000 at character 2: control"),
        ("\x1b[31mred", "U+001B at character 1: control"),
        ("한글\x07", "U+0007 at character 3: control"),
        ("a\x7f", "U+007F"),
        ("caf\x9d", "U+009D"),
        (
            "Hi" + "".join(chr(0xE0000 + ord(c)) for c in "obey"),
            "U+E006F (Tag Latin Small Letter O)",
        ),
        ("\U000e0001", "U+E0001"),
        ("🏴" + "".join(chr(0xE0000 + ord(c)) for c in "obey\x7f"), "U+E006F"),  # no such flag
        ("half \ud83d", "U+D83D at character 6: it is half"),
        ("Z" + "\u0336\u0327" * 6, "marks on one letter"),
        ("ก" + "็" * 20, "marks on one letter"),
        ("ok" + "\u200b\u200c" * 8, "invisible characters in a row"),
        ("😀" + "".join(chr(0xE0100 + n) for n in b"secret payload"), "invisible"),
    ],
)
def test_what_nobody_types_is_refused_by_name_and_place(text: str, named: str) -> None:
    with pytest.raises(CharacterRefused) as refused:
        clean(text)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("\u202aC:\\Users\\jo", "C:\\Users\\jo"),  # as Windows copies a path
        ("\u202d+82 10\u202c", "+82 10"),  # as iOS copies a number
        ("user\u202etxt.exe", "usertxt.exe"),
        ("page\x0cpage\x0bline\x85end", "page\npage\nline\nend"),
    ],
)
def test_what_comes_along_when_people_copy_is_left_out(text: str, taken: str) -> None:
    assert clean(text) == taken


def test_a_letter_may_have_as_many_marks_as_any_script_writes() -> None:
    assert clean("e" + "\u0301" * MAX_MARKS)
    with pytest.raises(CharacterRefused):
        clean("e" + "\u0301" * (MAX_MARKS + 1))


@given(st.text())
def test_what_was_taken_once_is_taken_again_as_it_is(text: str) -> None:
    try:
        taken = clean(text)
    except CharacterRefused:
        return
    assert clean(taken) == taken
