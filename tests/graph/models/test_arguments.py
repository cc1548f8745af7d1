"""Arguments as models write them: what is read, what is the model's mistake, what is no JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everturn.graph.models.arguments import MAX_CHARACTERS, MAX_DEPTH, Bound, read

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


def nested(levels: int) -> str:
    return '{"x": ' * (levels - 1) + "{}" + "}" * (levels - 1)


@pytest.mark.parametrize("text", ["", "{}", "null", " null "])
def test_no_arguments_have_several_forms(text: str) -> None:
    assert read(text) == ({}, None)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('{"a": 9223372036854775807, "b": 1.5e300}', {"a": 2**63 - 1, "b": 1.5e300}),
        ('{"a": "\\ud83d\\ude00", "b": "[{[{"}', {"a": "\U0001f600", "b": "[{[{"}),
    ],
)
def test_what_every_place_takes_is_read(text: str, args: dict[str, object]) -> None:
    assert read(text) == (args, None)


def test_the_deepest_arguments_that_are_taken() -> None:
    assert read(nested(MAX_DEPTH))[1] is None
    assert "nested" in str(read(nested(MAX_DEPTH + 1))[1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"n": 9223372036854775808}', "n: the number is too large"),
        ('{"n": -' + "9" * 10_000 + "}", "n: the number is too large"),
        ('{"a": {"b": [0, NaN]}}', "a.b[1]: NaN"),
        ('{"n": 1e999}', "n: NaN and Infinity"),
        ('{"s": "\\ud83d"}', "s: there is half a character (\\ud83d)"),
        ('{"\\ude00": 1}', "in its name, there is half a character (\\ude00)"),
        ('{"s": "a\\u0000b"}', "s: there is a NUL character"),
        ('{"a": 1, "a": 1}', "a: it is given more than once"),
        ('{"a": {"b": 1, "b": 2}}', "b: it is given more than once"),
        ("[1]", "they must be a JSON object, not a list"),
        ('"text"', "not a text"),
        ("true", "not true or false"),
        ("7", "not a number"),
        (nested(300), "nested more than 32 levels"),
        ("[" * 100_000, "nested more than 32 levels"),
        ('{"s": "' + "y" * 3_000_000 + '"}', f"longer than {MAX_CHARACTERS} characters"),
    ],
)
def test_a_mistake_is_named_by_its_argument(text: str, says: str) -> None:
    args, flaw = read(text)
    assert says in str(flaw)
    json.dumps(args)


@pytest.mark.parametrize("text", ['{"a": 1', "{'a': 1}", '{"a": 1}}', "{", "yes"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        read(text)


@given(_json, st.data())
def test_a_bound_lets_through_what_is_within_it_however_it_is_cut(
    value: object, data: st.DataObject
) -> None:
    text = json.dumps({"a": value, '\\"[': '"\\'})
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    bound = Bound()
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(map(bound.feed, pieces)) == text
    assert bound.flaw is None


@pytest.mark.parametrize("text", ["[" * 500, '{"s": "' + "y" * 600_000])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_bound_stops_a_text_where_its_reader_sees_that_it_did(text: str, size: int) -> None:
    bound = Bound()
    kept = "".join(bound.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert len(kept) in {MAX_DEPTH + 1, MAX_CHARACTERS + 1}
    assert read(kept) == ({}, bound.flaw)


def test_a_text_that_is_no_json_is_noticed_before_it_is_long() -> None:
    broken = '{"code": "say "hi" to them' + " and so on" * 10_000
    bound = Bound()
    kept = "".join(bound.feed(broken[at : at + 6]) for at in range(0, len(broken), 6))
    assert bound.broken
    assert len(kept) < 1000


@given(_json)
def test_no_beginning_of_json_is_taken_for_broken(value: object) -> None:
    text = json.dumps([value, -1.5e-300, True, False, None, float("inf"), -float("inf"), "ü"] * 40)
    bound = Bound()
    assert "".join(map(bound.feed, text)) == text
    assert not bound.broken
