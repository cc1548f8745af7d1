"""Every dialect in which an answer may come: read as OpenAI would have written it."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from pydantic import SecretStr

from everturn.graph.models.answer import Answer
from everturn.graph.models.openai_chat import OpenAIChat
from everturn.graph.models.reader import Chunk, Reader

Json = dict[str, Any]


def _chunk(delta: Json, finish_reason: str | None = None, **more: Any) -> Json:
    return {"choices": [{"delta": delta, "finish_reason": finish_reason}], **more}


def _calls(*entries: Json) -> Json:
    return _chunk({"tool_calls": list(entries)})


def _call(name: str | None, arguments: Any, **more: Any) -> Json:
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {k: v for k, v in function.items() if v is not None}}


def _read(*raw: Json) -> tuple[Answer, AIMessageChunk]:
    """Return the answer, and the message that LangChain makes of its stream."""
    reader, answer = Reader(), Answer()
    chunks: list[Chunk] = [chunk for each in raw if (chunk := reader.read(each))]
    reader.ended = True
    chunks += reader.close()
    model = OpenAIChat(model="m", api_key=SecretStr("k"))
    message = AIMessageChunk(content="")
    for chunk in chunks:
        answer.add(chunk)
        generation = model._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
        assert generation is not None
        assert isinstance(generation.message, AIMessageChunk)
        message += generation.message
    return answer, message


def _made(*raw: Json) -> list[tuple[str, Json]]:
    """Return the calls of an answer, which are the same streamed and whole."""
    answer, message = _read(*raw)
    assert answer.flaw() is None
    calls = answer.completion()["choices"][0]["message"]["tool_calls"]
    whole = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]
    assert whole == [(call["name"], call["args"]) for call in message.tool_calls]
    ids = [call["id"] for call in calls]
    assert ids == [call["id"] for call in message.tool_calls]
    assert len({*ids}) == len(ids)
    assert all(ids)
    return whole


ADD, SUB = ("add", {"a": 1}), ("sub", {"b": 2})

TWO_CALLS = {
    "as OpenAI does": [
        _calls(_call("add", "", index=0, id="x")),
        _calls(_call(None, '{"a":', index=0)),
        _calls(_call(None, " 1}", index=0)),
        _calls(_call("sub", "", index=1, id="y")),
        _calls(_call(None, '{"b": 2}', index=1)),
    ],
    "all with index 0, whole": [
        _calls(_call("add", '{"a": 1}', index=0, id="x")),
        _calls(_call("sub", '{"b": 2}', index=0, id="y")),
    ],
    "all with index 0 and without ids": [
        _calls(_call("add", '{"a": 1}', index=0)),
        _calls(_call("sub", '{"b": 2}', index=0)),
    ],
    "all with index 0, in one chunk": [
        _calls(_call("add", '{"a": 1}', index=0), _call("sub", '{"b": 2}', index=0))
    ],
    "without index": [
        _calls(_call("add", '{"a": 1}', id="x")),
        _calls(_call("sub", '{"b": 2}', id="y")),
    ],
    "without index and id, in pieces": [
        _calls(_call("add", '{"a"')),
        _calls(_call(None, ": 1}")),
        _calls(_call("sub", '{"b": 2}')),
    ],
    "the same id for all": [
        _calls(_call("add", '{"a": 1}', index=0, id="call")),
        _calls(_call("sub", '{"b": 2}', index=1, id="call")),
    ],
    "the same id and index for all": [
        _calls(_call("add", '{"a": 1}', index=0, id="call")),
        _calls(_call("sub", '{"b": 2}', index=0, id="call")),
    ],
    "an empty id, and one that comes later": [
        _calls(_call("add", "", index=0, id="")),
        _calls(_call(None, '{"a": 1}', index=0, id="late")),
        _calls(_call("sub", '{"b": 2}', index=1, id=None)),
    ],
    "the name in every piece": [
        _calls(_call("add", "", index=0, id="x")),
        _calls(_call("add", '{"a":', index=0, id="x")),
        _calls(_call("add", " 1}", index=0, id="x")),
        _calls(_call("add", "", index=0, id="x")),
        _calls(_call("sub", '{"b": 2}', index=1, id="y")),
        _calls(_call("sub", "", index=1)),
    ],
    "another id in every piece": [
        _calls(_call("add", '{"a":', index=0, id="x1")),
        _calls(_call(None, " 1}", index=0, id="x2")),
        _calls(_call("sub", '{"b": 2}', index=1, id="y1")),
    ],
    "another index in every piece": [
        _calls(_call("add", '{"a":', index=0, id="x")),
        _calls(_call(None, " 1}", index=1, id="x")),
        _calls(_call("sub", '{"b": 2}', index=2, id="y")),
    ],
    "arguments as objects": [
        _calls(_call("add", {"a": 1}, index=0, id="x"), _call("sub", {"b": 2}, index=1, id="y"))
    ],
    "the index as text": [
        _calls(_call("add", '{"a": 1}', index="0", id="x")),
        _calls(_call("sub", '{"b": 2}', index="1", id="y")),
    ],
    "one after the other, mixed": [
        _calls(_call("add", "", index=0, id="x"), _call("sub", "", index=1, id="y")),
        _calls(_call(None, '{"a"', index=0), _call(None, '{"b"', index=1)),
        _calls(_call(None, ": 1}", index=0), _call(None, ": 2}", index=1)),
    ],
    "as one that was not streamed": [
        {
            "choices": [
                {
                    "message": {
                        "content": None,
                        "tool_calls": [_call("add", '{"a": 1}', id="x"), _call("sub", {"b": 2})],
                    }
                }
            ]
        }
    ],
}


@pytest.mark.parametrize("raw", TWO_CALLS.values(), ids=TWO_CALLS)
def test_two_calls_are_two_calls(raw: list[Json]) -> None:
    assert _made(*raw) == [ADD, SUB]


@pytest.mark.parametrize("nothing", ["", "null", None, {}, "{}", " "])
def test_a_call_without_arguments_has_none(nothing: Any) -> None:
    assert _made(_calls(_call("now", nothing, index=0, id="x"))) == [("now", {})]


def test_null_may_come_in_pieces_and_no_arguments_begin_like_it() -> None:
    nulls = [_calls(_call(None, piece, index=0)) for piece in ("n", "ul", "l")]
    assert _made(_calls(_call("now", "", index=0, id="x")), *nulls) == [("now", {})]


def test_two_calls_without_arguments_in_one_chunk_are_two() -> None:
    chunk = _calls(_call("now", None, index=0), _call("now", None, index=0))
    assert _made(chunk) == [("now", {}), ("now", {})]


def test_the_one_call_may_come_without_its_list() -> None:
    assert _made(_chunk({"tool_calls": _call("f", "{}", id="a")})) == [("f", {})]


def test_the_one_call_of_older_servers_is_a_call() -> None:
    call = {"name": "add", "arguments": '{"a": 1}'}
    assert _made(_chunk({"function_call": call}, "function_call")) == [ADD]


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (["Hel", "lo"], "Hello"),
        ([None, "Hello", ""], "Hello"),
        ([[{"type": "text", "text": "Hel"}], [{"type": "text", "text": "lo"}]], "Hello"),
        ([["Hel", {"text": "lo"}], [{"type": "reference", "reference_ids": [1]}]], "Hello"),
        (["Hi \ud83d", "\ude00!"], "Hi 😀!"),
        (["Hi \ud83d", "!"], "Hi \ufffd!"),
        (["Hi \ude00"], "Hi \ufffd"),
        (["Hi ", "\ud83d"], "Hi \ufffd"),
        (["Hi\0!"], "Hi\ufffd!"),  # which PostgreSQL could not store
        ([[{"type": "output_text", "text": "Hello"}]], "Hello"),
    ],
)
def test_content_in_each_of_its_shapes(contents: list[Any], text: str) -> None:
    answer, message = _read(*[_chunk({"content": content}) for content in contents])
    assert (answer.text, message.text) == (text, text)


THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": "s"}]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"thinking": "Hm."},
        {"reasoning": "Hm.", "reasoning_content": "Hm."},  # vLLM, for a while
        {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"content": THINKING},
        {"content": [{"type": "reasoning", "text": "Hm."}]},
    ],
)
def test_reasoning_stands_beside_the_answer(delta: Json) -> None:
    answer, message = _read(_chunk(delta), _chunk({"content": "42"}, "stop"))
    assert (answer.text, answer.reasoning) == ("42", "Hm.")
    assert message.text == "42"


def test_what_came_with_reasoning_is_kept_to_go_back() -> None:
    answer, _ = _read(
        _chunk({"reasoning_content": "Let me "}),
        _chunk({"reasoning_content": "see."}),
        _chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "Let "}]}),
        _chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "me"}]}),
        _chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "sig"}]}),
        _chunk({"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "x"}]}),
        _calls(
            _call("add", '{"a": 1}', id="c", extra_content={"google": {"thought_signature": "t"}})
        ),
    )
    assert answer.returned == {
        "message": {
            "reasoning_content": "Let me see.",
            "reasoning_details": [
                {"type": "reasoning.text", "index": 0, "text": "Let me", "signature": "sig"},
                {"type": "reasoning.encrypted", "index": 1, "data": "x"},
            ],
        },
        "tool_calls": {"c": {"extra_content": {"google": {"thought_signature": "t"}}}},
    }


def test_thinking_blocks_go_back_as_the_content_that_they_were() -> None:
    text = [{"type": "text", "text": "4"}], [{"type": "text", "text": "2"}]
    answer, _ = _read(*[_chunk({"content": blocks}) for blocks in (THINKING, *text)])
    assert answer.returned["message"] == {"content": [*THINKING, {"type": "text", "text": "42"}]}


def _usage(read: int, written: int) -> Json:
    return {"prompt_tokens": read, "completion_tokens": written}


@pytest.mark.parametrize(
    ("usages", "total"),
    [
        ([None, None, (10, 7)], (10, 7)),  # at the end
        ([(10, 3), (10, 5), (10, 7)], (10, 7)),  # growing
        ([(10, 1), (10, 1), (10, 1), (10, 1)], (10, 4)),  # each chunk for itself
        ([(10, 2), (0, 1), (0, 4)], (10, 7)),
        ([None, (10, 7), (10, 7)], (10, 7)),  # the last one twice
    ],
)
def test_usage_wherever_it_comes(
    usages: list[tuple[int, int] | None], total: tuple[int, int]
) -> None:
    raw = [_chunk({"content": "x"}, usage=each and _usage(*each)) for each in usages]
    answer, message = _read(*raw)
    assert message.usage_metadata is not None
    found = (message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"])
    assert found == total
    assert answer.usage is not None
    assert answer.usage["total_tokens"] == sum(total)


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [], "usage": _usage(1, 2)},
        {"choices": None, "usage": _usage(1, 2)},
        {"usage": _usage(1, 2)},
        {"choices": [], "x_groq": {"usage": _usage(1, 2)}},
        {"choices": [{"delta": {}, "finish_reason": "stop", "usage": _usage(1, 2)}]},
    ],
)
def test_usage_in_a_chunk_of_its_own(last: Json) -> None:
    answer, message = _read(_chunk({"content": "x"}), last)
    assert answer.usage == {**_usage(1, 2), "total_tokens": 3}
    assert message.usage_metadata is not None


def test_no_usage_is_no_usage() -> None:
    answer, message = _read(_chunk({"content": "x"}, usage=_usage(0, 0)))
    assert (answer.usage, message.usage_metadata) == (None, None)


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        (["stop"], "stop"),
        (["stop", "stop"], "stop"),
        (["", None], "stop"),
        (["length"], "length"),
        (["null", "stop"], "stop"),
    ],
)
def test_the_end_is_told_once(reasons: list[str | None], told: str) -> None:
    answer, message = _read(*[_chunk({"content": "x"}, reason) for reason in reasons])
    assert answer.flaw() is None
    assert answer.completion()["choices"][0]["finish_reason"] == told
    assert message.text == "x" * len(reasons)


def test_an_answer_that_says_null_as_its_reason_goes_on() -> None:
    reader = Reader()
    reader.read(_chunk({"content": "x"}, "null"))
    assert not reader.finish_reason


def test_an_answer_that_the_last_chunk_repeats_is_said_once() -> None:
    last = {"delta": {}, "message": {"content": "Hello"}, "finish_reason": "stop"}
    answer, message = _read(_chunk({"content": "Hello"}), {"choices": [last]})
    assert (answer.text, message.text) == ("Hello", "Hello")


@pytest.mark.parametrize("odd", [0, "x", [{"modality": "TEXT"}], {"cached_tokens": "many"}])
def test_usage_with_odd_details_is_usage(odd: Any) -> None:
    usage = _usage(1, 2)
    more = {"prompt_tokens_details": odd, "completion_tokens_details": {"reasoning_tokens": 1}}
    answer, message = _read(_chunk({"content": "x"}, "stop", usage={**usage, **more}))
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 3
    assert message.usage_metadata.get("output_token_details") == {"reasoning": 1}
    assert answer.usage is not None


@pytest.mark.parametrize("cost", [10**400, float("inf"), float("nan"), -1, "0.1"])
def test_a_cost_that_is_none_is_left_out(cost: Any) -> None:
    answer, _ = _read(_chunk({"content": "x"}, "stop", usage={**_usage(1, 2), "cost": cost}))
    assert answer.cost is None


def test_numbers_of_tokens_that_are_none_count_nothing() -> None:
    usage = {"prompt_tokens": float("inf"), "completion_tokens": 10**400, "total_tokens": 3}
    answer, _ = _read(_chunk({"content": "x"}, "stop", usage=usage))
    assert answer.usage == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 3}


def test_a_refusal_is_what_the_model_says() -> None:
    answer, message = _read(_chunk({"content": None, "refusal": "I can't"}), _chunk({}, "stop"))
    assert (answer.flaw(), answer.text, message.text) == (None, "I can't", "I can't")


def test_thoughts_between_tags_are_no_answer() -> None:
    pieces = ["\n<th", "ink>", "Hm", "m <b", ">.</thi", "nk>\n", "\nForty-", "two <think>."]
    answer, message = _read(*(_chunk({"content": piece}) for piece in pieces))
    assert (answer.reasoning, answer.text) == ("Hmm <b>.", "Forty-two <think>.")
    assert message.text == answer.text


def test_only_thoughts_are_no_answer() -> None:
    flaw = _read(_chunk({"reasoning": "Hm."}, "length"))[0].flaw()
    assert flaw is not None
    assert flaw.kind == "empty"
    assert "max_tokens" in flaw.message


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": {}},
        {"choices": ["x"]},
        {"choices": [{"delta": "x"}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"tool_calls": {}}}]},
        {"choices": [{"delta": {"tool_calls": [None, "x", {"function": "x"}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": [], "function": {"name": ["x"]}}]}}]},
        {"choices": [{}], "usage": "x"},
        {"choices": [{}], "x_groq": "x"},
        {"choices": [{"delta": {"reasoning": {"x": 1}, "reasoning_details": "x"}}]},
    ],
)
def test_odd_shapes_raise_nothing(odd: Json) -> None:
    _read(odd, _chunk({"content": "x"}))
