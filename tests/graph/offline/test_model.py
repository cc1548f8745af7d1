"""The offline model as LangChain and LangGraph see it: messages, streams, usage, whole turns."""

import asyncio
import json
import math
from functools import reduce
from operator import add
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from pydantic import ValidationError

from everturn.graph.offline import OfflineModel
from everturn.graph.offline.calls import MAX_CALLS
from everturn.tools import load_tools

THREE = "Calculate 10 * 20 and tell me the weather in Paris, and search for LangGraph"

# What LangGraph calls the third version of its event stream is a beta, with a warning.
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


@tool
def flip(side: str) -> dict[str, Any]:
    """Flip something."""
    return {"side": side, "turns": [1, 2], "height_m": 1.0, "nothing": None}


def _agent(model: OfflineModel | None = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    tools = [*load_tools(), flip]
    bound = (model or OfflineModel()).bind_tools(tools)

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def after(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

    builder = StateGraph(MessagesState)
    builder.add_node("model", ask)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", after, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile()


async def _turn(text: str) -> list[AnyMessage]:
    done = await _agent().ainvoke({"messages": [HumanMessage(text)]})
    messages: list[AnyMessage] = done["messages"]
    return messages


def _after_tool(content: str, name: str = "calculator", **kwargs: Any) -> str:
    """Return what the model says when one call has come back with `content`."""
    call = {"name": name, "args": {"about": "this"}, "id": "call_1"}
    messages = [
        HumanMessage("Calculate 10 * 20"),
        AIMessage("", tool_calls=[call]),
        ToolMessage(content, tool_call_id="call_1", **kwargs),
    ]
    return OfflineModel().bind_tools(load_tools()).invoke(messages).text


# --- Whole turns with the project's own tools ---


@pytest.mark.parametrize(
    ("text", "tools", "said"),
    [
        ("Calculate 10 * 20", ["calculator"], "10 * 20 = 200"),
        ("what's 15% of 80?", ["calculator"], "= 12"),
        ("3 더하기 4는?", ["calculator"], "3 + 4 = 7"),
        ("calculate 1/0", ["calculator"], "division by zero"),
        ("서울 날씨 어때?", ["weather"], "서울 날씨"),
        ("weather in Rome in fahrenheit", ["weather"], "°F"),
        ("search for LangGraph", ["search"], "1. LangGraph"),
        ("LangGraph에 대해 검색해줘", ["search"], "“LangGraph” 검색 결과"),
        ("flip(up)", ["flip"], "flip: side up, turns 1; 2, height m 1"),
        (THREE, ["calculator", "weather", "search"], "10 * 20 = 200\nWeather in Paris"),
    ],
)
async def test_a_turn(text: str, tools: list[str], said: str) -> None:
    _, called, *results, answer = await _turn(text)
    assert isinstance(called, AIMessage)
    assert [call["name"] for call in called.tool_calls] == tools
    assert [result.tool_call_id for result in results if isinstance(result, ToolMessage)] == [
        call["id"] for call in called.tool_calls
    ]
    assert said in answer.text
    assert called.response_metadata["finish_reason"] == "tool_calls"
    assert answer.response_metadata == {"model_name": "offline", "finish_reason": "stop"}


async def test_sample_data_is_marked_once() -> None:
    answer = (await _turn("weather in Rome and Oslo"))[-1].text
    assert answer.count("Sample data, made up") == 1
    assert "표본 데이터" in (await _turn("서울 날씨 어때?"))[-1].text


@pytest.mark.parametrize(
    ("content", "kwargs", "said"),
    [
        ('{"success": false, "error": "too long"}', {}, "calculator(this) failed: too long"),
        ("no such tool", {"status": "error"}, "calculator(this) failed: no such tool"),
        ('{"result": 12.0, "expression": "x"}', {}, "x = 12"),
        ('{"result": 2.5}', {}, "this = 2.5"),
        ("just text", {}, "calculator: just text"),
        ("", {}, "calculator: no result"),
        ("[" * 5000, {}, "calculator: ["),
        (json.dumps(list(range(9))), {}, "0; 1; 2; 3; 4; … and 4 more"),
        ('{"a": {"b": {"c": {"d": 1}}}, "ok": true}', {}, '{"d": 1}, ok true'),
        ('{"results": [], "query": "x"}', {"name": "search"}, "found nothing for “x”"),
        ('{"results": ["plain", {"a": 1}]}', {"name": "search"}, "1. plain\n2. a 1"),
        ('{"location": "Rome", "note": "old"}', {"name": "weather"}, "Rome: no result\nold"),
    ],
)
def test_what_is_said_of_a_result(content: str, kwargs: dict[str, Any], said: str) -> None:
    assert said in _after_tool(content, **kwargs)


def test_a_long_result_is_not_repeated_whole() -> None:
    assert len(_after_tool("word " * 10_000)) < 2_000


async def test_what_no_tool_can_do_is_said_beside_what_one_can() -> None:
    bound = OfflineModel().bind_tools([one for one in load_tools() if one.name == "weather"])
    asked: list[AnyMessage] = [HumanMessage("weather in Rome and search for LangGraph")]
    called = await bound.ainvoke(asked)
    (call,) = called.tool_calls
    result = ToolMessage('{"location": "Rome"}', tool_call_id=call["id"], name="weather")
    answer = await bound.ainvoke([*asked, called, result])
    assert "Weather in Rome" in answer.text
    assert "cannot search for “LangGraph”" in answer.text


def test_too_many_requests_are_told() -> None:
    bound = OfflineModel().bind_tools(load_tools())
    text = "\n".join(f"{n} + 1" for n in range(MAX_CALLS + 3))
    called = bound.invoke(text)
    assert len(called.tool_calls) == MAX_CALLS
    results = [ToolMessage("1", tool_call_id=call["id"]) for call in called.tool_calls]
    answer = bound.invoke([HumanMessage(text), called, *results])
    assert f"first {MAX_CALLS} of your requests" in answer.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", ["offline model", "OPENROUTER_API_KEY", "EVERTURN_BASE_URL", "search"]),
        ("안녕하세요", ["오프라인 모델", "OPENROUTER_API_KEY", "EVERTURN_BASE_URL", "검색"]),
        ("how's the weather?", ["Which place"]),
        ("오늘 날씨 어때?", ["어느 지역"]),
        ("use the flip tool", ["call flip I need side", "flip(side=…)"]),
    ],
)
def test_what_is_said_without_a_call(text: str, said: list[str]) -> None:
    answer = OfflineModel().bind_tools([*load_tools(), flip]).invoke(text)
    assert answer.tool_calls == []
    assert [words for words in said if words not in answer.text] == []


@pytest.mark.parametrize("text", ["Calculate 10 * 20", "weather in Rome", "search for LangGraph"])
def test_without_tools_nothing_is_promised(text: str) -> None:
    answer = OfflineModel().invoke(text)
    assert answer.tool_calls == []
    assert "cannot" in answer.text
    assert "calculate" not in OfflineModel().invoke("hello").text


def test_a_notice_stands_before_the_answer() -> None:
    model = OfflineModel(notice="No model can answer now (HTTP 429). ")
    assert model.invoke("hello").text.startswith("No model can answer now (HTTP 429). I am")
    assert model.bind_tools(load_tools()).invoke("1 + 1").text == ""


def test_a_conversation_without_a_question() -> None:
    model = OfflineModel()
    assert "offline model" in model.invoke([SystemMessage("be brief")]).text
    assert "offline model" in model.invoke([HumanMessage("hi"), AIMessage("hi")]).text


def test_blocks_of_text_are_read_and_pictures_are_not() -> None:
    blocks: list[str | dict[str, Any]] = [
        {"type": "text", "text": "Calculate 10 * 20"},
        {"type": "image", "url": "https://example.org/2+2.png"},
    ]
    (call,) = OfflineModel().bind_tools(load_tools()).invoke([HumanMessage(blocks)]).tool_calls
    assert call["args"] == {"expression": "10 * 20"}


# --- What a caller may choose ---


def test_tool_choice() -> None:
    model, tools = OfflineModel(), load_tools()
    assert model.bind_tools(tools, tool_choice="none").invoke("1 + 1").tool_calls == []
    (call,) = model.bind_tools(tools, tool_choice="any").invoke("1 + 1").tool_calls
    assert call["name"] == "calculator"
    (call,) = model.bind_tools(tools, tool_choice="search").invoke("1 + 1").tool_calls
    assert (call["name"], call["args"]) == ("search", {"query": "1 + 1"})
    with pytest.raises(ValueError, match="no_such_tool"):
        model.bind_tools(tools, tool_choice="no_such_tool")


def test_one_call_at_a_time() -> None:
    bound = OfflineModel().bind_tools(load_tools(), parallel_tool_calls=False)
    assert [call["name"] for call in bound.invoke(THREE).tool_calls] == ["calculator"]


def test_stop_and_length() -> None:
    model = OfflineModel()
    whole = model.invoke("hello")
    stopped = model.invoke("hello", stop=["", "offline", "never said"])
    assert stopped.text == whole.text.partition("offline")[0]
    short = model.bind(max_tokens=5).invoke("hello")
    assert whole.text.startswith(short.text)
    assert 0 < model.get_num_tokens(short.text) <= 5
    assert short.response_metadata["finish_reason"] == "length"


def test_what_it_cannot_do_it_refuses() -> None:
    with pytest.raises(NotImplementedError, match="structured output"):
        OfflineModel().with_structured_output({"title": "Joke", "type": "object"})
    profile = OfflineModel().profile or {}
    assert (profile.get("structured_output"), profile.get("image_inputs")) == (False, False)


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf])
def test_a_delay_is_a_number_of_seconds(delay: float) -> None:
    with pytest.raises(ValidationError):
        OfflineModel(delay=delay)


# --- Streams and usage ---


def test_its_usage_is_zero_and_no_estimate() -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    for model in (OfflineModel(), OfflineModel().bind_tools(load_tools())):
        assert model.invoke(THREE).usage_metadata == nothing
    assert OfflineModel().get_num_tokens("안녕하세") == 3  # for limits only


@pytest.mark.parametrize("text", ["hello", THREE, "안녕하세요"])
async def test_a_stream_adds_up_to_the_answer(text: str) -> None:
    bound = OfflineModel().bind_tools(load_tools())
    whole = await bound.ainvoke(text)
    asynchronous = [chunk async for chunk in bound.astream(text)]
    for chunks in (asynchronous, list(bound.stream(text))):
        pieces = [chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)]
        assert len(pieces) == len(chunks) > 5
        total = reduce(add, pieces)
        assert total.content == whole.content
        assert total.tool_calls == whole.tool_calls
        assert total.usage_metadata == whole.usage_metadata
        assert total.response_metadata == whole.response_metadata
        assert {chunk.id for chunk in chunks} == {total.id}
        *before, last = pieces
        assert last.chunk_position == "last"
        assert [chunk for chunk in before if chunk.usage_metadata or chunk.response_metadata] == []
        assert all(len(chunk.text.split()) <= 1 for chunk in pieces)


async def test_a_delayed_stream_lets_others_work_and_can_be_cancelled() -> None:
    seen: list[str] = []

    async def read() -> None:
        async for chunk in OfflineModel(delay=0.005).astream("hello"):
            seen.append(chunk.text)
            if len(seen) == 3:
                third.set()

    third = asyncio.Event()
    reading = asyncio.create_task(read())
    await third.wait()  # this task runs between two chunks
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert 3 <= len(seen) < len([chunk async for chunk in OfflineModel().astream("hello")])


def test_a_delayed_stream_in_a_thread_says_the_same() -> None:
    slow = [chunk.text for chunk in OfflineModel(delay=0.0001).stream("hello")]
    assert slow == [chunk.text for chunk in OfflineModel().stream("hello")]


async def test_messages_of_a_graph_keep_their_ids() -> None:
    streamed: dict[str | None, AIMessageChunk] = {}
    state: Any = {}
    asked = {"messages": [HumanMessage(THREE)]}
    async for mode, part in _agent().astream(asked, stream_mode=["messages", "values"]):
        if mode == "values":
            state = part
        elif isinstance(chunk := part[0], AIMessageChunk):
            streamed[chunk.id] = streamed[chunk.id] + chunk if chunk.id in streamed else chunk
    kept = {m.id: m for m in state["messages"] if isinstance(m, AIMessage)}
    assert list(kept) == list(streamed)
    for identity, message in kept.items():
        assert streamed[identity].text == message.text
        assert streamed[identity].tool_calls == message.tool_calls
        assert streamed[identity].usage_metadata == message.usage_metadata


async def test_events_of_a_graph() -> None:
    said: dict[str, str] = {}
    ended: dict[str, str] = {}
    asked = {"messages": [HumanMessage(THREE)]}
    async for event in _agent().astream_events(asked, version="v2"):
        run, data = event["run_id"], cast("dict[str, Any]", event["data"])
        if event["event"] == "on_chat_model_stream":
            said[run] = said.get(run, "") + data["chunk"].text
        elif event["event"] == "on_chat_model_end":
            ended[run] = data["output"].text
    assert len(ended) == 2
    assert said == ended


@beta
async def test_events_of_a_graph_in_their_third_version() -> None:
    asked = {"messages": [HumanMessage(THREE)]}
    stream = await _agent().astream_events(asked, version="v3")
    texts: list[str] = []
    finished: list[dict[str, Any]] = []
    async for event in stream:
        if event["method"] != "messages":
            continue
        data = event["params"]["data"][0]
        if data["event"] == "content-block-delta" and data["delta"]["type"] == "text-delta":
            texts.append(data["delta"]["text"])
        elif data["event"] == "message-finish":
            finished.append(data)
    final = (await stream.output() or {})["messages"][-1]
    assert "".join(texts) == final.text
    assert [one["metadata"]["finish_reason"] for one in finished] == ["tool_calls", "stop"]
    assert all(one["usage"]["total_tokens"] == 0 for one in finished)


# --- The same to the same, whoever asks beside ---


async def test_calls_side_by_side_do_not_touch_each_other() -> None:
    model = OfflineModel(delay=0.0001)
    bound = model.bind_tools(load_tools())
    texts = [f"Calculate {n} * 2" if n % 2 else f"My name is N{n}." for n in range(40)]

    async def read(text: str) -> AIMessage:
        chunks = [chunk async for chunk in bound.astream(text)]
        total = reduce(add, (chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)))
        assert isinstance(total, AIMessage)
        return total

    together = await asyncio.gather(*map(read, texts))
    alone = [await bound.ainvoke(text) for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert (one.text, one.tool_calls) == (other.text, other.tool_calls)


def test_ids_of_calls_are_their_own() -> None:
    bound = OfflineModel().bind_tools(load_tools())
    first = bound.invoke("Calculate 1 + 1 and 2 + 2")
    again = bound.invoke("Calculate 1 + 1 and 2 + 2")
    assert first.tool_calls == again.tool_calls
    later = bound.invoke([HumanMessage("hi"), AIMessage("hi"), HumanMessage("Calculate 1 + 1")])
    ids = [call["id"] for call in [*first.tool_calls, *later.tool_calls]]
    assert len(set(ids)) == 3


_ANY_TEXT = st.text(alphabet=st.characters(), max_size=200)  # lone surrogates too
_WORDS = """calculate 15% of ( ) 2 ** weather in Seoul and , ? search for what is my name 내 이름은
날씨 검색해줘 더하기 flip( use flip first did I ask ' " a=1 = x"""
_PHRASES = st.lists(st.sampled_from([*_WORDS.split(), "\n"]), max_size=20).map(" ".join)


@given(text=_ANY_TEXT | _PHRASES, choice=st.sampled_from([None, "any", "none", "flip"]))
def test_any_text_has_one_answer(text: str, choice: str | None) -> None:
    bound = OfflineModel().bind_tools([*load_tools(), flip], tool_choice=choice)
    first, second = bound.invoke(text), bound.invoke(text)
    assert (first.text, first.tool_calls) == (second.text, second.tool_calls)
    assert bool(first.text) != bool(first.tool_calls)
    assert choice not in {"any", "flip"} or first.tool_calls
    assert choice != "none" or first.text
    json.dumps([call["args"] for call in first.tool_calls], allow_nan=False)


@given(
    content=_ANY_TEXT | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_any_result_has_an_answer(content: str) -> None:
    assert _after_tool(content)
