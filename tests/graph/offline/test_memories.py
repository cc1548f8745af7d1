"""What the offline model takes for a wish about long-term memory."""

import pytest
from langchain_core.messages import HumanMessage

from everturn.graph.offline.calls import bound_tools
from everturn.graph.offline.memories import Wish, wish
from everturn.graph.offline.turn import Answer, take_turn
from everturn.tools import tool_schemas


@pytest.mark.parametrize(
    ("said", "deed", "what"),
    [
        ("remember that I like tea", "remember", "I like tea"),
        ("Please remember: my dog is Rex.", "remember", "my dog is Rex"),
        ("Could you remember my birthday is May 3", "remember", "my birthday is May 3"),
        ("Don't forget that I leave on Friday!", "remember", "I leave on Friday"),
        ("내가 땅콩 알레르기가 있다는 걸 기억해 줘", "remember", "내가 땅콩 알레르기가 있다"),
        ("기억해: 내 생일은 5월 3일", "remember", "내 생일은 5월 3일"),
        ("나는 커피를 못 마신다는 것을 기억해줘.", "remember", "나는 커피를 못 마신다"),
        ("what do you know about me?", "recall", ""),
        ("What do you still remember?", "recall", ""),
        ("do you remember my name?", "recall", "my name"),
        ("나에 대해 뭘 알고 있어?", "recall", ""),
        ("내 생일 기억하고 있어?", "recall", "내 생일"),
        ("forget that I like tea", "forget", "I like tea"),
        ("내 생일을 잊어 줘", "forget", "내 생일"),
        ("차를 좋아한다는 건 잊어 줘", "forget", "차를 좋아한다"),
        ("그 물건 잊어 줘", "forget", "그 물건"),
    ],
)
def test_a_wish(said: str, deed: str, what: str) -> None:
    found = wish(said)
    assert found is not None
    assert (found.deed, found.what) == (deed, what)


@pytest.mark.parametrize(
    "said",
    [
        *("", "hello", "forget it", "forget everything", "remember me", "remember?"),
        "Can you remember my first question?",
        "What is the weather in Seoul?",
        "Do you know the way to San Jose?",
        "전부 잊어 줘",
        "서울 날씨 어때?",
    ],
)
def test_no_wish(said: str) -> None:
    assert wish(said) is None


def test_with_other_wishes() -> None:
    tools = bound_tools(tool_schemas())
    said = "Remember that I like tea and what is 2 + 2?"
    answer = take_turn([HumanMessage(said)], tools, tools, must=False)
    assert [(call.tool, call.arguments) for call in answer.calls] == [
        ("remember", {"text": "I like tea"}),
        ("calculator", {"expression": "2 + 2"}),
    ]


def test_without_the_tools_it_is_noted_for_the_conversation() -> None:
    answer = take_turn([HumanMessage("Remember that my name is Ann")], [], [], must=False)
    assert answer == Answer("Noted for this conversation: your name is Ann.")


def test_a_wish_is_what_it_says() -> None:
    assert wish("remember that I like tea") == Wish("remember", "I like tea")
