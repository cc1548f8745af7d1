"""Characters that nobody types: which are refused, and which are left out.

Refused: what is invisible and can carry words past a reader (tag characters, long rows of others),
controls that terminals and logs obey, halves of characters, and letters buried under marks. Left
out: marks that reverse how a text is shown, which come along when a path or a number is copied.
Everything that people write passes unchanged: all scripts, emoji and their flags, U+200E and
U+200F, and the isolates U+2066 to U+2069 of texts in two directions (https://www.unicode.org/reports/tr9/).
"""

import re
import unicodedata

MAX_MARKS = 10
"""On one letter; the most that a script is written with are five or six."""
MAX_INVISIBLE = 8
"""In a row, and no more taken; joined emoji and Persian have one or two between two letters."""

_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_INVISIBLE = (
    "\u00ad\u034f\u180b-\u180e\u200b-\u200d\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef"
)

_FLAGS = re.compile(
    "\U0001f3f4\U000e0067\U000e0062(?:{})\U000e007f".format(
        "|".join(
            "".join(chr(0xE0000 + ord(each)) for each in land) for land in ("eng", "sct", "wls")
        )
    )
)
"""England, Scotland and Wales, whose flags are spelt in tag characters (UTS #51, annex C)."""
_REPLACED = re.compile("[\x0b\x0c\x85\u202a-\u202e]")
"""Word's line break, a page's end in copied documents, a line's end of mainframes; directions."""
_ASCII_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_REFUSED = re.compile(
    "(?P<control>[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f])"
    "|(?P<tag>[\U000e0000-\U000e007f])"
    "|(?P<half>[\ud800-\udfff])"
    f"|(?P<marks>[{_MARKS}]{{{MAX_MARKS + 1}}})"
    f"|(?P<invisible>[{_INVISIBLE}]{{{MAX_INVISIBLE}}})"
)
_WHY = {
    "control": "control characters are not taken",
    "tag": "tag characters are invisible, and not taken outside of flags",
    "half": "it is half a character: write the whole one",
    "marks": f"more than {MAX_MARKS} marks on one letter are not taken",
    "invisible": f"{MAX_INVISIBLE} invisible characters in a row are not taken",
}


class CharacterRefused(ValueError):
    """A text holds a character that is not taken; says which, where, and why."""


def clean(text: str) -> str:
    """Return a text as it is taken: most often the same.

    Raises:
        CharacterRefused: naming the first character that is not taken.
    """
    if text.isascii() and not _ASCII_CONTROL.search(text):
        return text
    text = _REPLACED.sub(lambda found: "" if found[0] >= "\u202a" else "\n", text)
    looked_at = _FLAGS.sub(lambda flag: "-" * len(flag[0]), text)
    if found := _REFUSED.search(looked_at):
        at, why = found.start(), _WHY[found.lastgroup or "control"]
        raise CharacterRefused(f"{_named(text[at])} at character {at + 1}: {why}")
    return text


def _named(character: str) -> str:
    name = unicodedata.name(character, "").title()
    return f"U+{ord(character):04X}{f' ({name})' if name else ''}"
