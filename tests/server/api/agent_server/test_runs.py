"""Runs as LangGraph's own SDK asks for them, over a real socket."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from everturn.server.api.http.problems import IDEMPOTENCY_KEY
from tests.server.api.agent_server.following import announce_silence, following
from tests.service import ROOT, Client, process, serving
from tests.waiting import PATIENCE, eventually, eventually_sync

pytestmark = pytest.mark.clock

TOY = ROOT / "tests" / "server" / "toy_graph.py"
ODD = ROOT / "tests" / "server" / "odd_graph.py"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("toy") / "langgraph.json"
    graphs = {"toy": f"{TOY}:graph", "paused": f"{TOY}:paused", "chosen": f"{ODD}:chosen"}
    graphs |= {"odd": f"{ODD}:graph", "both": f"{ODD}:both"}
    file.write_text(json.dumps({"graphs": graphs}))
    return file


@pytest.fixture(scope="module")
def served(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("runs") / "data", config=config) as client:
        yield client


@pytest.fixture
async def sdk(served: Client) -> AsyncIterator[LangGraphClient]:
    client = get_client(url=str(served.base_url))
    yield client
    await client.aclose()


@pytest.fixture
def thread(sdk: LangGraphClient) -> str:
    """The id of a thread that the first run on it makes."""
    return str(uuid4())


async def start(sdk: LangGraphClient, thread: str, toy: Json, **how: Any) -> str:
    run = await sdk.runs.create(thread, "toy", input=toy, if_not_exists="create", **how)
    return str(run["run_id"])


async def until(sdk: LangGraphClient, thread: str, run_id: str, status: str) -> None:
    async def is_so() -> bool:
        return (await sdk.runs.get(thread, run_id))["status"] == status

    await eventually(is_so)


async def until_it_waits(sdk: LangGraphClient, thread: str) -> None:
    """Until the run of a toy is in the node in which it waits."""

    async def waits() -> bool:
        return (await sdk.threads.get_state(thread))["next"] == ["inner"]

    await eventually(waits)


async def test_a_stateless_run_is_waited_for(sdk: LangGraphClient) -> None:
    found: Any = await sdk.runs.wait(None, "toy", input={"words": "good day"})
    assert found["messages"][-1]["content"] == "good day"
    assert found["messages"][-1]["type"] == "ai"


async def test_a_thread_remembers(sdk: LangGraphClient, thread: str) -> None:
    for words in ("one", "two"):
        found: Any = await sdk.runs.wait(
            thread, "toy", input={"words": words}, if_not_exists="create"
        )
    assert [message["content"] for message in found["messages"]] == ["one", "two"]
    runs = await sdk.runs.list(thread)
    assert [run["status"] for run in runs] == ["success", "success"]
    assert runs[0]["created_at"] > runs[1]["created_at"]
    assert (runs[0]["metadata"] or {})["graph_id"] == "toy"


async def test_what_a_deleted_thread_streamed_is_gone_too(
    sdk: LangGraphClient, thread: str, served: Client
) -> None:
    how: dict[str, Any] = {"input": {"words": "kept"}, "if_not_exists": "create"}
    run: Any = await sdk.runs.create(thread, "toy", stream_resumable=True, **how)
    await sdk.runs.join(thread, run["run_id"])
    stream = f"/runs/{run['run_id']}/stream"
    again = {"Last-Event-ID": "-1"}
    assert "kept" in served.get(f"/threads/{thread}{stream}", headers=again).text
    await sdk.threads.delete(thread)
    assert served.get(f"/threads/{thread}{stream}", headers=again).status_code == 404
    assert served.get(stream, headers=again).status_code == 404


async def test_context_and_configurable_are_the_same(sdk: LangGraphClient) -> None:
    made = await sdk.assistants.create("chosen", context={"tone": "dry"})
    own = made["assistant_id"]

    async def told(assistant: str, **how: Any) -> list[Any]:
        found: Any = await sdk.runs.wait(None, assistant, input={"how": "x"}, **how)
        assert found["answers"].pop() == "/wA="  # bytes are Base64
        return list(found["answers"])

    calm, both = {"tone": "calm"}, {"tone": "calm", "flavour": None}
    assert await told("chosen", context=calm) == [calm, both]
    assert await told("chosen", config={"configurable": calm}) == [calm, both]
    assert await told(own, config={"configurable": calm, "metadata": None}) == [calm, both]
    assert await told(own, context=calm) == [calm, both]
    flavour = {"configurable": {"flavour": "lime", "thread_id": "x"}}
    dry = {"tone": "dry"}
    assert await told(own, config=flavour) == [dry, {"tone": "dry", "flavour": "lime"}]


async def test_every_stream_mode(sdk: LangGraphClient) -> None:
    modes: Any = [
        *("values", "updates", "messages", "messages-tuple", "events"),
        *("custom", "debug", "tasks", "checkpoints"),
    ]
    parts = [
        part
        async for part in sdk.runs.stream(
            None, "toy", input={"words": "a b"}, stream_mode=modes, stream_subgraphs=True
        )
    ]
    assert parts[0].event == "metadata"
    assert parts[0].data["attempt"] == 1
    names = {part.event.partition("|")[0] for part in parts}
    assert names == {
        *("metadata", "values", "updates", "messages", "events", "custom", "debug", "tasks"),
        *("checkpoints", "messages/metadata", "messages/partial"),
    }
    assert any(part.event.startswith("updates|inner:") for part in parts)
    assert [part.data for part in parts if part.event == "custom"] == [{"preparing": True}]
    whole = [part.data[0]["content"] for part in parts if part.event.startswith("messages/partial")]
    assert whole[:3] == ["a", "a ", "a b"]
    assert "__everturn" not in json.dumps([part.data for part in parts])


async def test_without_subgraphs_only_the_graph_itself_is_streamed(sdk: LangGraphClient) -> None:
    modes: Any = ["updates", "values"]
    events = [
        part.event
        async for part in sdk.runs.stream(None, "toy", input={"words": "a"}, stream_mode=modes)
    ]
    assert set(events) == {"metadata", "updates", "values"}


async def test_a_node_that_raises(sdk: LangGraphClient, thread: str, served: Client) -> None:
    modes: Any = ["values"]
    parts = [
        part
        async for part in sdk.runs.stream(
            thread, "toy", input={"fail": True}, stream_mode=modes, if_not_exists="create"
        )
    ]
    assert parts[-1].event == "error"
    assert parts[-1].data["error"] == "RuntimeError"
    assert parts[-1].data["message"] == "toy boom"
    answer = served.post(
        f"/threads/{thread}/runs/wait", json={"assistant_id": "toy", "input": {"fail": True}}
    )
    assert answer.status_code == 200
    assert answer.json()["__error__"]["error"] == "RuntimeError"
    assert [run["status"] for run in await sdk.runs.list(thread)] == ["error", "error"]
    found: Any = await sdk.runs.wait(thread, "toy", input={"fail": False, "words": "on we go"})
    assert found["messages"][-1]["content"] == "on we go"


@pytest.mark.parametrize("how", ["unprintable", "beyond", "surrogate"])
async def test_whatever_a_node_raises_the_run_ends(
    sdk: LangGraphClient, thread: str, served: Client, how: str
) -> None:
    body = {"assistant_id": "odd", "input": {"how": how}, "if_not_exists": "create"}
    told = served.post(f"/threads/{thread}/runs/wait", json=body).json()["__error__"]
    error = {"unprintable": "Unprintable", "beyond": "Beyond"}
    assert told["error"] == error.get(how, "RuntimeError")
    assert told["message"]
    assert [run["status"] for run in await sdk.runs.list(thread)] == ["error"]
    found: Any = await sdk.runs.wait(
        thread, "odd", input={"how": "well"}, multitask_strategy="reject"
    )
    assert found["how"] == "well"


async def test_what_a_run_is_known_by(sdk: LangGraphClient, thread: str) -> None:
    claimed: Any = {"metadata": {"run_id": "mine", "told": 1}}
    await sdk.runs.wait(
        thread,
        "toy",
        input={"words": "x"},
        config=claimed,
        metadata={"user": "ada"},
        if_not_exists="create",
    )
    made = (await sdk.threads.get(thread))["metadata"] or {}
    assert made.items() >= {"user": "ada", "told": 1, "graph_id": "toy"}.items()
    run_id = await start(sdk, thread, {"wait": 30}, config=claimed)
    await until(sdk, thread, run_id, "running")
    await sdk.runs.cancel(thread, run_id, action="rollback", wait=True)
    state: Any = await sdk.threads.get_state(thread)
    assert state["values"]["steps"] == ["prepare"]
    assert state["metadata"]["run_id"] not in {run_id, "mine"}


async def test_a_run_and_its_thread_say_which_run_of_what_it_is(
    sdk: LangGraphClient, thread: str, served: Client
) -> None:
    assert (await sdk.threads.create(thread_id=thread))["config"] == {}  # type: ignore[typeddict-item]  # the SDK's type lacks it
    sent: Any = {"configurable": {"colour": "blue", "run_id": "mine"}, "tags": ["t"]}
    run = await sdk.runs.create(thread, "toy", input={"words": "x"}, config=sent)
    await sdk.runs.join(thread, run["run_id"])
    ids = {
        "thread_id": thread,
        "run_id": run["run_id"],
        "assistant_id": run["assistant_id"],
        "graph_id": "toy",
    }
    shown = {"configurable": {"colour": "blue", **ids}, "tags": ["t"]}
    again = await sdk.runs.get(thread, run["run_id"])
    (listed,) = await sdk.runs.list(thread)
    (selected,) = served.get(f"/threads/{thread}/runs?select=kwargs").json()
    everywhere: list[Any] = [run, again, listed, selected]
    for each in everywhere:
        assert each["kwargs"]["config"] == shown
    found: Any = await sdk.threads.get(thread)
    assert found["config"] == {"configurable": shown["configurable"]}

    last = await start(sdk, thread, {"wait": 30})
    await until(sdk, thread, last, "running")

    async def is_shown() -> bool:
        wanted = {"ids": [thread], "select": ["config"]}
        (found,) = served.post("/threads/search", json=wanted).json()
        return bool(found == {"config": {"configurable": {**ids, "run_id": last}}})

    await eventually(is_shown)
    await sdk.runs.cancel(thread, last, wait=True)
    copied: Any = await sdk.threads.copy(thread)  # type: ignore[func-returns-value]  # it does
    assert copied["config"] == {}


async def test_an_interrupt_is_resumed(sdk: LangGraphClient, thread: str) -> None:
    asked: Any = await sdk.runs.wait(thread, "toy", input={"ask": True}, if_not_exists="create")
    assert asked["__interrupt__"][0]["value"] == {"question": "sure?"}
    found: Any = await sdk.runs.wait(thread, "toy", command={"resume": "very sure"})
    assert found["messages"][-1]["content"] == "very sure"


async def test_nodes_side_by_side_ask_together(sdk: LangGraphClient, thread: str) -> None:
    asked: Any = await sdk.runs.wait(thread, "both", input={"how": ""}, if_not_exists="create")
    ids = {each["value"]: each["id"] for each in asked["__interrupt__"]}
    assert ids.keys() == {"left?", "right?"}
    answers = {ids["left?"]: "L", ids["right?"]: "R"}
    found: Any = await sdk.runs.wait(thread, "both", command={"resume": answers})
    assert sorted(found["answers"]) == ["L", "R"]


async def test_before_and_after_nodes(sdk: LangGraphClient, thread: str) -> None:
    found: Any = await sdk.runs.wait(
        thread, "toy", input={"words": "x"}, interrupt_before=["inner"], if_not_exists="create"
    )
    assert found["steps"] == ["prepare"]
    found = await sdk.runs.wait(thread, "toy", input=None)
    assert [message["content"] for message in found["messages"]] == ["x"]
    assert found["steps"] == ["prepare"]


async def test_a_graph_with_a_breakpoint_of_its_own(sdk: LangGraphClient, thread: str) -> None:
    for asked, status, next_nodes in (
        ({"words": "x"}, "interrupted", ["inner"]),
        (None, "idle", []),
    ):
        await sdk.runs.wait(thread, "paused", input=asked, if_not_exists="create")
        found = await sdk.threads.get(thread)
        assert (found["status"], found["interrupts"]) == (status, {})
        assert (await sdk.threads.get_state(thread))["next"] == next_nodes


async def test_a_background_run_is_joined(
    sdk: LangGraphClient, thread: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run_id = await start(sdk, thread, {"until": str(go), "words": "late"})
    assert (await sdk.runs.get(thread, run_id))["status"] in {"pending", "running"}
    go.touch()
    found: Any = await sdk.runs.join(thread, run_id)
    assert found["messages"][-1]["content"] == "late"
    assert (await sdk.runs.get(thread, run_id))["status"] == "success"
    again: Any = await sdk.runs.join(thread, run_id)
    assert again["messages"][-1]["content"] == "late"


async def test_a_run_is_joined_after_its_end(sdk: LangGraphClient, thread: str) -> None:
    asked = await start(sdk, thread, {"ask": True})
    at_once: Any = await sdk.runs.join(thread, asked)
    await asyncio.sleep(0.2)  # the process has forgotten it
    assert await sdk.runs.join(thread, asked) == at_once
    assert at_once["__interrupt__"][0]["value"] == {"question": "sure?"}
    failed = await start(sdk, thread, {"ask": False, "fail": True})
    for _ in range(2):
        told: Any = await sdk.runs.join(thread, failed)
        assert told["__error__"]["message"] == "toy boom"
        await asyncio.sleep(0.2)
    await sdk.runs.wait(thread, "toy", input={"fail": False})
    told = await sdk.runs.join(thread, failed)
    assert "gone on since" in told["__error__"]["message"]


async def test_a_batch_comes_back_in_its_order(sdk: LangGraphClient) -> None:
    batch: Any = [{"assistant_id": "toy", "input": {"words": str(n)}} for n in range(3)]
    runs = await sdk.runs.create_batch(batch)
    assert [run["kwargs"]["input"] for run in runs] == [each["input"] for each in batch]  # type: ignore[typeddict-item]


async def test_enqueued_runs_follow_each_other(sdk: LangGraphClient, thread: str) -> None:
    await start(sdk, thread, {"wait": 0.2, "words": "first"})
    found: Any = await sdk.runs.wait(thread, "toy", input={"words": "second"})
    assert [message["content"] for message in found["messages"]] == ["first", "second"]


async def test_a_busy_thread_rejects(sdk: LangGraphClient, thread: str) -> None:
    run_id = await start(sdk, thread, {"wait": 3600})
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread, "toy", input={}, multitask_strategy="reject")
    await sdk.runs.cancel(thread, run_id, wait=True)


async def test_a_run_is_interrupted_by_the_next(sdk: LangGraphClient, thread: str) -> None:
    run_id = await start(sdk, thread, {"wait": 30})
    await until(sdk, thread, run_id, "running")
    found: Any = await sdk.runs.wait(
        thread, "toy", input={"wait": 0, "words": "me first"}, multitask_strategy="interrupt"
    )
    assert found["messages"][-1]["content"] == "me first"
    assert (await sdk.runs.get(thread, run_id))["status"] == "interrupted"


async def test_a_run_is_rolled_back_by_the_next(sdk: LangGraphClient, thread: str) -> None:
    await sdk.runs.wait(thread, "toy", input={"words": "kept"}, if_not_exists="create")
    run_id = await start(sdk, thread, {"wait": 30, "words": "undone"})
    await until(sdk, thread, run_id, "running")
    found: Any = await sdk.runs.wait(
        thread, "toy", input={"wait": 0, "words": "new"}, multitask_strategy="rollback"
    )
    assert [message["content"] for message in found["messages"]] == ["kept", "new"]
    assert found["steps"] == ["prepare"] * 2
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread, run_id)


async def test_several_that_roll_back_leave_the_last(
    sdk: LangGraphClient, thread: str, tmp_path: Path
) -> None:
    run_id = await start(sdk, thread, {"wait": 30, "words": "first"})
    await until(sdk, thread, run_id, "running")

    async def next_one(words: str) -> None:
        toy = {"wait": 0, "until": str(go), "words": words}
        await start(sdk, thread, toy, multitask_strategy="rollback")

    go = tmp_path / "go"
    await asyncio.gather(*map(next_one, "abc"))
    (run,) = await sdk.runs.list(thread)
    go.touch()
    found: Any = await sdk.runs.join(thread, run["run_id"])
    assert len(found["messages"]) == len(found["steps"]) == 1


async def test_what_is_rolled_back_is_gone_for_the_next_in_the_queue(
    sdk: LangGraphClient, thread: str
) -> None:
    undone = await start(sdk, thread, {"wait": 30})
    await until_it_waits(sdk, thread)
    queued = await start(sdk, thread, {"wait": 0})
    await sdk.runs.cancel(thread, undone, action="rollback")
    found: Any = await sdk.runs.join(thread, queued)
    assert found["steps"] == ["prepare"]


async def test_a_run_is_cancelled(sdk: LangGraphClient, thread: str) -> None:
    run_id = await start(sdk, thread, {"wait": 30})
    await until(sdk, thread, run_id, "running")
    await sdk.runs.cancel(thread, run_id, wait=True)
    assert (await sdk.runs.get(thread, run_id))["status"] == "interrupted"
    with pytest.raises(NotFoundError, match="not found"):
        await sdk.runs.cancel(thread, run_id)
    await sdk.runs.delete(thread, run_id)
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread, run_id)


async def test_who_waits_for_a_cancelled_run_is_told_how_far_it_came(
    sdk: LangGraphClient, thread: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run_id = await start(sdk, thread, {"wait": 3600, "words": "x"})
    await until_it_waits(sdk, thread)
    queued = await start(sdk, thread, {"wait": 0, "until": str(go), "words": "next"})
    waiting = asyncio.create_task(sdk.runs.join(thread, run_id))
    await asyncio.sleep(0.2)
    await sdk.runs.cancel(thread, run_id)
    assert (await waiting)["steps"] == ["prepare"]
    await until(sdk, thread, queued, "running")
    unheld = await start(sdk, thread, {"words": "never"})
    await sdk.runs.cancel(thread, unheld, wait=True)

    # It stands as the run that holds it says, not as the one that never did.
    async def is_busy() -> bool:
        return (await sdk.threads.get(thread))["status"] == "busy"

    await eventually(is_busy)
    go.touch()
    await sdk.runs.join(thread, queued)
    assert (await sdk.threads.get(thread))["status"] == "idle"


async def test_leaving_a_stream_cancels_if_that_was_asked(
    sdk: LangGraphClient, thread: str, served: Client, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    for leave, status in (("cancel", "interrupted"), ("continue", "success")):
        body = {
            "assistant_id": "toy",
            "input": {"until": str(left), "words": "x"},
            "on_disconnect": leave,
            "if_not_exists": "create",
        }
        async with (
            httpx.AsyncClient(base_url=served.base_url) as client,
            client.stream("POST", f"/threads/{thread}/runs/stream", json=body) as answer,
        ):
            await anext(answer.aiter_lines())
            run_id = answer.headers["content-location"].rpartition("/")[2]
        if leave == "continue":
            left.touch()
        await until(sdk, thread, run_id, status)


async def test_leaving_a_wait_cancels_if_that_was_asked(
    sdk: LangGraphClient, thread: str, served: Client
) -> None:
    await sdk.threads.create(thread_id=thread)
    body = {"assistant_id": "toy", "input": {"wait": 3600}, "multitask_strategy": "rollback"}
    seen: set[str] = set()

    async def another() -> set[str]:
        return {run["run_id"] for run in await sdk.runs.list(thread, status="running")} - seen

    for leave, status in (("continue", "running"), ("cancel", "interrupted")):
        async with httpx.AsyncClient(base_url=served.base_url, timeout=PATIENCE) as client:
            path = f"/threads/{thread}/runs/wait"
            asking = asyncio.create_task(client.post(path, json={**body, "on_disconnect": leave}))
            (run_id,) = await eventually(another)
            seen.add(run_id)
            asking.cancel()
            await asyncio.wait({asking})
        await until(sdk, thread, run_id, status)


async def test_a_stream_cut_anywhere_goes_on_where_it_was(
    sdk: LangGraphClient, thread: str, served: Client
) -> None:
    run_id = await start(
        sdk,
        thread,
        {"words": "one two three four", "wait": 0.5},  # so that most listen before it ends
        stream_mode=["messages-tuple", "values"],
        stream_subgraphs=True,
        stream_resumable=True,
    )

    async def after(event_id: str) -> list[Any]:
        joined = sdk.runs.join_stream(thread, run_id, last_event_id=event_id)
        return [part async for part in joined]

    whole, *cut = await asyncio.gather(after("-1"), *(after(f"1-{n}") for n in range(1, 9)))
    ids = [part.id for part in whole]
    assert ids == [f"1-{n}" for n in range(1, len(whole) + 1)]
    assert len(ids) > 8
    assert cut == [whole[n:] for n in range(1, 9)]  # as it came
    await asyncio.sleep(0.2)  # the process has forgotten it: what follows is read from the log
    for n, event_id in enumerate(["-1", *ids]):
        assert await after(event_id) == whole[n:]


async def test_a_thread_is_followed_over_its_runs(
    sdk: LangGraphClient, thread: str, served: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce_silence(monkeypatch)
    await sdk.threads.create(thread_id=thread, graph_id="toy")
    place, client = f"/threads/{thread}/stream", sdk.http.client

    async def follow(most: int, last_event_id: str) -> list[Any]:
        parts: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            async for part in await sdk.threads.join_stream(thread, last_event_id=last_event_id):
                parts.append(part)
                if len(parts) == most:
                    break
        return parts

    async with (
        following(client, place, most=10) as everything,
        following(client, place, most=4, stream_modes="lifecycle") as lifecycle,
        following(client, place, most=1, stream_modes="state_update") as edits,
    ):
        ids = [await start(sdk, thread, {"words": "one", "wait": 0.1})]
        ids.append(await start(sdk, thread, {"words": "two"}))
        await sdk.runs.join(thread, ids[1])
        await sdk.threads.update_state(thread, {"words": "edited"})
        parts = await everything
        (edit,) = await edits
        statuses = [part.data for part in await lifecycle]
    assert statuses == [
        {"run_id": ids[0], "attempt": 1},
        {"status": "run_done", "run_id": ids[0]},
        {"run_id": ids[1], "attempt": 1},
        {"status": "run_done", "run_id": ids[1]},
    ]
    assert edit.event == "state_update"
    assert edit.data["state"]["values"]["words"] == "edited"
    assert len({part.id for part in parts}) == len(parts)
    again = await follow(10, "-")
    assert [(part.id, part.event, part.data) for part in again] == parts
    for cut in range(9):
        assert await follow(9 - cut, again[cut].id) == again[cut + 1 :]
    assert served.get(f"/threads/{thread}/stream?stream_modes=bad").status_code == 422
    assert served.get(f"/threads/{uuid4()}/stream").status_code == 404


async def test_the_stream_of_a_thread_ends_with_the_thread(
    sdk: LangGraphClient, thread: str
) -> None:
    await sdk.threads.create(thread_id=thread, graph_id="toy")
    async with following(sdk.http.client, f"/threads/{thread}/stream", most=1000) as reading:
        run_id = await start(sdk, thread, {"words": "a b", "wait": 3600})
        await sdk.threads.delete(thread)
        parts = await asyncio.wait_for(reading, PATIENCE)
    assert parts[-1].data == {"status": "run_done", "run_id": run_id}


async def test_nothing_is_lost_to_a_listener_who_is_slower_than_a_loud_run(
    sdk: LangGraphClient, thread: str, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    loud = {"how": "loud", "until": str(heard)}
    run = await sdk.runs.create(
        thread, "odd", input=loud, if_not_exists="create", stream_mode="custom"
    )
    joined = sdk.runs.join_stream(thread, run["run_id"], last_event_id="-1")
    assert (await anext(joined)).event == "metadata"
    heard.touch()
    parts = [part async for part in joined]
    assert [part.event for part in parts] == ["custom"] * 10
    assert [part.data["number"] for part in parts] == list(range(10))


async def test_a_stateless_stream_is_rejoined(sdk: LangGraphClient, served: Client) -> None:
    body = {"assistant_id": "toy", "input": {"words": "a b c"}, "stream_resumable": True}
    with served.stream("POST", "/runs/stream", json=body) as answer:
        place = answer.headers["location"]
        whole = answer.read()
    assert place.startswith("/runs/")
    assert served.get(place, headers={"Last-Event-ID": "-1"}).content == whole
    assert whole.count(b"id: 1-") == whole.count(b"event: ")


@pytest.mark.parametrize("last", ["", "x", "1", "1-x", "-2", "1-2-3", "٣-1", "9" * 50 + "-1"])
async def test_a_place_that_is_none_is_now(
    sdk: LangGraphClient, thread: str, served: Client, last: str
) -> None:
    run_id = await start(sdk, thread, {"words": "gone by"}, stream_resumable=True)
    await sdk.runs.join(thread, run_id)
    headers: Any = {"Last-Event-ID": last.encode()}
    answer = served.get(f"/threads/{thread}/runs/{run_id}/stream", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("modes", ["loud", "[", '["loud"]', "[1]", "[[]]", "[" * 20_000])
def test_modes_that_are_none(served: Client, modes: str) -> None:
    for place, name in (("stream", "stream_mode"), ("", "select")):
        path = f"/threads/{uuid4()}/runs" + (f"/{uuid4()}/{place}" if place else "")
        answer = served.get(path, params={name: modes})
        assert answer.status_code == 422
        assert name in answer.json()["detail"]
    assert served.get(f"/threads/{uuid4()}/runs", params={"select": "[]"}).status_code == 404


async def test_bad_requests_say_what_is_wrong(sdk: LangGraphClient, served: Client) -> None:
    with pytest.raises(UnprocessableEntityError, match="nobody"):
        await sdk.runs.create(None, "nobody", input={})
    with pytest.raises(NotFoundError):
        await sdk.runs.create(str(uuid4()), "toy", input={})
    with pytest.raises(NotFoundError):
        await sdk.runs.list(str(uuid4()))
    wrong: list[Any] = [
        {},
        {"assistant_id": "toy", "stream_mode": "loud"},
        {"assistant_id": "toy", "multitask_strategy": "hope"},
        {"assistant_id": "toy", "config": {"configurable": {"__fence": 1}}},
        {"assistant_id": "toy", "after_seconds": -1},
        {"assistant_id": "toy", "config": {"recursion_limit": "many"}},
        {"assistant_id": "toy", "config": {"tags": 5}},
        {"assistant_id": "toy", "config": {"metadata": "x"}},
        {"assistant_id": "toy", "context": {"__fence": 1}},
        {"assistant_id": "toy", "checkpoint": {"checkpoint_id": 5}},
        {"assistant_id": "toy", "command": {"goto": {"input": 1}}},
        {"assistant_id": "toy", "command": {"resume": "nobody asked"}},
        [],
    ]
    for body in wrong:
        answer = served.post("/runs/wait", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["detail"]
    assert served.post("/threads/x/runs/wait", json={"assistant_id": "toy"}).status_code == 422
    answer = served.post("/runs/wait", json={"assistant_id": "toy"})
    assert answer.json()["__error__"]["error"] == "EmptyInputError"


def test_a_node_that_ends_the_process_is_named_and_given_up(config: Path, tmp_path: Path) -> None:
    settings = {"EVERTURN_CONFIG": str(config)}
    thread, go = str(uuid4()), tmp_path / "go"
    asked: Json = {"how": "exit", "until": str(go)}
    body: Json = {"assistant_id": "odd", "input": asked, "if_not_exists": "create"}
    alone: Json = {"assistant_id": "odd", "input": asked}
    key = {IDEMPOTENCY_KEY: "lost"}
    for attempt in range(1, 6):
        with process(tmp_path / "data", **settings) as running:
            if attempt == 1:
                with Client(running.url()) as client:
                    posted = client.post(f"/threads/{thread}/runs", json=body)
                    assert posted.status_code == 200
                    with suppress(httpx.TimeoutException):
                        client.post("/runs/wait", json=alone, headers=key, timeout=1)
                go.touch()
            assert running.ended() == 1
            assert any("ended_from_within" in line for line in running.log), running.log
    with (
        process(tmp_path / "data", **settings) as running,
        Client(running.url()) as client,
    ):
        runs = f"/threads/{thread}/runs"
        eventually_sync(lambda: [run["status"] for run in client.get(runs).json()] == ["error"])
        assert client.get(f"/threads/{thread}").json()["error"]["error"] == "RunLost"
        lost = client.post("/runs/wait", json=alone, headers=key)
        assert lost.json()["__error__"]["error"] == "RunLost"
        running.says("run_lost", lost.json()["__error__"]["error_id"])
        assert "everturn_runs_lost_total 2.0" in client.get("/metrics").text


def test_a_delayed_run_outlives_a_stop(config: Path, tmp_path: Path) -> None:
    settings = {"EVERTURN_CONFIG": str(config)}
    body: Json = {"assistant_id": "toy", "if_not_exists": "create", "after_seconds": 3600}
    waits, is_due = (f"/threads/{uuid4()}/runs" for _ in range(2))
    with process(tmp_path / "data", **settings) as running:
        with Client(running.url()) as client:
            asked = {**body, "input": {"words": "later"}}
            waits, is_due = (
                f"{path}/{client.post(path, json=asked).json()['run_id']}"
                for path in (waits, is_due)
            )
        assert running.stop() == 0  # without waiting for the hour
    an_hour_passes_for(is_due.rpartition("/")[2], tmp_path / "data")
    with (
        process(tmp_path / "data", **settings) as running,
        Client(running.url()) as client,
    ):
        joined = client.get(f"{is_due}/join").json()
        assert [message["content"] for message in joined["messages"]] == ["later"]
        assert client.get(waits).json()["status"] == "pending"


def an_hour_passes_for(run_id: str, data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "everturn.db")) as database, database:
        changed = database.execute(
            "UPDATE runs SET created_at = datetime(created_at, '-1 hour') || '.000000',"
            " due_at = datetime(due_at, '-1 hour') || '.000000' WHERE run_id = ?",
            (run_id,),
        )
        assert changed.rowcount == 1


def test_a_run_on_a_thread_of_its_own_goes_on_after_kill_9(config: Path, tmp_path: Path) -> None:
    settings = {"EVERTURN_CONFIG": str(config)}
    killed = tmp_path / "killed"
    body: Json = {"assistant_id": "toy", "input": {"until": str(killed), "words": "still here"}}
    from_start = {"Last-Event-ID": "-1"}
    with process(tmp_path / "data", **settings) as running:
        with Client(running.url()) as client:
            runs = [client.post("/runs", json=body).json()]
            runs += client.post("/runs/batch", json=[body]).json()
            for run in runs:
                path = f"/runs/{run['run_id']}/stream"
                with client.stream("GET", path, headers=from_start) as streamed:
                    next(streamed.iter_lines())
        running.kill()
    with (
        process(tmp_path / "data", **settings) as running,
        Client(running.url()) as client,
        ExitStack() as stack,
    ):
        streams = [
            stack.enter_context(
                client.stream("GET", f"/runs/{run['run_id']}/stream", headers=from_start)
            )
            for run in runs
        ]
        killed.touch()  # a run that has ended is not kept, so they are listened to before
        for run, streamed in zip(runs, streams, strict=True):
            whole = streamed.read().decode()
            assert "still here" in whole
            assert '"attempt":2' in whole
            assert client.get(f"/threads/{run['thread_id']}").status_code == 404
            path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
            # Gone with its thread, as soon as the process has forgotten it.
            eventually_sync(lambda: client.get(path).status_code == 404)  # noqa: B023


def test_a_run_goes_on_after_kill_9(config: Path, tmp_path: Path) -> None:
    thread, killed = str(uuid4()), tmp_path / "killed"
    body: Json = {"assistant_id": "toy", "if_not_exists": "create"}
    settings = {"EVERTURN_CONFIG": str(config)}
    with process(tmp_path / "data", **settings) as running:
        with Client(running.url()) as client:
            asked = {**body, "input": {"until": str(killed), "words": "still here"}}
            answer = client.post(f"/threads/{thread}/runs", json=asked)
            assert answer.status_code == 200, answer.text
            run_id = answer.json()["run_id"]
        running.kill()
    killed.touch()
    with (
        process(tmp_path / "data", **settings) as running,
        Client(running.url()) as client,
    ):
        joined = client.get(f"/threads/{thread}/runs/{run_id}/join").json()
        assert [message["content"] for message in joined["messages"]] == ["still here"]
        assert joined["steps"] == ["prepare"]
        assert client.get(f"/threads/{thread}/runs/{run_id}").json()["status"] == "success"
        failed = client.post("/runs/wait", json={"assistant_id": "toy", "input": {"fail": True}})
        error_id = failed.json()["__error__"]["error_id"]
        running.says("run_failed", error_id)
