"""`client.threads.stream` of LangGraph's Python SDK against the running service, on both wires."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import uuid4

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk._async.stream import AsyncThreadStream
from langgraph_sdk.client import LangGraphClient

from tests.provider import KEY, FakeProvider, Fault, Reply
from tests.server.streams.protocol_types import checked
from tests.service import ROOT, Client, read_events, serving
from tests.waiting import PATIENCE, eventually, eventually_sync

Transport = Literal["sse", "websocket"]
Json = dict[str, Any]

GRAPHS = {
    "toy": "tests/server/toy_graph.py:graph",
    "paused": "tests/server/toy_graph.py:paused",
    "gated": "tests/server/gated_graph.py:graph",
    "nested": "tests/server/gated_graph.py:nested",
    "two": "tests/server/gated_graph.py:two",
    "counting": "tests/server/gated_graph.py:counting",
    "agent": "graph/agent.py:graph",
}
both_wires = pytest.mark.parametrize("transport", get_args(Transport))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("events")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {name: f"{ROOT / at}" for name, at in GRAPHS.items()}}))
    with FakeProvider() as provider:
        cut = Fault("cut", reply=Reply("one two three four"), after=3)
        provider.script("a", cut, cut)
        provider.script("b", "All of it.", "All of it.")
        models = {"base_url": provider.url, "openai_api_key": KEY, "models": "a,b"}
        with serving(folder / "data", config=config, **models) as client:
            yield client


@pytest.fixture
async def sdk(served: Client) -> AsyncIterator[LangGraphClient]:
    client = get_client(url=str(served.base_url))
    yield client
    await client.aclose()


def says(words: str) -> Json:
    return {"messages": [{"role": "user", "content": words}]}


def contents(values: Json) -> list[str]:
    said = [message["content"] for message in values["messages"]]
    return [text.strip() if isinstance(text, str) else text[0]["text"].strip() for text in said]


async def until_lifecycle(t: AsyncThreadStream, *ends: str) -> list[Json]:
    """All events of a thread until its run has one of these states, each of its type."""
    events: list[Json] = []
    async for event in t.events:
        if event["type"] != "event":
            continue  # over a WebSocket the answer to the subscription comes along
        events.append(checked(dict(event)))
        if _is_of_the_run(event) and event["params"]["data"]["event"] in ends:
            break
    return events


def _is_of_the_run(event: Any) -> bool:
    return event["method"] == "lifecycle" and not event["params"]["namespace"]


async def texts_of(messages: Any) -> list[str]:
    """The texts of messages: each is read beside the others, as the SDK wants it."""

    async def read(message: Any) -> str:
        return str(await message.text)

    return [await each for each in [asyncio.create_task(read(m)) async for m in messages]]


@both_wires
async def test_every_event_is_of_its_type(sdk: LangGraphClient, transport: Transport) -> None:
    async with sdk.threads.stream(assistant_id="nested", transport=transport) as t:
        await t.run.start(input=says("look one two"))
        events = await until_lifecycle(t, "completed")
        assert contents(await t.output) == ["look one two", "", "seen: it", "one two"]
    methods = {event["method"] for event in events}
    assert methods == {
        *("lifecycle", "messages", "values", "updates", "tools"),
        *("tasks", "checkpoints", "custom"),
    }
    assert len({event["event_id"] for event in events}) == len(events)
    seqs = [event["seq"] for event in events]
    assert seqs == sorted(set(seqs))
    words = [e["params"]["data"].get("delta", {}).get("text", "") for e in events]
    assert [each for each in words if each] == ["one ", "two "]


@both_wires
async def test_words_one_by_one(sdk: LangGraphClient, transport: Transport, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
        await t.run.start(input=says(f"one @{first} two @{second} three"))
        words: asyncio.Queue[str] = asyncio.Queue()

        async def read(message: Any) -> str:
            async for word in message.text:
                words.put_nowait(word)
            return str(await message.text)

        async def follow() -> list[str]:
            return [await each for each in [asyncio.create_task(read(m)) async for m in t.messages]]

        following = asyncio.create_task(follow())
        assert await words.get() == "one "
        first.touch()
        assert await words.get() == "two "
        second.touch()
        assert await following == ["one two three "]


@both_wires
async def test_states_calls_and_all_of_them_side_by_side(
    sdk: LangGraphClient, transport: Transport
) -> None:
    async with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
        await t.run.start(input=says("look one"))
        states = [len(values.get("messages", [])) async for values in t.values]
        assert states[-1] == 4
    async with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
        await t.run.start(input=says("look one"))
        calls = [(c.name, c.input, asyncio.ensure_future(c.output)) async for c in t.tool_calls]
        ((name, given, output),) = calls
        assert (name, given) == ("look", {"what": "it"})
        assert "seen: it" in str(await output)
    async with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
        await t.run.start(input=says("look one"))
        channels = ["values", "messages", "tool_calls", "updates", "checkpoints", "tasks", "seen"]
        names = [name async for name, _ in t.interleave_projections(channels)]
        assert set(names) == set(channels)
        assert names.count("tool_calls") == 1


@both_wires
async def test_an_interrupt_is_answered(sdk: LangGraphClient, transport: Transport) -> None:
    async with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
        await t.run.start(input=says("ask done"))
        async for _ in t.values:
            pass  # until it is asked
        assert t.interrupted
        (asked,) = t.interrupts
        assert asked["value"] == {"question": "it"}
        await t.run.respond("yes")
        assert contents(await t.output) == ["ask done", "", "answered: yes", "done"]
        assert t.interrupts == []


@both_wires
async def test_several_that_ask_at_once_are_answered_at_once(
    sdk: LangGraphClient, transport: Transport
) -> None:
    async with sdk.threads.stream(assistant_id="two", transport=transport) as t:
        await t.run.start(input=says("go"))
        await eventually(lambda: len(t.interrupts) == 2)
        responses = [
            {"interrupt_id": each["interrupt_id"], "response": each["value"]["question"]}
            for each in t.interrupts
        ]
        await t._send_command("input.respond", {"responses": responses})
        assert set(contents(await t.output)) == {"go", "left: left?", "right: right?"}


@both_wires
async def test_a_subgraph_is_followed(sdk: LangGraphClient, transport: Transport) -> None:
    async with sdk.threads.stream(assistant_id="nested", transport=transport) as t:
        await t.run.start(input=says("look one two"))
        (child,) = [each async for each in t.subgraphs]
        assert (child.graph_name, child.status) == ("team", "completed")
        assert await texts_of(child.messages) == ["", "one two "]


@both_wires
async def test_custom_events_and_channels_of_a_graph(
    sdk: LangGraphClient, transport: Transport
) -> None:
    async with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
        await t.run.start(input=says("look one"))
        seen = [each async for each in t.extensions["seen"]]
        assert [each["payload"]["what"] for each in seen] == ["it"]
    async with sdk.threads.stream(assistant_id="counting", transport=transport) as t:
        await t.run.start(input=says("one two"))
        counted = [each async for each in t.extensions["counted"]]
        assert [each["payload"]["events"] for each in counted] == list(range(1, len(counted) + 1))
        assert counted


@both_wires
async def test_a_thread_is_taken_up_again(
    sdk: LangGraphClient, transport: Transport, tmp_path: Path
) -> None:
    thread_id, gate = str(uuid4()), tmp_path / "gate"
    asked = f"one @{gate} two"
    async with sdk.threads.stream(thread_id, assistant_id="gated", transport=transport) as t:
        await t.run.start(input=says(asked))
        # Of a thread that has no state yet, a client takes the empty one for the end.
        await anext(each async for each in t.values if each.get("messages"))
    async with sdk.threads.stream(thread_id, assistant_id="gated", transport=transport) as t:
        states = asyncio.create_task(until_lifecycle(t, "completed"))
        output = asyncio.ensure_future(t.output)
        gate.touch()
        assert contents(await output) == [asked, "one two"]
        assert (await states)[0]["params"]["data"] == {"event": "running"}
    async with sdk.threads.stream(thread_id, assistant_id="gated", transport=transport) as t:
        assert contents(await t.output) == [asked, "one two"]
    async with sdk.threads.stream(thread_id, assistant_id="gated", transport=transport) as t:
        run = await t.run.start(input=says("three"))
        await sdk.runs.join(thread_id, run["run_id"])
        assert contents(await t.output) == [asked, "one two", "three", "three"]


@both_wires
async def test_a_cancelled_run_keeps_no_one_waiting(
    sdk: LangGraphClient, transport: Transport, tmp_path: Path
) -> None:
    thread_id, asked = str(uuid4()), f"one @{tmp_path / 'never'} two"
    async with sdk.threads.stream(thread_id, assistant_id="gated", transport=transport) as t:
        run = await t.run.start(input=says(asked))
        states = asyncio.create_task(_last_state(t))
        events = asyncio.create_task(until_lifecycle(t, "completed", "failed"))
        await eventually(lambda: _has_begun(sdk, thread_id))
        await sdk.runs.cancel(thread_id, run["run_id"])
        assert contents(await t.output) == [asked]
        assert contents(await states) == [asked]
        assert not [e for e in await events if e["method"] == "input.requested"]


async def _has_begun(sdk: LangGraphClient, thread_id: str) -> bool:
    values = (await sdk.threads.get_state(thread_id))["values"]
    return isinstance(values, dict) and bool(values.get("messages"))


async def _last_state(t: AsyncThreadStream) -> Any:
    return [values async for values in t.values][-1]


@both_wires
async def test_a_run_that_fails_says_why(sdk: LangGraphClient, transport: Transport) -> None:
    async with sdk.threads.stream(assistant_id="toy", transport=transport) as t:
        await t.run.start(input={"fail": True})
        with pytest.raises(RuntimeError, match="toy boom"):
            await t.output


async def test_a_graph_that_stops_before_a_node_keeps_no_one_waiting(sdk: LangGraphClient) -> None:
    async with sdk.threads.stream(assistant_id="paused") as t:
        await t.run.start(input={"words": "one"})
        assert (await t.output)["steps"] == ["prepare"]


@both_wires
async def test_a_fallback_ends_with_the_right_words(
    sdk: LangGraphClient, transport: Transport
) -> None:
    async with sdk.threads.stream(assistant_id="agent", transport=transport) as t:
        await t.run.start(input=says(f"hello, {transport}"))
        events = asyncio.create_task(until_lifecycle(t, "completed"))
        assert contents(await t.output)[-1] == "All of it."
        said = [e["params"]["data"] for e in await events if e["method"] == "messages"]
    taken_back = {each["message_id"] for each in said if each["event"] == "error"}
    ended = [each for each in said if each["event"] == "content-block-finish"]
    assert len(taken_back) == 1
    assert [each["content"]["text"] for each in ended if each["message_id"] not in taken_back] == [
        "All of it."
    ]


@both_wires
def test_the_client_without_an_event_loop(served: Client, transport: Transport) -> None:
    with get_sync_client(url=str(served.base_url)) as sdk:
        with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
            t.run.start(input=says("ask done"))
            eventually_sync(lambda: t.interrupts)
            t.run.respond("yes")
            assert contents(t.output) == ["ask done", "", "answered: yes", "done"]
        with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
            t.run.start(input=says("look one two"))
            with ThreadPoolExecutor() as pool:
                texts = [pool.submit(lambda m=m: str(m.text)) for m in t.messages]  # type: ignore[misc]
                assert [each.result(PATIENCE) for each in texts] == ["", "one two "]
        with sdk.threads.stream(assistant_id="gated", transport=transport) as t:
            t.run.start(input=says("look one"))
            for event in (each for each in t.events if each["type"] == "event"):
                checked(dict(event))
                if event["params"]["data"] == {"event": "completed"}:
                    break


def test_who_follows_a_thread_misses_nothing_of_runs_with_a_key(served: Client) -> None:
    with get_sync_client(url=str(served.base_url)) as client:
        thread_id = client.threads.create()["thread_id"]
        client.runs.wait(thread_id, "gated", input=says("first"))
    path, body = f"/threads/{thread_id}", {"channels": ["lifecycle", "tasks"]}
    with served.stream("POST", f"{path}/stream/events", json=body) as followed:
        told = (event.data for event in read_events(followed))
        _until_completed(told)
        for number in range(8):  # how long the row of a run with a key takes varies
            params = {"assistant_id": "gated", "input": says(f"word {number}")}
            sent = served.post(
                f"{path}/commands",
                json={"id": number, "method": "run.start", "params": params},
                headers={"Idempotency-Key": str(uuid4())},
            )
            assert sent.json()["type"] == "success"
            assert "tasks" in _until_completed(told), number


def _until_completed(told: Iterator[Json]) -> set[str]:
    methods = set()
    for event in told:
        methods.add(event["method"])
        if _is_of_the_run(event) and event["params"]["data"]["event"] == "completed":
            break
    return methods
