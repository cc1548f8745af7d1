"""Data of persons: e-mail addresses, telephone, card and account numbers, and numbers of the state.

Patterns where a number is written as people write it; checksums wherever there are any.
"""

from everturn.graph.guards.checksums import HYPHENS, iban_end, is_business, is_card, is_resident
from everturn.graph.guards.kinds import kind

_ALONE, _ENDS = r"(?<![\w.+-])", r"(?![\w-])"
_DOCUMENT = r"(?:[Pp]assport|PASSPORT|여권)[^\n\d]{0,20}?(?<![A-Za-z0-9])"

PII = (
    kind(
        "email",
        r"(?<![\w.+%-])[A-Za-z0-9_][\w.+%-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
    ),
    # Looked at without being taken up: digits before an account or a card may look like its start.
    kind("iban", r"(?<!\w)(?=(?P<found>[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}))", end=iban_end),
    kind(
        "card",
        rf"{_ALONE}(?=(?P<found>\d{{13,19}}|\d{{4}}(?P<by>[ -])\d{{4}}(?P=by)\d{{4}}(?P=by)\d{{4}}"
        rf"(?:(?P=by)\d{{3}})?|\d{{4}}(?P<sep>[ -])\d{{6}}(?P=sep)\d{{4,5}}){_ENDS})",
        is_card,
    ),
    # Korea: 주민등록번호 and 외국인등록번호, 사업자등록번호, 운전면허번호.
    kind("resident number", rf"(?<![\w-])\d{{6}}[{HYPHENS} ]?[1-8]\d{{6}}(?![\w-])", is_resident),
    kind("business number", r"(?<![\w-])\d{3}-\d{2}-\d{5}(?![\w-])", is_business),
    kind("driver licence", r"(?<![\w-])(?:1[1-9]|2[0-8])-\d{2}-\d{6}-\d{2}(?![\w-])"),
    kind("passport", _DOCUMENT + r"(?P<found>[A-Z]\d{3}[A-Z]\d{4}|[A-Z]{0,2}\d{7,9})\b"),
    kind(
        "social security number", r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])"
    ),
    # E.164; then as Korea and North America write them at home.
    kind("phone", r"(?<![\w+])\+[1-9](?:[ .()-]{0,2}\d){7,14}(?!\d)"),
    kind("phone", r"(?<![\w.-])01[016789](?:[-. ]?)\d{3,4}[-. ]?\d{4}(?![\w-])"),
    kind("phone", r"(?<![\w.-])(?:\(0\d{1,2}\) ?|0\d{1,2}[-. ])\d{3,4}[-. ]\d{4}(?![\w-])"),
    kind("phone", r"(?<![\w.-])(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])[2-9]\d\d[-.]\d{4}(?![\w-])"),
)
