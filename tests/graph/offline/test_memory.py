"""Questions about the conversation, in English and Korean."""

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

from everturn.graph.offline import OfflineModel

ENGLISH: list[AnyMessage] = [
    SystemMessage("You are brief."),
    HumanMessage("Calculate 6 * 7"),
    AIMessage("6 * 7 = 42"),
    HumanMessage("My name is Ann and I live in Oslo."),
    AIMessage("Noted."),
    HumanMessage("my favourite colour is green"),
    AIMessage("Fine."),
]
KOREAN: list[AnyMessage] = [
    HumanMessage("6 곱하기 7은?"),
    AIMessage("6 * 7 = 42"),
    HumanMessage("내 이름은 민수야"),
    AIMessage("반갑습니다."),
    HumanMessage("제 취미는 등산입니다."),
    AIMessage("좋네요."),
]


def _ask(history: list[AnyMessage], question: str) -> str:
    return OfflineModel().invoke([*history, HumanMessage(question)]).text


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What did I ask you first?", "“Calculate 6 * 7”"),
        ("what was my first question?", "“Calculate 6 * 7”"),
        ("What was the first thing I said?", "“Calculate 6 * 7”"),
        ("What did I just say?", "“my favourite colour is green”"),
        ("repeat what I just said", "“my favourite colour is green”"),
        ("What was my second message?", "“My name is Ann and I live in Oslo.”"),
        ("What was my 3rd message?", "“my favourite colour is green”"),
        ("What was my 9th message?", "3 earlier messages"),
        ("What did I say about Oslo?", "“My name is Ann and I live in Oslo.”"),
        ("What have I asked you so far?", "“Calculate 6 * 7”, “My name is Ann"),
        ("Summarize our conversation", "“Calculate 6 * 7”, “My name is Ann"),
        ("How many questions have I asked?", "3 messages"),
        ("What did you just say?", "“Fine.”"),
        ("What was your first answer?", "“6 * 7 = 42”"),
        ("What is my name?", "your name is Ann."),
        ("Do you remember my name?", "your name is Ann."),
        ("who am i?", "your name is Ann."),
        ("What did I say my name was?", "your name is Ann."),
        ("What's my favorite color?", "your favorite color is green."),
        ("What is my age?", "not told me your age"),
        ("My age is 30. What is my age?", "your age is 30."),
    ],
)
def test_english(question: str, answer: str) -> None:
    assert answer in _ask(ENGLISH, question)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("내가 처음에 뭐라고 했지?", "“6 곱하기 7은?”"),
        ("제가 맨 먼저 뭘 물어봤죠?", "“6 곱하기 7은?”"),
        ("내 첫 번째 질문이 뭐였지?", "“6 곱하기 7은?”"),
        ("방금 내가 뭐라고 했어?", "“제 취미는 등산입니다.”"),
        ("두 번째 질문이 뭐였지?", "“내 이름은 민수야”"),
        ("네가 방금 뭐라고 했어?", "“좋네요.”"),
        ("내 이름이 뭐야?", "민수"),
        ("제 이름을 기억하세요?", "민수"),
        ("내 취미가 뭐였지?", "등산"),
        ("내가 누구야?", "민수"),
        ("내 나이가 뭐야?", "아직 말씀하지 않으셨습니다: 나이"),
        ("지금까지 내가 질문을 몇 번 했지?", "3개"),
    ],
)
def test_korean(question: str, answer: str) -> None:
    assert answer in _ask(KOREAN, question)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What did I ask you first?", "no earlier message"),
        ("What did you say?", "no earlier answer"),
        ("What is my name?", "not told me your name"),
        ("How many messages have I sent?", "0 messages"),
        ("내가 처음에 뭐라고 했지?", "보이지 않습니다"),
    ],
)
def test_nothing_was_said_before(question: str, answer: str) -> None:
    assert answer in _ask([], question)


def test_the_latest_word_counts() -> None:
    history: list[AnyMessage] = [HumanMessage("My name is Ann"), HumanMessage("Call me Bea.")]
    assert "Bea" in _ask(history, "What is my name?")


def test_what_is_told_is_noted() -> None:
    assert "your name is Ann" in _ask([], "Hi, my name is Ann.")
    assert "이름: 민수" in _ask([], "안녕하세요, 제 이름은 민수입니다.")


def test_a_question_about_memory_calls_no_tool() -> None:
    search = {
        "name": "search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    }
    bound = OfflineModel().bind_tools([search])
    for question in ("What is my name?", "What did I ask you first?", "내 이름이 뭐야?"):
        assert bound.invoke([*ENGLISH, HumanMessage(question)]).tool_calls == []


def test_memory_and_a_calculation_side_by_side() -> None:
    calculator = {
        "name": "calculator",
        "description": "Calculate.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
    }
    bound = OfflineModel().bind_tools([calculator])
    asked = [*ENGLISH, HumanMessage("What is my name? What is 2 + 2?")]
    (call,) = bound.invoke(asked).tool_calls
    assert call["args"] == {"expression": "2 + 2"}


def test_a_long_message_is_quoted_in_part() -> None:
    answer = _ask([HumanMessage("word " * 1000)], "What did I just say?")
    assert len(answer) < 400
    assert answer.endswith("…”")
