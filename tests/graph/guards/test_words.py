"""Lists of words: how they are found, and which expressions are refused."""

import pytest
from pydantic import ValidationError

from everturn.graph.guards.settings import GuardSettings
from everturn.graph.guards.words import WrongWord, compiled


def test_words_are_found_whole_in_capitals_or_not_and_before_korean_particles() -> None:
    word = compiled("Acme")
    assert word.search("buy ACME now")
    assert not word.search("acmeology")
    assert compiled("프로젝트X").search("프로젝트X를 알려줘")
    assert compiled("C++").search("I like C++!")


@pytest.mark.parametrize(
    "expression", [r"/secret-\d{4}/", r"/colou?r/", r"/[a-z*+]{1,5}@x\.y/", "/a|b/"]
)
def test_expressions_with_an_end_are_taken(expression: str) -> None:
    compiled(expression)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("/(a+)+b/", "repeats without end"),
        ("/a*/", "repeats without end"),
        ("/a{2,}/", "repeats without end"),
        ("/(a{0,50}){5}b/", "too many ways"),
        ("/a{0,50}a{0,50}a{0,50}b/", "too many ways"),
        (
            "/(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?(a|a)?b/",
            "ways",
        ),
        ("/a{0,500}/", "longer than 250"),
        ("/(/", "no regular expression"),
        ("/x?/", "matches an empty text"),
        ("", "1 to 250 characters"),
    ],
)
def test_expressions_that_could_take_long_are_refused(expression: str, why: str) -> None:
    with pytest.raises(WrongWord, match=why):
        compiled(expression)


@pytest.mark.parametrize(
    "values", [{"guards": "pie"}, {"guards": "injection:redact"}, {"guard_deny": '["/(a+)+/"]'}]
)
def test_wrong_settings_stop_the_start(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        GuardSettings.model_validate(values)


def test_settings_say_what_each_guard_does() -> None:
    settings = GuardSettings.model_validate({"guards": "secrets, pii:block", "guard_deny": "x"})
    assert settings.actions == {"pii": "block", "secrets": "redact", "deny": "block"}
    assert not GuardSettings.model_validate({}).on
