"""What a model refuses is left out, at once and from then on; the refusal is no failure."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import SecretStr

from everturn.graph.models.openai_chat import OpenAIChat
from everturn.graph.models.traits import Traits
from everturn.graph.models.wire import Refused

Json = dict[str, Any]

DONE = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
COUNTED = {**DONE, "usage": {"prompt_tokens": 1, "completion_tokens": 2}}


class Provider:
    """Answers each request by a function of its body; remembers the bodies."""

    def __init__(self) -> None:
        self.bodies: list[Json] = []
        self.judge: Callable[[Json], tuple[int, Json]] = lambda _: (200, COUNTED)

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:

        body = json.loads(request.content)
        assert request.headers["authorization"] == "Bearer sk-test"
        self.bodies.append(body)
        status, answer = self.judge(body)
        return httpx2.Response(status, json=answer)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def model(provider: Provider) -> AsyncIterator[OpenAIChat]:
    transport = httpx2.MockTransport(provider)
    async with openai.DefaultAsyncHttpxClient(transport=transport) as http:
        yield OpenAIChat(
            model="gpt-5-codex",
            base_url="http://127.0.0.1:1/v1",
            api_key=SecretStr("sk-test"),
            http_async_client=http,
            max_retries=0,
        )


def _refusing(name: str, answer: Json, status: int = 400) -> Callable[[Json], tuple[int, Json]]:
    return lambda body: (status, answer) if name in body else (200, COUNTED)


def _openai(name: str, message: str) -> Json:
    kind = "unsupported_parameter"
    return {
        "error": {"message": message, "param": name, "code": kind, "type": "invalid_request_error"}
    }


def _mistral(name: str) -> Json:
    detail = [
        {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
    ]
    return {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}


@pytest.mark.parametrize(
    ("name", "answer", "status"),
    [
        ("temperature", _openai("temperature", "Unsupported value: 'temperature'"), 400),
        ("temperature", _mistral("temperature"), 422),
        ("temperature", {"detail": [{"loc": ["body", "temperature"], "msg": "extra"}]}, 422),
        ("temperature", {"error": "temperature is not supported by this model"}, 400),
        ("seed", {"error_code": "BAD_REQUEST", "message": "Unknown field: seed"}, 400),
    ],
)
async def test_a_refused_parameter_is_left_out_at_once_and_from_then_on(
    model: OpenAIChat, provider: Provider, name: str, answer: Json, status: int
) -> None:
    provider.judge = _refusing(name, answer, status)
    for _ in range(2):
        assert (await model.ainvoke("hi", temperature=0.7, seed=1)).text == "fine"
    assert [name in body for body in provider.bodies] == [True, False, False]


async def test_the_token_limit_has_the_name_that_the_model_takes(
    model: OpenAIChat, provider: Provider
) -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    provider.judge = _refusing("max_tokens", _openai("max_tokens", message))
    for _ in range(2):
        await model.ainvoke("hi", max_tokens=7)
    names = [{key: body[key] for key in body if key.startswith("max")} for body in provider.bodies]
    assert names == [{"max_tokens": 7}, *[{"max_completion_tokens": 7}] * 2]


async def test_a_model_that_takes_no_limit_gets_none(model: OpenAIChat, provider: Provider) -> None:
    def judge(body: Json) -> tuple[int, Json]:
        sent = next((key for key in body if key.startswith("max")), None)
        return (422, _mistral(sent)) if sent else (200, COUNTED)

    provider.judge = judge
    await model.ainvoke("hi", max_tokens=7)
    assert len(provider.bodies) == 3


async def test_only_a_value_may_be_refused(model: OpenAIChat, provider: Provider) -> None:
    def judge(body: Json) -> tuple[int, Json]:
        if body.get("max_tokens", 0) > 100:
            return 400, _openai("max_tokens", "max_tokens is too large: at most 100 are taken")
        return 200, COUNTED

    provider.judge = judge
    for limit in (500, 500, 50):
        await model.ainvoke("hi", max_tokens=limit)
    assert [body.get("max_tokens") for body in provider.bodies] == [500, None, None, 50]


async def test_a_refusal_without_a_name_costs_the_count_of_tokens_only(
    model: OpenAIChat, provider: Provider
) -> None:
    provider.judge = _refusing("stream_options", {"error": "Bad Request"})
    for _ in range(2):
        await model.ainvoke("hi", temperature=1, stream_usage=True)
    assert ["stream_options" in body for body in provider.bodies] == [True, False, False]
    assert all("temperature" in body for body in provider.bodies)


async def test_a_request_that_is_wrong_in_itself_changes_nothing(
    model: OpenAIChat, provider: Provider
) -> None:
    provider.judge = lambda _: (400, {"error": "Bad Request"})
    with pytest.raises(Refused):
        await model.ainvoke("hi", stream_usage=True)
    provider.judge = lambda _: (200, COUNTED)
    await model.ainvoke("hi", stream_usage=True)
    assert ["stream_options" in body for body in provider.bodies] == [True, False, True]


async def test_what_is_needed_is_never_left_out(model: OpenAIChat, provider: Provider) -> None:
    provider.judge = lambda _: (400, _openai("messages", "messages: too odd; see response_format"))
    with pytest.raises(Refused):
        await model.ainvoke("hi", response_format={"type": "json_object"})
    assert len(provider.bodies) == 1


async def test_tokens_are_asked_for_once_a_model_does_not_count_by_itself(
    model: OpenAIChat, provider: Provider
) -> None:
    provider.judge = lambda body: (200, COUNTED if "stream_options" in body else DONE)
    counts = [(await model.ainvoke("hi")).usage_metadata for _ in range(2)]
    assert [count is not None for count in counts] == [False, True]


async def test_what_a_catalogue_does_not_list_is_not_sent(
    model: OpenAIChat, provider: Provider
) -> None:
    model.traits.listed = {"max_completion_tokens", "tools"}
    await model.ainvoke("hi", temperature=0.7, max_tokens=7, user="ada")
    (body,) = provider.bodies
    assert "temperature" not in body
    assert (body["max_completion_tokens"], body["user"]) == (7, "ada")
    assert "max_tokens" not in body


async def test_a_name_never_changes_the_wire(model: OpenAIChat, provider: Provider) -> None:
    for name in ("o3-mini", "gpt-5-codex", "gpt-5-pro", "gpt-6-mini", "o1"):
        named = model.model_copy(update={"model_name": name, "traits": Traits()})
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        await named.ainvoke([SystemMessage("s"), HumanMessage("hi")], tools=tools)
    for body in provider.bodies:
        assert set(body) == {"model", "messages", "stream", "tools"}
        assert [message["role"] for message in body["messages"]] == ["system", "user"]


async def test_nothing_is_sent_that_means_nothing(model: OpenAIChat, provider: Provider) -> None:
    await model.ainvoke("hi", tools=[], tool_choice="auto", parallel_tool_calls=True, stop=None)
    assert set(provider.bodies[0]) == {"model", "messages", "stream"}


def _asked(name: str, call_id: str, **fields: Any) -> AIMessage:
    call = {"name": "f", "args": {}, "id": call_id, "type": "tool_call"}
    returned = {"provider_specific_fields": fields} if fields else {}
    return AIMessage(
        "",
        tool_calls=[call],
        additional_kwargs=returned,
        response_metadata={"route": {"model": name}},
    )


async def test_what_came_with_a_call_goes_back_to_its_model_and_to_no_other(
    model: OpenAIChat, provider: Provider
) -> None:
    extra = {"extra_content": {"google": {"thought_signature": "t"}}}
    asked = _asked(
        "gpt-5-codex", "x", message={"reasoning_content": "Hm."}, tool_calls={"x": extra}
    )
    history = [HumanMessage("hi"), asked, ToolMessage("1", tool_call_id="x")]
    await model.ainvoke(history)
    other = model.model_copy(update={"model_name": "other", "traits": Traits()})
    await other.ainvoke(history)
    await model.ainvoke([*history, AIMessage("done"), HumanMessage("next")])
    same, foreign, later = (body["messages"][1] for body in provider.bodies)
    assert same["reasoning_content"] == "Hm."
    assert same["tool_calls"][0] | extra == same["tool_calls"][0]
    assert set(foreign) == {"role", "content", "tool_calls"}
    assert set(foreign["tool_calls"][0]) == {"id", "type", "function"}
    # A turn that is over needs its signatures, but its reasoning no more.
    assert "reasoning_content" not in later
    assert later["tool_calls"][0] | extra == later["tool_calls"][0]


async def test_reasoning_that_a_provider_refuses_to_have_back_stays_here(
    model: OpenAIChat, provider: Provider
) -> None:
    def judge(body: Json) -> tuple[int, Json]:
        if any("reasoning_content" in message for message in body["messages"]):
            return 400, _openai("messages[1].reasoning_content", "property is unsupported")
        return 200, COUNTED

    provider.judge = judge
    asked = _asked("gpt-5-codex", "x", message={"reasoning_content": "Hm."})
    for _ in range(2):
        await model.ainvoke([HumanMessage("hi"), asked, ToolMessage("1", tool_call_id="x")])
    assert len(provider.bodies) == 3


async def test_ids_of_another_model_are_nine_letters_or_digits(
    model: OpenAIChat, provider: Provider
) -> None:
    odd = "call_" + "x" * 60
    for name in ("other", "gpt-5-codex"):
        await model.ainvoke(
            [HumanMessage("hi"), _asked(name, odd), ToolMessage("1", tool_call_id=odd)]
        )
    foreign, own = (
        [body["messages"][1]["tool_calls"][0]["id"], body["messages"][2]["tool_call_id"]]
        for body in provider.bodies
    )
    assert own == [odd, odd]
    assert foreign[0] == foreign[1]
    assert len(foreign[0]) == 9
    assert foreign[0].isalnum()


async def test_no_history_is_one_that_a_provider_refuses(
    model: OpenAIChat, provider: Provider
) -> None:
    await model.ainvoke(
        [
            AIMessage("How can I help?"),
            HumanMessage(" "),
            ToolMessage("of no call", tool_call_id="z"),
            _asked("gpt-5-codex", "x"),
            ToolMessage(" ", tool_call_id="x"),
            HumanMessage("And?"),
            ToolMessage("too late", tool_call_id="x"),
            HumanMessage([{"type": "text", "text": ""}]),
        ]
    )
    sent = [(message["role"], message["content"]) for message in provider.bodies[0]["messages"]]
    assert sent == [
        ("user", "(The conversation starts here.)"),
        ("assistant", "How can I help?"),
        ("user", "(no words)"),
        ("assistant", None),
        ("tool", "(no output)"),
        ("assistant", "(The answer was broken off.)"),
        ("user", "And?\n\n(no words)"),
    ]


async def test_the_conversation_has_the_order_that_the_strictest_provider_wants(
    model: OpenAIChat, provider: Provider
) -> None:
    asked = _asked("gpt-5-codex", "x")
    await model.ainvoke(
        [
            SystemMessage("one"),
            HumanMessage("a"),
            HumanMessage("b"),
            SystemMessage("two"),
            AIMessage(""),
            asked,
            ToolMessage("", tool_call_id="x"),
            HumanMessage([{"type": "text", "text": "c"}]),
            HumanMessage("d"),
        ]
    )
    messages = provider.bodies[0]["messages"]
    assert [message["role"] for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert (messages[0]["content"], messages[1]["content"]) == ("one\n\ntwo", "a\n\nb")
    assert all(message["content"] for message in messages if "tool_calls" not in message)


async def test_a_refusal_has_an_end_whatever_it_names(
    model: OpenAIChat, provider: Provider
) -> None:
    provider.judge = lambda _: (200, DONE)
    await model.ainvoke("hi")  # it does not count by itself: from now on it is asked to
    both = [
        {"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"},
        {"loc": ["body", "max_tokens"], "msg": "must be less than or equal to 10"},
    ]
    provider.judge = _refusing("stream_options", {"detail": both}, 422)
    assert (await model.ainvoke("hi", max_tokens=7)).text == "fine"
    assert ["stream_options" in body for body in provider.bodies] == [False, True, False]
    provider.judge = lambda _: (422, {"detail": both})
    with pytest.raises(Refused):
        await model.ainvoke("hi", max_tokens=7)


async def test_a_refusal_that_quotes_the_user_changes_no_later_request(
    model: OpenAIChat, provider: Provider
) -> None:
    quote = {"error": "cannot answer: what is the temperature in Paris?"}
    provider.judge = lambda _: (400, quote)
    with pytest.raises(Refused):
        await model.ainvoke("what is the temperature in Paris?", temperature=0.7)
    provider.judge = lambda _: (200, COUNTED)
    await model.ainvoke("hi", temperature=0.7)
    assert provider.bodies[-1]["temperature"] == 0.7


async def test_what_one_request_is_refused_for_is_not_learned_from_the_answer_of_another(
    model: OpenAIChat, provider: Provider
) -> None:
    def judge(body: Json) -> tuple[int, Json]:
        bad = "bad" in body["messages"][0]["content"]
        return (400, {"error": "Bad Request"}) if bad else (200, COUNTED)

    provider.judge = judge
    calls = [model.ainvoke(text, stream_usage=True) for text in ("bad", "good", "bad", "good")]
    await asyncio.gather(*calls, return_exceptions=True)
    await model.ainvoke("good", stream_usage=True)
    assert "stream_options" in provider.bodies[-1]


async def test_a_name_that_a_provider_refuses_is_left_out(
    model: OpenAIChat, provider: Provider
) -> None:
    def judge(body: Json) -> tuple[int, Json]:
        if any("name" in message for message in body["messages"]):
            return 422, {"detail": [{"loc": ["body", "messages", 0, "user", "name"], "msg": "no"}]}
        return 200, COUNTED

    provider.judge = judge
    for _ in range(2):
        await model.ainvoke([HumanMessage("hi", name="Ada L")])
    assert len(provider.bodies) == 3


async def test_a_developers_message_is_a_systems(model: OpenAIChat, provider: Provider) -> None:
    await model.ainvoke([ChatMessage(role="developer", content="be brief"), HumanMessage("hi")])
    assert [message["role"] for message in provider.bodies[0]["messages"]] == ["system", "user"]
