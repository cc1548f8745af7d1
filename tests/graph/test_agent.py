"""The agent's graphs against a provider on loopback: answers, tools, fallbacks, the end."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.types import StreamMode
from pydantic import HttpUrl, SecretStr

from everturn.graph import agent, chat, simple
from everturn.graph.context import Context
from everturn.graph.errors import InvalidAPIKey, NoModelFits, ProviderFailed, UnknownModel
from everturn.graph.models.provider import Models, open_models
from everturn.graph.state import Input
from tests.graph.conftest import BareModelSettings
from tests.provider import KEY, FakeProvider, Fault, Reply, ToolCall

Share = Callable[..., RunnableConfig]

ADD = Reply(tool_calls=[ToolCall("calculator", {"expression": "2 + 3"})])


def _ask(text: str) -> Input:
    return Input(messages=[HumanMessage(text)])


def _route(answer: AIMessage) -> dict[str, Any]:
    route: dict[str, Any] = answer.response_metadata["route"]
    return route


def test_the_drawing_is_the_five_nodes_and_their_edges() -> None:
    drawn = agent.graph.get_graph()
    nodes = set(drawn.nodes) - {"__start__", "__end__"}
    assert nodes == {"model", "tools", "fallback_router", "offline", "stop"}
    assert {(edge.source, edge.target) for edge in drawn.edges} == {
        ("__start__", "model"),
        ("model", "tools"),
        ("model", "fallback_router"),
        ("model", "__end__"),
        ("tools", "model"),
        ("tools", "offline"),
        ("tools", "tools"),
        ("fallback_router", "model"),
        ("fallback_router", "offline"),
        ("fallback_router", "stop"),
        ("offline", "tools"),
        ("offline", "__end__"),
        ("stop", "__end__"),
    }
    assert agent.graph.checkpointer is None


@pytest.mark.parametrize("served", [agent.graph, chat.graph, simple.graph])
def test_studio_finds_every_schema(served: Pregel[Any, Any, Any, Any]) -> None:
    context = served.get_context_jsonschema()
    assert context is not None
    assert {"model", "temperature", "use_fallback"} <= set(context["properties"])
    assert set(served.get_input_jsonschema()["properties"]) == {"messages"}
    assert set(served.get_output_jsonschema()["properties"]) == {"messages"}


async def test_tools_of_one_turn_are_answered_in_order(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    calls = [
        ToolCall("calculator", {"expression": "6 * 7"}),
        ToolCall("no_such_tool", {}),
        ToolCall("calculator", {"wrong": 1}),
    ]
    fake_provider.script("model-a", Reply(tool_calls=calls), "The answer is 42.")
    done = await agent.graph.ainvoke(_ask("six times seven"), share(models))
    _, called, *results, answer = done["messages"]
    assert [r.tool_call_id for r in results] == [c["id"] for c in called.tool_calls]
    assert [r.status for r in results] == ["success", "error", "error"]
    assert json.loads(results[0].content)["result"] == 42
    assert "calculator" in results[1].content  # it names the tools there are
    assert "expression" in results[2].content  # it names the argument that is missing
    assert answer.text == "The answer is 42."
    route = _route(answer)
    assert (route["model"], route["mode"], route["tried"]) == ("model-a", "primary", [])
    assert not route["degraded"]
    # The run's route counts all its calls, the answer itself its own.
    assert route["usage"]["total_tokens"] > answer.usage_metadata["total_tokens"]
    assert "route" not in done


async def test_the_request_carries_the_callers_choices(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-b", "fine")
    choices = Context(model="model-b", temperature=0.1, max_tokens=7, use_tools=False)
    await agent.graph.ainvoke(_ask("hello"), share(models), context=choices)
    (request,) = fake_provider.requests
    assert request.model == "model-b"
    assert request.body["temperature"] == 0.1
    assert request.body["max_tokens"] == 7
    assert request.tools == {}
    assert [m["role"] for m in request.messages] == ["system", "user"]


async def test_what_no_one_chose_is_not_sent(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    await agent.graph.ainvoke(_ask("hello"), share(models), context=Context(use_tools=False))
    (request,) = fake_provider.requests
    assert set(request.body) == {"model", "messages", "stream"}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, retry_after=1),
        Fault(500),
        Fault(404),
        Fault("reset"),
        Fault("cut"),
        Fault("silent"),
        Fault("html"),
        Fault("no_choices"),
        Fault("no_finish"),
        Fault("empty"),
        Fault("content_filter"),
        Fault("error_in_200", code=502),
        Fault("broken_tool_json"),
    ],
    ids=lambda fault: str(fault.kind),
)
async def test_a_model_that_fails_is_followed_by_the_next(
    fault: Fault, streamed: bool, fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", fault)
    fake_provider.script("model-b", "All is well.")
    if fault.kind == "silent":  # the others have the usual deadline, however slow the machine is
        models.network_model("model-a").first_token_timeout = 0.2
    modes: list[StreamMode] = ["values", "custom"]
    if streamed:
        modes.append("messages")
    state: dict[str, Any] = {}
    seen: dict[str | None, str] = {}
    customs: list[dict[str, Any]] = []
    async for mode, data in agent.graph.astream(
        _ask("how are you?"), share(models), stream_mode=modes
    ):
        assert not isinstance(data, str)
        if mode == "values":
            state = data
        elif mode == "custom":
            customs.append(data)
            if data["type"] == "reset":
                assert streamed
                assert len(seen.pop(data["message_id"], "")) == data["chars"]
        elif data[0].text:
            seen[data[0].id] = seen.get(data[0].id, "") + data[0].text
    answer = state["messages"][-1]
    assert len(state["messages"]) == 2
    assert answer.text == "All is well."
    assert _route(answer)["mode"] == "fallback"
    assert [a["model"] for a in _route(answer)["tried"]] == ["model-a"]
    (fallback,) = [c for c in customs if c["type"] == "fallback"]
    assert (fallback["from"], fallback["to"]) == ("model-a", "model-b")
    if streamed:  # with the resets obeyed, what was seen is what was kept
        assert seen == {answer.id: "All is well."}


async def test_a_refused_key_ends_the_run_at_once(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.key = "another"
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    config = share(models, thread_id="t")
    with pytest.raises(InvalidAPIKey, match="401") as refused:
        await graph.ainvoke(_ask("hello"), config)
    assert fake_provider.calls() == 1
    assert "sk-test" not in str(refused.value)
    assert (await graph.aget_state(config)).values["messages"] == []


async def test_when_all_fail_the_offline_model_answers_and_says_so(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("*", Fault(429, retry_after=30))
    done = await agent.graph.ainvoke(_ask("Calculate 10 * 20"), share(models))
    answer = done["messages"][-1]
    assert any(isinstance(m, ToolMessage) and m.name == "calculator" for m in done["messages"])
    assert "200" in answer.text
    assert "429" in answer.text
    route = _route(answer)
    assert route["mode"] == "offline"
    assert route["degraded"]
    assert "429" in route["reason"]
    back = datetime.fromisoformat(route["expected_back"]) - datetime.now(UTC)
    assert 0 < back.total_seconds() <= 30
    assert [a["failure"] for a in route["tried"]] == ["rate_limited"] * 3
    assert fake_provider.calls() == 3


async def test_without_fallback_one_model_is_asked(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("*", Fault(500))
    done = await agent.graph.ainvoke(_ask("hi"), share(models), context=Context(use_fallback=False))
    assert fake_provider.calls() == 1
    assert _route(done["messages"][-1])["mode"] == "offline"


async def test_free_only_never_asks_a_paid_model(share: Share, fake_provider: FakeProvider) -> None:
    settings = BareModelSettings(
        base_url=HttpUrl(fake_provider.url),
        openai_api_key=SecretStr(KEY),
        models=["paid", "gift:free"],
    )
    async with open_models(settings) as models:
        done = await agent.graph.ainvoke(_ask("hi"), share(models), context=Context(free_only=True))
        assert _route(done["messages"][-1])["model"] == "gift:free"
        fake_provider.script("gift:free", Fault(500))
        done = await agent.graph.ainvoke(_ask("hi"), share(models), context=Context(free_only=True))
        assert _route(done["messages"][-1])["mode"] == "offline"
    assert fake_provider.calls("paid") == 0


async def test_wishes_that_fit_no_model_are_told(share: Share, fake_provider: FakeProvider) -> None:
    settings = BareModelSettings(
        base_url=HttpUrl(fake_provider.url), openai_api_key=SecretStr(KEY), models=["paid"]
    )
    async with open_models(settings) as models:
        with pytest.raises(NoModelFits, match=r"paid is not free \(free_only\)"):
            await agent.graph.ainvoke(_ask("hi"), share(models), context=Context(free_only=True))
    assert fake_provider.calls() == 0


async def test_an_unknown_model_is_named_with_those_there_are(models: Models, share: Share) -> None:
    with pytest.raises(UnknownModel, match="model-a, model-b, model-c, offline"):
        await agent.graph.ainvoke(_ask("hi"), share(models), context=Context(model="gpt-99"))


async def test_a_tool_loop_has_an_end(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", ADD)
    fake_provider.script("model-b", "Enough.")
    done = await agent.graph.ainvoke(
        _ask("loop"), share(models), context=Context(max_tool_rounds=3)
    )
    assert done["messages"][-1].text == "Enough."
    assert fake_provider.calls("model-a") == 4
    assert fake_provider.requests[3].body["tool_choice"] == "none"
    assert _route(done["messages"][-1])["tried"][0]["failure"] == "tool_loop"


async def test_a_tool_that_was_not_offered_is_not_called(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", ADD)
    fake_provider.script("model-b", "Without tools, then.")
    without = Context(use_tools=False)
    for graph in (agent.graph, chat.graph):
        done = await graph.ainvoke(_ask("2 + 3?"), share(models), context=without)
        assert [m.type for m in done["messages"]] == ["human", "ai"]
        assert done["messages"][-1].text == "Without tools, then."
        assert _route(done["messages"][-1])["tried"][0]["failure"] == "unoffered_tool"
    with pytest.raises(ProviderFailed, match="offered none"):
        await simple.graph.ainvoke(_ask("2 + 3?"), share(models))


async def test_a_thread_left_with_open_calls_is_mended(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    broken: list[AnyMessage] = [
        HumanMessage("add"),
        AIMessage("", tool_calls=[{"name": "calculator", "args": {}, "id": "open"}]),
        HumanMessage("never mind"),
    ]
    fake_provider.script("model-a", "All right.")
    done = await agent.graph.ainvoke(Input(messages=broken), share(models))
    roles = [m["role"] for m in fake_provider.requests[0].messages]
    # Between a tool's result and the user Mistral wants the model to have spoken.
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert [m.type for m in done["messages"]] == ["human", "ai", "tool", "human", "ai"]
    assert done["messages"][2].tool_call_id == "open"


async def test_models_that_failed_in_one_turn_are_asked_in_the_next(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    graph = agent.graph.copy({"checkpointer": InMemorySaver()})
    config = share(models, thread_id="t")
    fake_provider.script("model-a", Fault(503), "Back again.")
    fake_provider.script("model-b", "I stand in.")
    first = await graph.ainvoke(_ask("one"), config)
    second = await graph.ainvoke(_ask("two"), config)
    assert first["messages"][-1].text == "I stand in."
    assert second["messages"][-1].text == "Back again."
    assert _route(second["messages"][-1])["tried"] == []


async def test_chat_has_no_tools_but_falls_back(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", Fault(500))
    done = await chat.graph.ainvoke(_ask("2 + 2?"), share(models))
    assert _route(done["messages"][-1])["mode"] == "fallback"
    assert all(request.tools == {} for request in fake_provider.requests)


async def test_simple_is_one_call_and_fails_with_it(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", "Hello.", Fault(500))
    done = await simple.graph.ainvoke(_ask("hi"), share(models))
    assert done["messages"][-1].text == "Hello."
    with pytest.raises(ProviderFailed, match="model-a did not answer: HTTP 500"):
        await simple.graph.ainvoke(_ask("hi"), share(models))
    assert fake_provider.calls() == 2


async def test_cost_and_usage_come_with_the_answer(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", Reply("Ten words.", cost=0.0025))
    answers = [(await agent.graph.ainvoke(_ask("hi"), share(models)))["messages"][-1]]
    async for _, data in agent.graph.astream(
        _ask("hi"), share(models), stream_mode=["values", "messages"]
    ):
        if isinstance(data, dict):
            answers[1:] = [data["messages"][-1]]
    for answer in answers:
        assert answer.response_metadata["cost"] == 0.0025
        assert answer.usage_metadata["total_tokens"] > 0
