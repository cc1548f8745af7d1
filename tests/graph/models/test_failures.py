"""Every fault of a provider ends in the class that says what can be done about it."""

import time
from collections.abc import Callable
from email.utils import formatdate

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from everturn.graph.models.call import Call
from everturn.graph.models.failures import Failure, detail_of, failure_in, failure_of
from everturn.graph.models.openai_chat import OpenAIChat
from everturn.graph.models.wire import Refused
from tests.provider import EVERY_FAULT, KEY, FakeProvider, Fault, Reply
from tests.waiting import PATIENCE

pytestmark = pytest.mark.clock

WITH_TEXT = Reply("one two three four five six")

TABLE = [
    (Fault(400), "bad_request"),
    (Fault(401), "invalid_api_key"),
    (Fault(402), "payment_required"),
    (Fault(403), "invalid_api_key"),
    (Fault("moderation"), "moderated"),
    (Fault(404), "not_found"),
    (Fault("unknown_model"), "not_found"),
    (Fault("no_tools"), "no_tool_support"),
    (Fault(408), "unavailable"),
    (Fault(409), "unavailable"),
    (Fault(413), "context_too_long"),
    (Fault("context_too_long"), "context_too_long"),
    (Fault("context_length_exceeded"), "context_too_long"),
    (Fault(422), "bad_request"),
    (Fault(429, retry_after=3), "rate_limited"),
    (Fault(429, reset_after=3, account_wide=True), "account_limited"),
    (Fault(500), "unavailable"),
    (Fault(502), "unavailable"),
    (Fault(503), "unavailable"),
    (Fault(504), "unavailable"),
    (Fault(529), "unavailable"),
    (Fault("silent"), "timeout"),
    (Fault("reset"), "unreachable"),
    (Fault("html"), "malformed"),
    (Fault("html", code=502), "unavailable"),
    (Fault("html", code=403), "unavailable"),
    (Fault("not_json"), "malformed"),
    (Fault("no_choices"), "malformed"),
    (Fault("no_finish", reply=WITH_TEXT), "cut"),
    (Fault("cut", reply=WITH_TEXT), "cut"),
    (Fault("cut", after=0), "unreachable"),
    (Fault("reset_in_stream", reply=WITH_TEXT), "cut"),
    (Fault("stall", reply=WITH_TEXT), "stalled"),
    (Fault("stall", after=0), "timeout"),
    (Fault("keepalive", reply=WITH_TEXT), "stalled"),
    (Fault("keepalive", after=0), "timeout"),
    (Fault("empty"), "empty"),
    (Fault("content_filter"), "filtered"),
    (Fault("broken_tool_json"), "broken_tool_call"),
    (Fault("error_in_200", code=429), "rate_limited"),
    (Fault("error_in_200", code=401), "invalid_api_key"),
    (Fault("error_in_stream", code=502, reply=WITH_TEXT), "unavailable"),
]
# Short where silence is what is tried: a slow machine is not taken for it.
DEADLINES = {"timeout": {"first_token_timeout": 0.5}, "stalled": {"stall_timeout": 0.3}}
FINE_ON_THE_WIRE = {"unknown_tool", "wrong_arguments"}  # what is wrong there the tools say


def _model(
    provider: FakeProvider, http: openai.DefaultAsyncHttpxClient, deadlines: dict[str, float]
) -> OpenAIChat:
    return OpenAIChat(
        model="m",
        base_url=provider.url,
        api_key=SecretStr(KEY),
        http_async_client=http,
        max_retries=0,
        first_token_timeout=deadlines.get("first_token_timeout", PATIENCE),
        stall_timeout=deadlines.get("stall_timeout", PATIENCE),
    )


async def _outcome(
    provider: FakeProvider, *, streamed: bool, **deadlines: float
) -> AIMessage | Failure:
    call = Call()
    async with openai.DefaultAsyncHttpxClient() as http:
        try:
            model = _model(provider, http, deadlines)
            return await model.ainvoke("hello", stream=streamed, call=call)
        except Exception as error:
            return failure_of(error, midway=call.answer.started)


def test_the_table_knows_every_fault() -> None:
    assert {fault.kind for fault, _ in TABLE} == set(EVERY_FAULT) - FINE_ON_THE_WIRE


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"), TABLE, ids=lambda v: str(v.kind) if isinstance(v, Fault) else None
)
async def test_a_fault_is_classified(
    fault: Fault, kind: str, streamed: bool, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", fault)
    deadlines = DEADLINES.get(kind, {})
    outcome = await _outcome(fake_provider, streamed=streamed, **deadlines)
    assert isinstance(outcome, Failure)
    assert outcome.kind == kind
    assert KEY not in outcome.message + outcome.detail


@pytest.mark.parametrize(
    ("status", "code", "says", "kind"),
    [
        (403, "model_not_found", "Project `p` does not have access to model `m`", "not_found"),
        (403, None, "Access to model denied.", "not_found"),
        (400, 400, "API key not valid. Please pass a valid API key.", "invalid_api_key"),
        (400, None, "library/m does not support tools", "no_tool_support"),
        (400, 400, '"auto" tool choice requires --enable-auto-tool-choice', "no_tool_support"),
        (429, "insufficient_quota", "You exceeded your current quota.", "payment_required"),
        (429, 429, "You exceeded your current quota.", "rate_limited"),  # Gemini, of one model
        (400, None, "prompt is too long: 208310 tokens > 200000 maximum", "context_too_long"),
        (400, 400, "the request exceeds the available context size", "context_too_long"),
        (
            *(400, 400, "The input token count exceeds the maximum number of tokens allowed (9)."),
            "context_too_long",
        ),
    ],
)
def test_what_a_status_does_not_tell_the_text_does(
    status: int, code: int | str | None, says: str, kind: str
) -> None:
    error = {"code": code, "message": says}
    refused = Refused(httpx2.Response(status, json={"error": error}), error)
    assert failure_of(refused).kind == kind


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529])
@pytest.mark.parametrize("streamed", [False, True])
async def test_langchains_own_client_fails_in_the_same_classes(
    code: int, streamed: bool, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", Fault(code), Fault("error_in_200", code=code))
    model = ChatOpenAI(
        model="m",
        base_url=fake_provider.url,
        api_key=SecretStr(KEY),
        max_retries=0,
        streaming=streamed,
    )
    kinds = []
    for _ in range(2):
        try:
            await model.ainvoke("hello")
        except Exception as error:
            kinds.append(failure_of(error).kind)
    assert kinds == [next(kind for fault, kind in TABLE if fault.kind == code)] * 2


async def test_a_refused_connection_is_unreachable(fake_provider: FakeProvider) -> None:
    with fake_provider.down():
        outcome = await _outcome(fake_provider, streamed=True)
    assert isinstance(outcome, Failure)
    assert outcome.kind == "unreachable"


@pytest.mark.parametrize(
    "fault", [Fault(429, retry_after=7), Fault(429, reset_after=7), Fault(503, retry_after=7)]
)
async def test_a_failure_says_when_to_come_back(fault: Fault, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", fault)
    outcome = await _outcome(fake_provider, streamed=False)
    assert isinstance(outcome, Failure)
    assert outcome.retry_after == pytest.approx(7, abs=2)


@pytest.mark.parametrize(
    "tell",
    [
        lambda _: "30",
        str,
        lambda moment: str(moment * 1000),
        formatdate,
    ],
)
def test_when_to_come_back_is_told_in_many_ways(tell: Callable[[float], str]) -> None:
    headers = {"X-RateLimit-Reset": tell(time.time() + 30)}
    failure = failure_in({"code": 429, "message": "slow", "metadata": {"headers": headers}})
    assert failure.retry_after == pytest.approx(30, abs=5)


@pytest.mark.parametrize(
    "told", ["inf", "1e300", "1e30", "99999999", "Sun, 01 Jan 9999 00:00:00 GMT"]
)
def test_nobody_is_told_to_come_back_never(told: str) -> None:
    headers = {"Retry-After": told}
    failure = failure_in({"code": 429, "message": "slow", "metadata": {"headers": headers}})
    assert failure.retry_after == 86_400


@pytest.mark.parametrize("key", ["sk-or-v1-abcdef0123456789", "zz-live-0123456789abcdef"])
def test_what_a_provider_writes_is_not_for_the_caller(key: str) -> None:
    failure = failure_in({"code": 429, "message": f"bad key {key} for {key}!"})
    assert failure.kind == "rate_limited"
    assert failure.message == "HTTP 429 Too Many Requests"
    assert failure.detail == "bad key … for …!"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_whole_answer_is_none(streamed: bool, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", Reply("Hello there.", cost=0.5))
    call = Call()
    async with openai.DefaultAsyncHttpxClient() as http:
        answer = await _model(fake_provider, http, {}).ainvoke("hello", stream=streamed, call=call)
    assert isinstance(answer, AIMessage)
    assert answer.text == call.answer.text == "Hello there."
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["cost"] == 0.5
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 4
    assert call.first_token is not None


def test_a_long_text_of_a_provider_is_searched_for_keys_in_no_time() -> None:
    # Quadratic in the whole of it, this took minutes; a provider may repeat what a user wrote.
    text = detail_of("a-" * 2_000_000 + "sk-secret")
    assert text.startswith("a-a-")
    assert len(text) <= 300
