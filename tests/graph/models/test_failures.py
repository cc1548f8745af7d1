"""Every fault of a provider ends in the class that says what can be done about it."""

import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from graph.models.failures import Failure, failure_of, flaw_of
from graph.models.heard import Heard
from tests.provider import FakeProvider, Fault, Reply

WITH_TEXT = Reply("one two three four five six")


async def _outcome(provider: FakeProvider, *, streamed: bool) -> AIMessage | Failure:
    model = ChatOpenAI(
        model="m",
        base_url=provider.url,
        api_key=SecretStr("sk-secret"),
        max_retries=0,
        timeout=0.5,
        stream_chunk_timeout=0.5,
        streaming=streamed,
    )
    heard = Heard()
    try:
        answer = await model.ainvoke("hello", {"callbacks": [heard]})
    except Exception as error:
        return failure_of(error)
    if heard.broken_tool_call:
        return Failure("malformed", "")
    return flaw_of(answer) or answer


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(400), "bad_request"),
        (Fault(401), "invalid_api_key"),
        (Fault(402), "payment_required"),
        (Fault(403), "invalid_api_key"),
        (Fault("moderation"), "filtered"),
        (Fault(404), "not_found"),
        (Fault("no_tools"), "not_found"),
        (Fault(408), "unavailable"),
        (Fault(409), "unavailable"),
        (Fault(413), "context_too_long"),
        (Fault("context_too_long"), "context_too_long"),
        (Fault("context_length_exceeded"), "context_too_long"),
        (Fault(422), "bad_request"),
        (Fault(429, retry_after=3), "rate_limited"),
        (Fault(500), "unavailable"),
        (Fault(502), "unavailable"),
        (Fault(503), "unavailable"),
        (Fault(529), "unavailable"),
        (Fault("silent"), "timeout"),
        (Fault("reset"), "unreachable"),
        (Fault("html"), "malformed"),
        (Fault("not_json"), "malformed"),
        (Fault("no_choices"), ("malformed", "cut")),
        (Fault("no_finish", reply=WITH_TEXT), "cut"),
        (Fault("cut", reply=WITH_TEXT), ("unreachable", "cut")),
        (Fault("stall", reply=WITH_TEXT), "timeout"),
        (Fault("empty"), "empty"),
        (Fault("content_filter"), "filtered"),
        (Fault("broken_tool_json"), "malformed"),
        (Fault("error_in_200", code=429), "rate_limited"),
        (Fault("error_in_stream", code=502, reply=WITH_TEXT), "unavailable"),
    ],
    ids=lambda value: str(value.kind) if isinstance(value, Fault) else None,
)
async def test_a_fault_is_classified(
    fault: Fault, kind: str | tuple[str, ...], streamed: bool, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", fault)
    outcome = await _outcome(fake_provider, streamed=streamed)
    assert isinstance(outcome, Failure)
    assert outcome.kind in kind if isinstance(kind, tuple) else outcome.kind == kind
    assert "sk-secret" not in outcome.message


async def test_a_refused_connection_is_unreachable(fake_provider: FakeProvider) -> None:
    with fake_provider.down():
        outcome = await _outcome(fake_provider, streamed=True)
    assert isinstance(outcome, Failure)
    assert outcome.kind == "unreachable"


@pytest.mark.parametrize("key", ["sk-or-v1-abcdef0123456789", "zz-live-0123456789abcdef"])
def test_what_a_provider_writes_is_not_for_the_caller(key: str) -> None:
    failure = failure_of(ValueError({"code": 429, "message": f"bad key {key} for {key}!"}))
    assert failure.kind == "rate_limited"
    assert failure.message == "HTTP 429 Too Many Requests"
    assert failure.detail == "bad key … for …!"


def test_a_good_answer_has_no_flaw() -> None:
    good = AIMessage("hello", response_metadata={"finish_reason": "stop"})
    assert flaw_of(good) is None
