"""Numbers that prove themselves: their check digits, and the dates that they hold."""

from datetime import date

_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 "
    "EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 "
    "IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 "
    "NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 "
    "TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTHS = {each[:2]: int(each[2:]) for each in _IBANS.split()}
"""By country, as SWIFT's IBAN registry has them."""

HYPHENS = "-\u2010-\u2013\uff0d"
"""As a class of a pattern: those that stand in numbers, with the dash and the wide one of Korea."""
_RRN_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_BUSINESS_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)
_NO_CHECKSUM_SINCE = date(2020, 10, 1)
"""Numbers given out since then end in random digits (주민등록법 시행규칙, 2020)."""


def digits(text: str) -> str:
    """Leave out what separates digits."""
    return "".join(character for character in text if character.isdigit())


def is_card(text: str) -> bool:
    """Say whether digits are a card's: by issuer, length, and Luhn's check (ISO/IEC 7812)."""
    number = digits(text)
    return len(number) in _card_lengths(number) and luhn(number)


def luhn(number: str) -> bool:
    """Check the last digit of a number by Luhn's rule."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2])
    return (sum(map(int, number[-1::-2])) + sum(doubled)) % 10 == 0


def _card_lengths(number: str) -> tuple[int, ...]:
    two, four = int(number[:2]), int(number[:4])
    if number[0] == "4":
        return (13, 16, 19)
    if two in {34, 37}:
        return (15,)
    if two in {36, 38} or 3000 <= four <= 3059:  # noqa: PLR2004 - ranges of issuers
        return (14,)
    if 51 <= two <= 55 or 2221 <= four <= 2720 or 3528 <= four <= 3589:  # noqa: PLR2004 - the same
        return (16,)
    return (16, 17, 18, 19) if two in {60, 62, 64, 65} else ()


def iban_end(text: str) -> int:
    """Return where the IBAN ends that a text begins with; 0: it begins with none (ISO 13616)."""
    length = _IBAN_LENGTHS.get(text[:2], 0)
    kept = ""
    for at, character in enumerate(text):
        kept += character if character != " " else ""
        if len(kept) == length:
            number = "".join(str(int(each, 36)) for each in kept[4:] + kept[:4])
            ends = not text[at + 1 : at + 2].isalnum()
            return at + 1 if ends and int(number) % 97 == 1 else 0
    return 0


def is_resident(text: str) -> bool:
    """Say whether digits are a Korean resident registration number (주민등록번호).

    Foreigners have such numbers, too. The date must be one. The check digit counts where the
    number is written without its hyphen, unless the person was born since there is none any more.
    """
    number = digits(text)
    century = 1900 if number[6] in "1256" else 2000
    try:
        born = date(century + int(number[:2]), int(number[2:4]), int(number[4:6]))
    except ValueError:
        return False
    if not text.replace(" ", "").isdigit() or born >= _NO_CHECKSUM_SINCE:
        return True
    total = sum(int(digit) * by for digit, by in zip(number, _RRN_WEIGHTS, strict=False))
    foreigners = 2 if number[6] in "5678" else 0
    return ((11 - total % 11) % 10 + foreigners) % 10 == int(number[12])


def is_business(text: str) -> bool:
    """Say whether digits are a Korean business registration number (사업자등록번호)."""
    number = digits(text)
    total = sum(int(digit) * by for digit, by in zip(number, _BUSINESS_WEIGHTS, strict=False))
    return (10 - (total + int(number[8]) * 5 // 10) % 10) % 10 == int(number[9])
