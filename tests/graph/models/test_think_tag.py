"""Reasoning between tags: the same however the answer is split, and nothing is ever lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everturn.graph.models.think_tag import ThinkTag


def read(*pieces: str) -> tuple[str, str]:
    """Return the answer and the reasoning of a text in pieces."""
    tag = ThinkTag()
    parts = [*map(tag.feed, pieces), tag.close()]
    return "".join(answer for answer, _ in parts), "".join(thought for _, thought in parts)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("Hello.", "Hello.", ""),
        ("<think>Hm.</think>\n\nHello.", "Hello.", "Hm."),
        (" \n<think></think> Hello.", "Hello.", ""),
        ("<think>a</think>b</think>c", "b</think>c", "a"),
        ("<think>It ends here", "", "It ends here"),
        ("<think>It ends </thi", "", "It ends </thi"),
        ("<thinking>is another word", "<thinking>is another word", ""),
        ("In HTML: <think>", "In HTML: <think>", ""),
        ("  <thi", "  <thi", ""),
        ("", "", ""),
    ],
)
def test_only_what_stands_in_front_of_the_answer_is_reasoning(
    text: str, answer: str, reasoning: str
) -> None:
    assert read(text) == (answer, reasoning)
    assert read(*text) == (answer, reasoning)


PARTS = st.lists(st.sampled_from(["<think>", "</think>", "<", "</", "think>", "a", " ", "\n"]))


@given(PARTS, st.lists(st.integers(0, 40)))
def test_a_text_is_read_the_same_however_it_is_split(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    assert read(*(text[a:b] for a, b in pairwise(edges))) == read(text)


@given(st.text().filter(lambda text: not text.lstrip().startswith("<think>")))
def test_a_text_without_the_tag_is_the_answer(text: str) -> None:
    assert read(*text) == (text, "")
