"""What happens when models fail, end to end: the route taken, what was shown, and what it cost."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import HttpUrl, SecretStr
from structlog.testing import capture_logs

from everturn.graph import agent
from everturn.graph.context import Context
from everturn.graph.errors import InvalidAPIKey, NoModelLeft, ProviderFailed, RequestRefused
from everturn.graph.models.failures import CallFailed, Failure
from everturn.graph.models.provider import Models, open_models
from everturn.graph.state import Input
from everturn.graph.steps import choice
from tests.graph.conftest import CHAIN, BareModelSettings
from tests.provider import KEY, FakeProvider, Fault, Offer, Reply, Request, ToolCall
from tests.provider.script import FaultName
from tests.waiting import PATIENCE

pytestmark = pytest.mark.clock

Share = Callable[..., RunnableConfig]


@asynccontextmanager
async def _models(provider: FakeProvider, *chain: str, **settings: Any) -> AsyncIterator[Models]:
    made = BareModelSettings(
        base_url=HttpUrl(provider.url),
        openai_api_key=SecretStr(KEY),
        models=list(chain or CHAIN),
        **{"first_token_timeout": PATIENCE, "stall_timeout": PATIENCE, **settings},
    )
    async with open_models(made) as models:
        yield models


async def _messages(models: Models, share: Share, **choices: Any) -> list[AnyMessage]:
    done = await agent.graph.ainvoke(
        Input(messages=[HumanMessage("hello")]), share(models), context=Context(**choices)
    )
    messages: list[AnyMessage] = done["messages"]
    return messages


async def _answer(models: Models, share: Share, **choices: Any) -> tuple[AIMessage, dict[str, Any]]:
    answer = (await _messages(models, share, **choices))[-1]
    assert isinstance(answer, AIMessage)
    return answer, answer.response_metadata["route"]


def _only_where_calls_have_a_price(provider: FakeProvider) -> None:
    if provider.profile.name != "openrouter":
        pytest.skip("no other provider says what a call cost")


def _failures(route: dict[str, Any]) -> list[str]:
    return [f"{attempt['model']}:{attempt['failure']}" for attempt in route["tried"]]


# Deadlines


@pytest.mark.parametrize("kind", ["silent", "stall", "keepalive"])
@pytest.mark.parametrize("after", [0, 2])
async def test_silence_has_an_end(
    kind: Any, after: int, fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault(kind, after=after))
    begun = kind != "silent" and after
    # One of the deadlines is short: a slow machine that misses it, too, has the next model tried.
    deadline = {"stall_timeout": 0.2} if begun else {"first_token_timeout": 0.2}
    async with _models(fake_provider, **deadline) as models:
        _, route = await _answer(models, share)
    assert _failures(route)[0] == ("model-a:stalled" if begun else "model-a:timeout")
    assert route["tried"][0]["seconds"] >= 0.2
    assert fake_provider.requests[0].left.wait(PATIENCE)


async def test_a_turn_ends_in_time_whatever_trickles_in(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("*", Reply("word " * 10_000, between=0.05))
    async with _models(fake_provider, turn_timeout=2.0) as models:
        begun = time.monotonic()
        _, route = await _answer(models, share)
    assert time.monotonic() - begun < PATIENCE  # the words would take 500 s a model
    assert route["mode"] == "offline"
    # On a busy machine the time may be up before the first word is read.
    assert _failures(route) in (["model-a:stalled"], ["model-a:timeout"])


# Passes and waiting


async def test_what_fails_in_passing_is_asked_again(
    fake_provider: FakeProvider, share: Share
) -> None:
    for model in CHAIN:
        fake_provider.script(model, Fault(503), "Back.")
    async with _models(fake_provider) as models:
        answer, route = await _answer(models, share)
    assert answer.text == "Back."
    assert _failures(route) == [f"{model}:unavailable" for model in CHAIN]
    assert (route["model"], route["mode"]) == ("model-a", "fallback")


async def test_a_limit_of_a_moment_is_waited_for(fake_provider: FakeProvider, share: Share) -> None:
    fake_provider.script("model-a", Fault(429, retry_after=0.3), "Thank you for waiting.")
    async with _models(fake_provider, "model-a") as models:
        answer, route = await _answer(models, share)
    assert answer.text == "Thank you for waiting."
    assert _failures(route) == ["model-a:rate_limited"]
    assert (route["model"], route["mode"]) == ("model-a", "retry")


@pytest.mark.parametrize(
    ("chain", "mode", "steps"),
    [
        (["model-a"], "retry", [("retry", "model-a", "model-a")]),
        (
            ["model-a", "model-b"],
            "fallback",
            [("fallback", "model-a", "model-b"), ("fallback", "model-b", "model-a")],
        ),
    ],
    ids=["alone", "of two"],
)
async def test_the_same_model_once_more_is_a_retry(
    chain: list[str],
    mode: str,
    steps: list[tuple[str, str, str]],
    fake_provider: FakeProvider,
    share: Share,
) -> None:
    for model in chain:
        fake_provider.script(model, Fault(503), "Back.")
    asked = Input(messages=[HumanMessage("hello")])
    customs: list[Any] = []
    state: Any = None
    async with _models(fake_provider, *chain) as models:
        async for mode_of, data in agent.graph.astream(
            asked, share(models), stream_mode=["custom", "values"]
        ):
            if mode_of == "custom":
                customs.append(data)
            else:
                state = data
    assert [(each["type"], each["from"], each["to"]) for each in customs] == steps
    assert {each["reason"] for each in customs} == {"unavailable"}
    route = state["messages"][-1].response_metadata["route"]
    assert (route["model"], route["mode"]) == ("model-a", mode)


async def test_a_second_choice_asked_again_is_a_fallback_still(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault(404))
    fake_provider.script("model-b", Fault(503), "Back.")
    async with _models(fake_provider, "model-a", "model-b") as models:
        _, route = await _answer(models, share)
        _, later = await _answer(models, share)
    assert _failures(route) == ["model-a:not_found", "model-b:unavailable"]
    assert (route["model"], route["mode"]) == ("model-b", "fallback")
    assert (later["model"], later["mode"]) == ("model-b", "fallback")


# The breaker


async def test_the_second_turn_spends_nothing_on_a_dead_model(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault("reset"))
    async with _models(fake_provider) as models:
        await _answer(models, share)
        _, route = await _answer(models, share)
    assert (route["model"], route["mode"], route["tried"]) == ("model-b", "fallback", [])
    assert fake_provider.calls("model-a") == 1


async def test_while_one_tries_whether_the_only_model_is_back_the_others_are_not_left_alone(
    fake_provider: FakeProvider, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everturn.graph.models.circuits._COOL", 0.05)
    fake_provider.script("model-a", Reply("I am back.", first_token=0.3))
    async with _models(fake_provider, "model-a") as models:
        await models.breaker.failed("model-a", Failure("timeout", ""))
        await asyncio.sleep(0.1)
        assert (await models.breaker.view())["model-a"].state == "half_open"
        answers = await asyncio.gather(*(_answer(models, share) for _ in range(5)))
    assert [answer.text for answer, _ in answers] == ["I am back."] * 5


async def test_a_refused_key_is_not_tried_again_by_the_next_turn(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.key = "another"
    async with _models(fake_provider) as models:
        for _ in range(3):
            with pytest.raises(InvalidAPIKey):
                await _answer(models, share)
    assert fake_provider.calls() == 1


async def test_without_credits_the_free_models_are_left(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("paid", Fault(402))
    async with _models(fake_provider, "paid", "dear", "gift:free") as models:
        _, route = await _answer(models, share)
    assert _failures(route) == ["paid:payment_required"]
    assert route["model"] == "gift:free"
    assert fake_provider.calls("dear") == 0


async def test_a_limit_of_the_account_leaves_the_paid_models(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("gift:free", Fault(429, reset_after=60, account_wide=True))
    async with _models(fake_provider, "gift:free", "other:free", "paid") as models:
        _, route = await _answer(models, share)
    assert _failures(route) == ["gift:free:account_limited"]
    assert route["model"] == "paid"
    assert fake_provider.calls("other:free") == 0


# The request


@pytest.mark.parametrize("fault", [Fault(400), Fault(422), Fault("moderation")])
async def test_two_models_that_refuse_the_request_are_believed(
    fault: Fault, fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("*", fault)
    async with _models(fake_provider) as models:
        with pytest.raises(RequestRefused):
            await _answer(models, share)
    assert fake_provider.calls() == 2


async def test_what_the_only_model_moderates_does_not_spoil_the_thread(
    fake_provider: FakeProvider, share: Share
) -> None:
    def moderate(request: Request) -> Fault | str:
        return Fault("moderation") if "awful" in str(request.messages) else "Nice."

    fake_provider.script("model-a", moderate)
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    async with _models(fake_provider, "model-a") as models:
        config = share(models, thread_id="t")
        with pytest.raises(RequestRefused, match="moderation"):
            await graph.ainvoke(Input(messages=[HumanMessage("something awful")]), config)
        done = await graph.ainvoke(Input(messages=[HumanMessage("something nice")]), config)
    assert [message.text for message in done["messages"]] == ["something nice", "Nice."]


async def test_a_thread_too_long_is_shown_its_last_turn_only(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", "First.", Fault("context_too_long"), "Short.")
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    async with _models(fake_provider, "model-a") as models:
        config = share(models, thread_id="t")
        for text in ("one", "two"):
            done = await graph.ainvoke(Input(messages=[HumanMessage(text)]), config)
    assert done["messages"][-1].text == "Short."
    assert [len(request.messages) for request in fake_provider.requests] == [2, 4, 2]
    assert len(done["messages"]) == 4


async def test_wrong_tool_calls_are_told_twice_then_the_next_is_asked(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault("unknown_tool"), Fault("wrong_arguments"))
    fake_provider.script("model-b", "I can do without.")
    async with _models(fake_provider) as models:
        messages = await _messages(models, share)
    told = [message for message in messages if isinstance(message, ToolMessage)]
    assert [message.status for message in told] == ["error", "error"]
    assert fake_provider.calls("model-a") == 3
    assert messages[-1].text == "I can do without."
    assert _failures(messages[-1].response_metadata["route"]) == ["model-a:wrong_tool_call"]


async def test_a_tool_loop_stays_with_the_model_it_fell_back_to(
    fake_provider: FakeProvider, share: Share
) -> None:
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "1 + 1"})])
    fake_provider.script("model-a", Fault(500), "I am back, but it is not my turn.")
    fake_provider.script("model-b", call, "Two.")
    async with _models(fake_provider) as models:
        messages = await _messages(models, share)
    assert messages[-1].text == "Two."
    assert [request.model for request in fake_provider.requests] == [
        *("model-a", "model-b", "model-b")
    ]


async def test_tools_of_a_dead_stream_never_run(fake_provider: FakeProvider, share: Share) -> None:
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "123456 * 654321"})])
    fake_provider.script("model-a", Fault("no_finish", reply=call, after=4))
    async with _models(fake_provider) as models:
        messages = await _messages(models, share)
    assert not any(isinstance(message, ToolMessage) for message in messages)
    assert _failures(messages[-1].response_metadata["route"]) == ["model-a:cut"]


# Nobody left


async def test_the_offline_model_named_by_the_caller_stands_in_for_nobody(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault(500))
    async with _models(fake_provider) as models:
        done = await agent.graph.ainvoke(
            Input(messages=[HumanMessage("Calculate 2 * 3")]),
            share(models),
            context=Context(model=["model-a", "offline"]),
        )
    answer = done["messages"][-1]
    assert answer.text == "2 * 3 = 6"
    assert answer.response_metadata["route"]["degraded"] is False


async def test_an_offline_answer_can_be_unwanted(fake_provider: FakeProvider, share: Share) -> None:
    fake_provider.script("*", Fault(429, retry_after=40))
    async with _models(fake_provider, offline_answer=False) as models:
        with pytest.raises(NoModelLeft, match="429") as raised:
            await _answer(models, share)
        assert raised.value.retry_after is not None
        assert 1 <= raised.value.retry_after <= 40
        _, route = await _answer(models, share, offline_answer=True)
    assert route["degraded"]


async def test_a_bug_in_the_router_still_ends_in_an_answer(
    fake_provider: FakeProvider, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(choice, "next_step", broken)
    async with _models(fake_provider) as models:
        _, route = await _answer(models, share)
    assert (route["mode"], route["degraded"]) == ("offline", True)
    assert fake_provider.calls() == 0


async def test_a_bug_in_what_joins_the_prompt_costs_no_answer(
    fake_provider: FakeProvider, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    for step in ("memories_of_turn", "summed_up"):
        monkeypatch.setattr(f"everturn.graph.nodes.model.{step}", broken)
        fake_provider.script("model-a", Reply("Here."))
        async with _models(fake_provider) as models:
            answer, route = await _answer(models, share)
        assert (answer.text, route["mode"]) == ("Here.", "primary")


# Usage and cost


async def test_failed_attempts_are_paid_for_too(fake_provider: FakeProvider, share: Share) -> None:
    _only_where_calls_have_a_price(fake_provider)
    fake_provider.script("model-a", Reply("", cost=0.25))  # empty, but billed
    fake_provider.script("model-b", Reply("Here.", cost=0.5))
    async with _models(fake_provider) as models:
        answer, route = await _answer(models, share)
    assert answer.response_metadata["cost"] == 0.5
    assert route["cost"] == 0.75
    (attempt,) = route["tried"]
    assert attempt["cost"] == 0.25
    total = attempt["usage"]["total_tokens"] + answer.usage_metadata["total_tokens"]  # type: ignore[index]  # it is there
    assert route["usage"]["total_tokens"] == total


# Hedging


async def test_the_first_to_speak_answers_and_the_other_is_closed(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Reply("Too late.", first_token=30))
    fake_provider.script("model-b", "I was quicker.")
    seen: dict[str | None, str] = {}
    async with _models(fake_provider, hedge_after=0.1, first_token_timeout=20.0) as models:
        async for message, _ in agent.graph.astream(
            Input(messages=[HumanMessage("hello")]), share(models), stream_mode="messages"
        ):
            assert isinstance(message, AIMessage)
            seen[message.id] = seen.get(message.id, "") + message.text
        _, route = await _answer(models, share)
    assert list(seen.values()) == ["I was quicker."]
    assert (route["model"], route["mode"]) == ("model-b", "fallback")
    assert _failures(route) == ["model-a:outrun"]
    assert fake_provider.requests[0].left.wait(PATIENCE)


async def test_a_rival_is_timed_from_when_it_was_asked(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault("silent"))
    async with _models(fake_provider, hedge_after=0.8) as models:
        begun = time.monotonic()
        await _answer(models, share)
        seconds = time.monotonic() - begun
        latency = models.breaker.vitals["model-b"].latency
    assert latency is not None
    assert 0 < latency < seconds - 0.7


async def test_a_quick_model_has_no_rival(fake_provider: FakeProvider, share: Share) -> None:
    async with _models(fake_provider, hedge_after=PATIENCE) as models:
        await _answer(models, share)
    assert fake_provider.calls() == 1


async def test_in_a_race_one_may_fail(fake_provider: FakeProvider, share: Share) -> None:
    fake_provider.script("model-a", Reply("Slow, but there.", first_token=2))
    fake_provider.script("model-b", Fault(500))
    fake_provider.script("model-c", Fault(429))
    with capture_logs() as logs:
        async with _models(fake_provider, hedge_after=0.1) as models:
            answer, route = await _answer(models, share)
    assert answer.text == "Slow, but there."
    assert _failures(route) == ["model-b:unavailable", "model-c:rate_limited"]
    logged = [(log["event"], log["model"], log["failure"]) for log in logs]
    assert logged == [
        ("model_failed", "model-b", "unavailable"),
        ("model_failed", "model-c", "rate_limited"),
    ]


async def test_a_race_goes_on_after_a_rival_that_fails(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault("silent"))
    fake_provider.script("model-b", Fault(500))
    fake_provider.script("model-c", "The third one answers.")
    async with _models(fake_provider, hedge_after=0.1, first_token_timeout=60.0) as models:
        answer, route = await _answer(models, share)
    assert answer.text == "The third one answers."
    assert _failures(route) == ["model-b:unavailable", "model-a:outrun"]


@pytest.mark.parametrize("nothing", ["empty", "no_choices"])
async def test_an_answer_that_says_nothing_wins_no_race(
    fake_provider: FakeProvider, share: Share, nothing: FaultName
) -> None:
    fake_provider.script("model-a", Reply("Slow, but there.", first_token=1))
    fake_provider.script("model-b", Fault(nothing, reply=Reply("")))
    async with _models(fake_provider, "model-a", "model-b", hedge_after=0.1) as models:
        answer, route = await _answer(models, share)
    assert answer.text == "Slow, but there."
    assert [attempt["model"] for attempt in route["tried"]] == ["model-b"]
    assert fake_provider.calls("model-a") == 1


async def test_who_was_only_slower_is_asked_again_when_the_winner_breaks_off(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Reply("Slow, but there.", first_token=1))
    fake_provider.script("model-b", Fault("cut", after=1))
    async with _models(fake_provider, "model-a", "model-b", hedge_after=0.1) as models:
        answer, route = await _answer(models, share)
    assert answer.text == "Slow, but there."
    assert _failures(route)[:2] == ["model-a:outrun", "model-b:cut"]


async def test_a_single_model_that_loads_is_waited_for(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Reply("Loaded at last.", first_token=1.0))
    limits = {"first_token_timeout": 0.2, "turn_timeout": 60.0}
    async with _models(fake_provider, "model-a", **limits) as models:
        answer, route = await _answer(models, share)
    assert answer.text == "Loaded at last."
    assert _failures(route) == []
    assert route["model"] == "model-a"


async def test_free_models_are_never_hedged(fake_provider: FakeProvider, share: Share) -> None:
    fake_provider.script("*", Reply("Slow.", first_token=0.4))
    async with _models(fake_provider, "gift:free", "paid", hedge_after=0.05) as models:
        await _answer(models, share)
    async with _models(fake_provider, "paid", "gift:free", hedge_after=0.05) as models:
        await _answer(models, share)
    assert [request.model for request in fake_provider.requests] == ["gift:free", "paid"]


async def test_a_caller_who_leaves_a_race_ends_both_calls(
    fake_provider: FakeProvider, share: Share
) -> None:
    asked = threading.Event()

    def silent(request: Request) -> Fault:
        if request.model == "model-b":
            asked.set()
        return Fault("silent")

    fake_provider.script("*", silent)
    async with _models(fake_provider, hedge_after=0.05, first_token_timeout=60.0) as models:
        running = asyncio.create_task(_answer(models, share))
        assert await asyncio.to_thread(asked.wait, PATIENCE)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert all(request.left.wait(PATIENCE) for request in fake_provider.requests)


# The stream


async def test_buffered_an_answer_is_shown_when_it_is_whole(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault("cut", reply=Reply("one two three four"), after=3))
    fake_provider.script("model-b", "All of it.")
    shown: list[Any] = []
    customs: list[Any] = []
    async with _models(fake_provider) as models:
        async for mode, data in agent.graph.astream(
            Input(messages=[HumanMessage("hello")]),
            share(models),
            context=Context(stream_policy="buffer"),
            stream_mode=["messages", "custom"],
        ):
            (shown if mode == "messages" else customs).append(data)
    assert [message.text for message, _ in shown] == ["All of it."]
    assert [custom["type"] for custom in customs] == ["fallback"]  # nothing to take back


# Choosing by need


async def test_the_catalogue_is_what_the_provider_lists(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.offer(
        Offer("model-a", context_length=8_000, supported_parameters=("max_tokens",)),
        Offer("model-b", prompt_price="0.000002", completion_price="0.00001"),
        Offer("model-c", prompt_price="0.000001", completion_price="0.000002"),
        Offer("elsewhere", context_length=1_000_000),
    )
    async with _models(fake_provider) as models:
        assert models.candidates(Context()) == list(CHAIN)
        assert await models.refresh() == 4
        assert models.candidates(Context(require_tools=True)) == ["model-b", "model-c"]
        assert models.candidates(Context(prefer="cheapest")) == ["model-a", "model-c", "model-b"]
        assert models.candidates(Context(max_price=2)) == ["model-a", "model-c"]
        assert models.candidates(Context(min_context=10_000)) == ["model-b", "model-c"]
        assert models.candidates(Context(model="elsewhere"))[0] == "elsewhere"
        assert models.candidates(Context(model=["model-c", "elsewhere"])) == [
            *("model-c", "elsewhere", "model-a", "model-b")
        ]
        assert models.candidates(Context(model=["model-c"], use_fallback=False)) == ["model-c"]
        _, route = await _answer(models, share)
        assert route["model"] == "model-b"  # the tools are bound, and model-a takes none
        overview = {each["name"]: each for each in await models.overview()}
    assert overview["model-b"]["price"] == pytest.approx(10)
    assert overview["model-b"]["latency"] > 0
    assert overview["model-a"]["tools"] is False
    assert overview["elsewhere"]["configured"] is False


async def test_the_quicker_and_the_healthier_can_be_preferred(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Reply("Slow.", first_token=1))
    async with _models(fake_provider) as models:
        for model in CHAIN:
            await _answer(models, share, model=model, use_fallback=False)
        assert models.candidates(Context(prefer="fastest"))[-1] == "model-a"
        fake_provider.script("model-b", Fault(500))
        await _answer(models, share, model="model-b")
        assert models.candidates(Context(prefer="health"))[-1] == "model-b"


async def test_a_catalogue_that_does_not_answer_leaves_what_is_known(
    fake_provider: FakeProvider,
) -> None:
    fake_provider.offer(Offer("elsewhere"))
    async with _models(fake_provider) as models:
        await models.refresh()
        with fake_provider.down(), pytest.raises(Exception, match="provider"):
            await models.refresh()
        assert models.candidates(Context(model="elsewhere"))[0] == "elsewhere"


async def test_a_catalogue_that_trickles_in_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    monkeypatch.setattr("everturn.graph.models.provider._CATALOGUE_SECONDS", 0.3)
    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with open_models(BareModelSettings(base_url=HttpUrl(url), models=["m"])) as models:
            with pytest.raises(CallFailed, match="silent"):
                await asyncio.wait_for(models.refresh(), PATIENCE)


# A run that is broken off


async def test_a_run_resumed_in_its_tools_keeps_its_model_and_its_bill(
    fake_provider: FakeProvider, share: Share
) -> None:
    _only_where_calls_have_a_price(fake_provider)
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "1 + 1"})], cost=0.25)
    fake_provider.script("model-a", Fault(500), "It is not my turn.")
    fake_provider.script("model-b", call, Reply("Two.", cost=0.5))
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    async with _models(fake_provider) as models:
        config = share(models, thread_id="t")
        asked = Input(messages=[HumanMessage("1 + 1?")])
        await graph.ainvoke(asked, config, interrupt_after=["tools"])
        done = await graph.ainvoke(None, config)
    answer = done["messages"][-1]
    route = answer.response_metadata["route"]
    assert (answer.text, route["model"], route["mode"]) == ("Two.", "model-b", "fallback")
    assert _failures(route) == ["model-a:unavailable"]
    assert route["cost"] == 0.75
    assert fake_provider.calls("model-a") == 1


async def test_a_run_resumed_in_the_router_begins_with_its_first_choice(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault(500), "Back.")
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    async with _models(fake_provider) as models:
        config = share(models, thread_id="t")
        asked = Input(messages=[HumanMessage("hello")])
        await graph.ainvoke(asked, config, interrupt_before=["fallback_router"])
        done = await graph.ainvoke(None, config)
    assert done["messages"][-1].text == "Back."


async def test_a_run_resumed_offline_is_answered_offline(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("*", Fault(429, retry_after=60))
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    async with _models(fake_provider) as models:
        config = share(models, thread_id="t")
        asked = Input(messages=[HumanMessage("Calculate 2 * 3")])
        await graph.ainvoke(asked, config, interrupt_before=["offline"])
        done = await graph.ainvoke(None, config)
    answer = done["messages"][-1]
    route = answer.response_metadata["route"]
    assert "6" in answer.text
    assert (route["mode"], route["degraded"]) == ("offline", True)
    assert route["reason"] == "the run was broken off"


async def test_a_run_resumed_after_its_error_says_so_again(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.key = "another"
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    async with _models(fake_provider) as models:
        config = share(models, thread_id="t")
        with pytest.raises(InvalidAPIKey) as refused:
            await graph.ainvoke(Input(messages=[HumanMessage("hello")]), config)
        assert refused.value.route is not None
        assert _failures(dict(refused.value.route)) == ["model-a:invalid_api_key"]
        with pytest.raises(ProviderFailed, match="send the message again"):
            await graph.ainvoke(None, config)


async def test_what_tools_did_for_a_turn_stays_in_the_thread(
    fake_provider: FakeProvider, share: Share
) -> None:
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "1 + 1"})])
    fake_provider.script("model-a", call, Fault(401))
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    async with _models(fake_provider) as models:
        config = share(models, thread_id="t")
        with pytest.raises(InvalidAPIKey):
            await graph.ainvoke(Input(messages=[HumanMessage("1 + 1?")]), config)
        kept = (await graph.aget_state(config)).values["messages"]
    assert [message.type for message in kept] == ["human", "ai", "tool"]


async def test_who_is_outrun_again_and_again_is_asked_last(
    fake_provider: FakeProvider, share: Share
) -> None:
    fake_provider.script("model-a", Fault("silent"))
    async with _models(fake_provider, hedge_after=0.05, first_token_timeout=20.0) as models:
        routes = [(await _answer(models, share))[1] for _ in range(5)]
    assert [_failures(route) for route in routes] == [["model-a:outrun"]] * 3 + [[]] * 2
    assert fake_provider.calls("model-a") == 3


async def test_a_key_refused_meanwhile_in_another_turn_is_told_as_such(
    fake_provider: FakeProvider, share: Share
) -> None:
    asked = threading.Event()

    def silent(_: Request) -> Fault:
        asked.set()
        return Fault("silent")

    fake_provider.script("model-a", silent)
    fake_provider.script("model-b", Fault(401))
    async with _models(fake_provider, first_token_timeout=3.0) as models:
        first = asyncio.create_task(_answer(models, share))
        assert await asyncio.to_thread(asked.wait, PATIENCE)
        with pytest.raises(InvalidAPIKey):
            await _answer(models, share, model="model-b")
        with pytest.raises(InvalidAPIKey, match="another turn"):
            await first
    assert fake_provider.calls() == 2
