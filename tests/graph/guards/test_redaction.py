"""What redaction finds, and what it leaves alone."""

import pytest

from everturn.graph.guards.redaction import redact

FOUND = [
    ("Mail me at jo.doe+news@mail.example.co.kr!", "Mail me at [email]!"),
    ("이메일은 jo@example.com입니다", "이메일은 [email]입니다"),
    ("Call +82 10-1234-5678 now", "Call [phone] now"),
    ("Call +1 (555) 010-9999.", "Call [phone]."),
    ("+49 30 901820", "[phone]"),
    ("전화번호는 010-1234-5678이고", "전화번호는 [phone]이고"),
    ("01012345678로 연락", "[phone]로 연락"),
    ("02-312-3456", "[phone]"),
    ("(415) 555-2671", "[phone]"),
    ("card 4111 1111 1111 1111 exp 12/27", "card [card] exp 12/27"),
    ("4111111111111111", "[card]"),
    ("3782-822463-10005", "[card]"),
    ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [iban]."),
    ("GB82WEST12345698765432", "[iban]"),
    ("BE68 5390 0754 7034 AND MORE", "[iban] AND MORE"),
    ("주민번호 900101-1234567", "주민번호 [resident number]"),
    ("900101–1234567, 900101－1234567", "[resident number], [resident number]"),
    ("9001011234568", "[resident number]"),  # by its check digit
    ("2011153123456", "[resident number]"),  # born since there is none any more
    ("사업자등록번호: 220-81-62517", "사업자등록번호: [business number]"),
    ("면허 11-20-123456-78", "면허 [driver licence]"),
    ("여권번호는 M123A4567입니다", "여권번호는 [passport]입니다"),
    ("passport no. C01234567", "passport no. [passport]"),
    ("SSN 078-05-1120", "SSN [social security number]"),
    ("key sk-proj-abcdefghijklmnopqrstuvwx_-12", "key [key]"),
    ("evt_9f8e7d6c_Zm9vYmFyYmF6cXV4MTIz", "[key]"),
    ("ghp_" + "a1B2" * 9, "[key]"),
    ("AKIAIOSFODNN7EXAMPLE", "[key]"),
    ("xoxb-123456789012-abcdefABCDEF", "[key]"),
    ("Authorization: Bearer abcdefghij.klmnopqrst.uvw==", "Authorization: Bearer [token]"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3", "[token]"),
    ("redis://:p4ssw0rd@cache:6379/0", "redis://:[password]@cache:6379/0"),
    (
        (
            "a\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow\n"
            "-----END RSA PRIVATE KEY-----\nb"
        ),
        "a\n[private key]\nb",
    ),
    ("-----BEGIN PRIVATE KEY-----\nMIIE", "[private key]"),  # cut off
]

LEFT = [
    "4111 1111 1111 1112 is no card, by its check digit",
    "order 1234567890123456",
    "DE89 3704 0044 0532 0130 01",  # mod 97
    "XX89 3704 0044 0532 0130 00",
    "9913011234567",  # there is no thirteenth month
    "9001011234567",  # wrong check digit, without a hyphen
    "991301-1234567",
    "220-81-62518",  # wrong check digit
    "On 2026-11-29 at 10:30:00, version 1.2.3-4567",
    "000-12-3456",
    "pi is 3.14159265358979323846",
    "see https://example.com:8080/a@b and http://user@host/",
    "task-1234567890123456789012345",
    "evt_1NxYzAbCdEfGh",  # Stripe's events are no secrets
    "the sk-learn library, sk-short",
    "@decorator and a@b",
    "UUID 123e4567-e89b-12d3-a456-426614174000",
    "ISBN 978-3-16-148410-0",
    "192.168.100.200 and 10.0.0.1:5432",
    "1,234,567.89 EUR or 2,147,483,647",
    "2026-11-29T02:33:55.123456+09:00",
    "Monday to Friday, 9-18",
]


@pytest.mark.parametrize(("text", "redacted"), FOUND)
def test_what_is_found_is_named_in_its_place(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    assert redact(redacted) == redacted  # once more changes nothing


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_persons_data_can_be_left_for_logs_that_need_it() -> None:
    text = "jo@example.com AKIAIOSFODNN7EXAMPLE"
    assert redact(text, persons=False) == "jo@example.com [key]"
