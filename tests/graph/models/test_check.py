"""Trying models out: what is found of those that answer, and where it ends for the others."""

from typing import Any

import pytest
from pydantic import HttpUrl, SecretStr

from everturn.graph.models.check import ModelCheck, check_models
from everturn.graph.models.provider import open_models
from tests.graph.conftest import BareModelSettings
from tests.provider import KEY, FakeProvider, Fault, Reply
from tests.provider.rules import refuses

pytestmark = pytest.mark.slow


async def checked(provider: FakeProvider, *names: str, **settings: Any) -> list[ModelCheck]:
    chosen: dict[str, Any] = {"models": list(names), **settings}
    made = BareModelSettings(
        base_url=HttpUrl(provider.url), openai_api_key=SecretStr(KEY), **chosen
    )
    async with open_models(made) as models:
        return (await check_models(models, names))[0]


async def test_a_model_that_can_do_everything(fake_provider: FakeProvider) -> None:
    fake_provider.script("a")
    [check] = await checked(fake_provider, "a")
    assert check.answers
    assert check.called
    assert check.pieces > 1
    assert check.usage
    assert check.problem is None
    for trial in (check.text, check.stream, check.tools):
        assert trial
        assert trial.failure is None
        assert trial.first_token is not None
        assert 0 < trial.first_token <= trial.seconds
    text, stream, tools = fake_provider.requests
    assert not text.tools
    assert not stream.tools
    assert list(tools.tools) == ["calculator"]


async def test_models_are_tried_side_by_side(fake_provider: FakeProvider) -> None:
    for name in ("a", "b"):
        fake_provider.script(name, Reply("OK", first_token=1.0))
    await checked(fake_provider, "a", "b")
    assert {request.model for request in fake_provider.requests[:2]} == {"a", "b"}


async def test_without_tools_it_still_answers(fake_provider: FakeProvider) -> None:
    fake_provider.script("a", "OK", "one two", Fault("no_tools"))
    [check] = await checked(fake_provider, "a")
    assert check.answers
    assert check.tools
    assert check.tools.failure
    assert check.tools.failure.kind == "no_tool_support"


async def test_a_model_that_makes_no_call(fake_provider: FakeProvider) -> None:
    fake_provider.script("a", "It is 42.")
    [check] = await checked(fake_provider, "a")
    assert check.answers
    assert not check.called


@pytest.mark.parametrize("kind", [401, 402, 429, 500, "html", "not_json", "cut", "empty"])
async def test_no_call_is_wasted_after_a_failure(fake_provider: FakeProvider, kind: Any) -> None:
    fake_provider.script("a", Fault(kind))
    [check] = await checked(fake_provider, "a")
    assert not check.answers
    assert check.stream is None
    assert check.tools is None
    assert check.problem
    assert fake_provider.calls() == 1


async def test_a_model_without_a_successor_is_waited_for(fake_provider: FakeProvider) -> None:
    for name in ("a", "b"):
        fake_provider.script(name, Reply("OK", first_token=1.0))
    first, last = await checked(fake_provider, "a", "b", first_token_timeout=0.1)
    assert first.failure
    assert first.failure.kind == "timeout"
    assert first.problem
    assert "EVERTURN_FIRST_TOKEN_TIMEOUT" in first.problem.text
    assert last.answers


async def test_no_check_takes_longer_than_a_turn(fake_provider: FakeProvider) -> None:
    fake_provider.script("a", "OK", Fault("silent"))
    [check] = await checked(fake_provider, "a", turn_timeout=2.0)
    assert check.stream
    assert check.stream.failure
    assert "EVERTURN_TURN_TIMEOUT" in check.stream.failure.message


async def test_refused_parameters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeProvider(profile="openai") as provider:
        rules = (refuses("stream_options", "unknown field stream_options"),)
        monkeypatch.setattr(provider.profile, "rules", rules, raising=False)
        [check] = await checked(provider, "a")
    assert check.answers
    assert check.refused == ["stream_options"]
    assert check.usage is None
