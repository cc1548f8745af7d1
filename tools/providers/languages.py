"""Guessing a text's language from its letters: enough to choose a Wikipedia."""

from collections import Counter
from unicodedata import name

_OF_SCRIPTS = {
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my",
    "TIBETAN": "bo",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "ETHIOPIC": "am",
}
_BY_LETTERS = {"uk": "іїєґ", "fa": "پچژگ", "sr": "ђћџ"}
"""Letters that only one of the languages with a script uses much."""


def language_of(text: str) -> str:
    """Return the code of a text's language by its script: `en` for Latin letters."""
    scripts = Counter(name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    found = [
        (count, _OF_SCRIPTS[script]) for script, count in scripts.items() if script in _OF_SCRIPTS
    ]
    if not found or max(found)[0] * 2 < scripts["LATIN"]:
        return "en"
    languages = {language for _, language in found}
    if "ja" in languages:
        return "ja"  # Japanese is written with Chinese characters too
    language = max(found)[1]
    lower = text.lower()
    for other, letters in _BY_LETTERS.items():
        if language == _OF_SCRIPTS[name(letters[0]).partition(" ")[0]] and set(letters) & set(
            lower
        ):
            return other
    return language
