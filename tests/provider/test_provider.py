"""The fake must be right before what is tested with it can be: its wire, its faults, its record."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.provider import (
    EVERY_FAULT,
    KEY,
    FakeProvider,
    Fault,
    Offer,
    Reply,
    Request,
    ToolCall,
    chaos,
    echo,
)
from tests.provider.script import FaultName

pytestmark = pytest.mark.slow

HEADERS = {"Authorization": f"Bearer {KEY}"}
PATIENT = httpx2.Timeout(10)
IMPATIENT = httpx2.Timeout(10, read=0.4)  # where silence is what is expected
ENDING_FAULTS = [kind for kind in EVERY_FAULT if kind != "keepalive"]


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


def ask(
    provider: FakeProvider,
    text: str = "Hello",
    *,
    stream: bool = False,
    model: str = "model-a",
    timeout: httpx2.Timeout = PATIENT,
) -> httpx2.Response:
    """One call on the bare wire."""
    messages = [{"role": "user", "content": text}]
    body = {"model": model, "messages": messages, "stream": stream}
    url = f"{provider.url}/chat/completions"
    return httpx2.post(
        url,
        json=body,
        headers=HEADERS,
        timeout=timeout,
        verify=False,  # no TLS: skips reading CAs
    )


def events(response: httpx2.Response) -> list[dict[str, Any]]:
    lines = [line for line in response.text.split("\n\n") if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def chat(provider: FakeProvider, timeout: httpx2.Timeout = PATIENT) -> ChatOpenAI:
    key = SecretStr(KEY)
    return ChatOpenAI(
        base_url=provider.url, api_key=key, model="model-a", max_retries=0, timeout=timeout
    )


def call(model: Runnable[LanguageModelInput, AIMessage], text: str, *, stream: bool) -> AIMessage:
    if not stream:
        return model.invoke(text)
    whole: AIMessageChunk | None = None
    for part in model.stream(text):
        assert isinstance(part, AIMessageChunk)
        whole = part if whole is None else whole + part
    assert whole is not None
    return whole


def test_a_stream_has_openrouters_order(provider: FakeProvider) -> None:
    response = ask(provider, "one two", stream=True)
    parts = response.text.rstrip("\n").split("\n\n")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert (parts[0], parts[-1]) == (": OPENROUTER PROCESSING", "data: [DONE]")
    role, *words, finish, usage = events(response)
    assert role["choices"][0]["delta"] == {"role": "assistant"}
    said = [word["choices"][0]["delta"]["content"] for word in words]
    assert said == ["You", " said:", " one", " two"]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5
    assert usage["usage"]["cost"] == 0


@pytest.mark.parametrize("text", ["", " ", "a", "a b\n\nc  ", "\n# x\n\n- y\n"])
def test_the_pieces_of_a_stream_are_the_text(provider: FakeProvider, text: str) -> None:
    provider.script("model-a", Reply(text))
    deltas = [event["choices"][0]["delta"] for event in events(ask(provider, stream=True))[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == text


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_model_gets_text_usage_and_finish_reason(
    provider: FakeProvider, stream: bool
) -> None:
    answer = call(chat(provider), "Hi there", stream=stream)
    assert answer.text == "You said: Hi there"
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 6


def test_the_cost_follows_from_the_catalogues_prices(provider: FakeProvider) -> None:
    provider.offer(Offer("paid", prompt_price="0.5", completion_price="0.25"))
    provider.script("paid", "eight ch")
    provider.script("fixed", Reply("eight ch", cost=0.125))
    assert ask(provider, "four", model="paid").json()["usage"]["cost"] == 1.0
    assert ask(provider, "four", model="fixed").json()["usage"]["cost"] == 0.125


@tool
def calculator(expression: str) -> str:
    """Calculate."""
    return json.dumps({"success": True, "result": 200, "expression": expression})


@pytest.mark.parametrize("stream", [False, True])
def test_a_calculator_on_offer_is_used(provider: FakeProvider, stream: bool) -> None:
    model = chat(provider).bind_tools([calculator])
    question = HumanMessage("Calculate 10 * 20")
    asked = model.invoke([question], stream=stream)
    assert [(c["name"], c["args"]) for c in asked.tool_calls] == [
        ("calculator", {"expression": "10 * 20"})
    ]
    result = calculator.invoke(asked.tool_calls[0])
    assert isinstance(result, ToolMessage)
    assert model.invoke([question, asked, result], stream=stream).text == "The result is 200."


def test_tool_arguments_come_in_pieces(provider: FakeProvider) -> None:
    calls = [ToolCall("weather", {"city": "Reykjavík"}), ToolCall("search", {"query": "geysir"})]
    provider.script("model-a", Reply(tool_calls=calls))
    chunks = list(chat(provider).stream("What is it like in Iceland?"))
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert len(pieces) > 6
    whole = call(chat(provider), "again", stream=True)
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [
        ("weather", {"city": "Reykjavík"}),
        ("search", {"query": "geysir"}),
    ]
    assert len({c["id"] for c in whole.tool_calls}) == 2


def test_steps_are_served_in_turn_and_the_last_one_stays(provider: FakeProvider) -> None:
    provider.script("model-a", Fault(500), "fine", lambda request: f"call {request.number}")
    provider.script("model-b", "other")
    answers = [ask(provider) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 200, 200, 200]
    texts = [answer.json()["choices"][0]["message"]["content"] for answer in answers[1:]]
    assert texts == ["fine", "call 2", "call 3"]
    assert provider.calls("model-a") == 4
    assert provider.calls("model-b") == 0


def test_a_request_is_recorded(provider: FakeProvider) -> None:
    call(chat(provider).bind(temperature=0.1), "Hello", stream=True)
    (request,) = provider.requests
    assert request.model == "model-a"
    assert request.streamed
    assert request.messages == [{"role": "user", "content": "Hello"}]
    assert request.body["temperature"] == 0.1
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.ended.wait(5)
    assert not request.left.is_set()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (400, 400, openai.BadRequestError),
        (401, 401, openai.AuthenticationError),
        (402, 402, openai.APIStatusError),
        (403, 403, openai.PermissionDeniedError),
        (404, 404, openai.NotFoundError),
        (408, 408, openai.APIStatusError),
        (409, 409, openai.ConflictError),
        (413, 413, openai.APIStatusError),
        (422, 422, openai.UnprocessableEntityError),
        (429, 429, openai.RateLimitError),
        (500, 500, openai.InternalServerError),
        (529, 529, openai.InternalServerError),
        ("moderation", 403, openai.PermissionDeniedError),
        ("no_tools", 404, openai.NotFoundError),
        ("unknown_model", 400, openai.BadRequestError),
        ("context_too_long", 400, openai.BadRequestError),
        ("context_length_exceeded", 400, openai.BadRequestError),
    ],
)
def test_a_refusal_is_the_clients_error_for_its_status(
    provider: FakeProvider,
    kind: int | FaultName,
    status: int,
    error: type[openai.APIStatusError],
    stream: bool,
) -> None:
    provider.script("model-a", Fault(kind))
    with pytest.raises(error) as caught:
        call(chat(provider), "Hello", stream=stream)
    assert caught.value.status_code == status
    assert provider.calls() == 1


def test_a_limit_says_when_to_come_back(provider: FakeProvider) -> None:
    provider.script(
        "model-a", Fault(429, retry_after=2), Fault(429, reset_after=60, account_wide=True)
    )
    assert ask(provider).headers["retry-after"] == "2"
    daily = ask(provider)
    error = daily.json()["error"]
    assert "free-models-per-day" in error["message"]
    assert error["metadata"]["headers"]["X-RateLimit-Reset"] == daily.headers["x-ratelimit-reset"]
    assert int(daily.headers["x-ratelimit-reset"]) > 1_700_000_000_000  # milliseconds


@pytest.mark.parametrize(
    ("kind", "stream", "error"),
    [
        ("silent", False, httpx2.ReadTimeout),
        ("silent", True, httpx2.ReadTimeout),
        ("stall", False, httpx2.ReadTimeout),
        ("stall", True, httpx2.ReadTimeout),
        ("reset", False, httpx2.ReadError),
        ("reset", True, httpx2.ReadError),
        ("reset_in_stream", True, httpx2.ReadError),
        ("cut", False, httpx2.RemoteProtocolError),
        ("cut", True, httpx2.RemoteProtocolError),
    ],
)
def test_a_connection_breaks_as_connections_do(
    provider: FakeProvider, kind: FaultName, stream: bool, error: type[Exception]
) -> None:
    provider.script("model-a", Fault(kind))
    with pytest.raises(error):
        ask(provider, stream=stream, timeout=IMPATIENT)


@pytest.mark.parametrize(
    ("after", "seen"), [(0, []), (1, ["You"]), (99, ["You", " said:", " Hello"])]
)
def test_a_stream_stalls_after_as_many_pieces_as_asked(
    provider: FakeProvider, after: int, seen: list[str]
) -> None:
    provider.script("model-a", Fault("stall", after=after))
    got: list[str] = []
    with pytest.raises(openai.APITimeoutError):
        got.extend(chunk.text for chunk in chat(provider, IMPATIENT).stream("Hello"))
    assert [text for text in got if text] == seen


@pytest.mark.parametrize(("stream", "filler"), [(False, " "), (True, ": OPENROUTER PROCESSING")])
def test_a_keepalive_outlives_every_read_timeout(
    provider: FakeProvider, stream: bool, filler: str
) -> None:
    provider.script("model-a", Fault("keepalive", after=0))
    body = {"model": "model-a", "stream": stream, "messages": []}
    with httpx2.stream(
        "POST", f"{provider.url}/chat/completions", json=body, headers=HEADERS, timeout=IMPATIENT
    ) as response:
        chunks = response.iter_text()
        pieces = [next(chunks) for _ in range(10)]
    assert not "".join(pieces).replace(filler, "").strip()


@pytest.mark.parametrize(
    ("fault", "invoke_error", "stream_error"),
    [
        (Fault("error_in_200", code=429), ValueError, openai.APIError),
        (Fault("error_in_stream", code=503), ValueError, openai.APIError),
        (Fault("html"), ValueError, ValueError),
        (Fault("html", code=502), openai.InternalServerError, openai.InternalServerError),
        (Fault("not_json"), json.JSONDecodeError, json.JSONDecodeError),
    ],
)
def test_a_200_that_is_none(
    provider: FakeProvider,
    fault: Fault,
    invoke_error: type[Exception],
    stream_error: type[Exception],
) -> None:
    provider.script("model-a", fault)
    with pytest.raises(invoke_error):
        call(chat(provider), "Hello", stream=False)
    with pytest.raises(stream_error):
        call(chat(provider), "Hello", stream=True)


def test_an_error_in_mid_stream_comes_behind_text(provider: FakeProvider) -> None:
    provider.script("model-a", Fault("error_in_stream", code=503, message="overloaded"))
    *before, last = events(ask(provider, stream=True))
    text = [event["choices"][0]["delta"].get("content") for event in before]
    assert text == [None, "You", " said:"]
    assert last["error"] == {"message": "overloaded", "code": 503}
    assert last["choices"][0]["finish_reason"] == "error"


def test_a_tool_call_can_be_cut_in_its_arguments(provider: FakeProvider) -> None:
    city = Reply(tool_calls=[ToolCall("weather", {"city": "Paris"})])
    provider.script("model-a", Fault("no_finish", after=3, reply=city))
    answer = call(chat(provider), "Weather?", stream=True)
    assert "finish_reason" not in answer.response_metadata
    assert answer.tool_calls[0]["args"] == {"city": "Pa"}  # the repair that would be executed


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ENDING_FAULTS)
def test_no_fault_is_a_usable_answer(
    provider: FakeProvider, kind: int | FaultName, stream: bool
) -> None:
    provider.script("model-a", Fault(kind, after=99))
    try:
        response = ask(provider, stream=stream, timeout=IMPATIENT)
    except httpx2.TransportError:
        return
    if response.status_code == 200:
        assert not usable(response)
    else:
        assert response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_fault_is_a_usable_answer(provider: FakeProvider, stream: bool) -> None:
    provider.script("model-a", Reply(tool_calls=[ToolCall("calculator", {"expression": "1"})]), "x")
    assert usable(ask(provider, stream=stream))
    assert usable(ask(provider, stream=stream))


def usable(response: httpx2.Response) -> bool:
    """A strict reading: finished, and either text or one right call of the calculator."""
    try:
        bodies = events(response) or [response.json()]
    except json.JSONDecodeError:
        return False
    choices = [choice for body in bodies for choice in body.get("choices", [])]
    messages = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    calls = [c["function"] for message in messages for c in message.get("tool_calls", [])]
    name = "".join(call.get("name", "") for call in calls)
    arguments = "".join(call["arguments"] for call in calls)
    finished = {choice["finish_reason"] for choice in choices} & {"stop", "tool_calls"}
    said = any(message.get("content") for message in messages)
    right = (name, arguments) == ("calculator", '{"expression": "1"}')
    return bool(finished) and (right if calls else said)


def test_refused(provider: FakeProvider) -> None:
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{provider.refused_url}/models")
    with provider.down(), pytest.raises(httpx2.ConnectError):
        ask(provider)
    assert ask(provider).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "step", [Fault("silent"), Fault("stall"), Fault("keepalive"), Reply("a b", between=60)]
)
async def test_a_client_that_leaves_is_noticed(
    provider: FakeProvider, step: Fault | Reply, stream: bool
) -> None:
    provider.script("model-a", step)
    body = {"model": "model-a", "messages": [], "stream": stream}
    async with httpx2.AsyncClient(timeout=None, headers=HEADERS) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.post(f"{provider.url}/chat/completions", json=body), 0.3)
    assert await asyncio.to_thread(provider.requests[0].left.wait, 10)
    assert await asyncio.to_thread(provider.requests[0].ended.wait, 10)


def test_chaos_strikes_the_same_calls_again_and_others_with_another_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        step = chaos(0.3, 429, "cut", seed=seed)
        requests = (Request("model-a", {}, {}, number) for number in range(300))
        return [isinstance(step(request), Fault) for request in requests]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 60 < sum(strikes(1)) < 120


def test_the_catalogue_has_openrouters_fields(provider: FakeProvider) -> None:
    provider.offer(Offer("small:free", context_length=8192, supported_parameters=("max_tokens",)))
    provider.script("scripted", echo)
    small, scripted = httpx2.get(f"{provider.url}/models", headers=HEADERS).json()["data"]
    assert (small["id"], scripted["id"]) == ("small:free", "scripted")
    assert small["context_length"] == 8192
    assert small["pricing"]["prompt"] == "0"
    assert "tools" not in small["supported_parameters"]
    assert "tools" in scripted["supported_parameters"]


def test_a_wrong_key_and_none_are_refused() -> None:
    with FakeProvider(key="right") as provider:
        url = f"{provider.url}/models"
        assert ask(provider).status_code == httpx2.get(url, headers=HEADERS).status_code == 401
        assert provider.keyless == []
        assert httpx2.get(url).status_code == 401
        assert provider.keyless == ["/v1/models"]
        provider.key = KEY
        assert ask(provider).status_code == httpx2.get(url, headers=HEADERS).status_code == 200


def test_it_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "tests.provider", "--port", "0", "--script", "a:free=429,ok"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            body = {"model": "a:free", "messages": []}
            statuses = [
                httpx2.post(f"{url}/chat/completions", json=body, headers=HEADERS).status_code
                for _ in range(3)
            ]
        finally:
            process.send_signal(signal.SIGTERM)
    assert statuses == [429, 200, 200]
    assert process.returncode == 0
