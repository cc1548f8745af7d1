"""Commands of the event protocol over HTTP: each is answered in the protocol's own shape."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langchain_protocol import (
    AgentResult,
    Command,
    CommandResponse,
    ErrorResponse,
    ListCheckpointsResult,
    RunResult,
    StateForkResult,
    StateGetResult,
)
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.stream.transport import ProtocolSseTransport
from pydantic import TypeAdapter

from everturn.server.api.http.problems import IDEMPOTENCY_KEY, REPLAYED
from everturn.server.runs.injection import Inbox
from tests.service import ROOT, Client, serving
from tests.waiting import eventually

TOY = ROOT / "tests" / "server" / "toy_graph.py"
ODD = ROOT / "tests" / "server" / "odd_graph.py"
STEPS = ROOT / "tests" / "server" / "stepping_graph.py"
Json = dict[str, Any]

_RESULTS: dict[str, TypeAdapter[Any]] = {
    "run.start": TypeAdapter(RunResult),
    "input.respond": TypeAdapter(RunResult),
    "state.get": TypeAdapter(StateGetResult),
    "state.listCheckpoints": TypeAdapter(ListCheckpointsResult),
    "state.fork": TypeAdapter(StateForkResult),
    "agent.getTree": TypeAdapter(AgentResult),
}
_COMMAND: TypeAdapter[Any] = TypeAdapter(Command)
_SUCCESS: TypeAdapter[Any] = TypeAdapter(CommandResponse)
_ERROR: TypeAdapter[Any] = TypeAdapter(ErrorResponse)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("commands")
    config = folder / "langgraph.json"
    graphs = {"toy": f"{TOY}:graph", "both": f"{ODD}:both", "odd": f"{ODD}:graph"}
    graphs |= {"steps": f"{STEPS}:graph"}
    config.write_text(json.dumps({"graphs": graphs}))
    with serving(folder / "data", config=config) as client:
        yield client


@pytest.fixture
async def sdk(served: Client) -> AsyncIterator[LangGraphClient]:
    client = get_client(url=str(served.base_url))
    yield client
    await client.aclose()


class Talker:
    """A client of one thread that counts its commands from 1, as those of the SDKs do."""

    def __init__(self, served: httpx.Client, thread_id: str | None = None, **headers: str) -> None:
        self.thread_id = thread_id or str(uuid4())
        self.url = str(served.base_url)
        self.headers = headers
        self._count = 0
        self.replayed = False

    async def send(self, method: str, **params: Any) -> Json:
        self._count += 1
        return await self.send_as(self._count, method, **params)

    async def send_as(self, number: int, method: str, **params: Any) -> Json:
        command = {"id": number, "method": method, "params": params}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            path = f"/threads/{self.thread_id}/commands"
            answer = await http.post(path, json=command, headers=self.headers)
        assert answer.status_code == 200, answer.text
        self.replayed = answer.headers.get(REPLAYED) == "true"
        found: Json = answer.json()
        assert found["id"] == number
        if found["type"] == "error":
            _ERROR.validate_python(found)
        else:
            _SUCCESS.validate_python(found)
            if method in _RESULTS:
                _RESULTS[method].validate_python(found["result"])
        return found

    async def done(self, method: str, **params: Any) -> Json:
        if method in _RESULTS and method != "run.cancel":
            _COMMAND.validate_python({"id": 0, "method": method, "params": params})
        answer = await self.send(method, **params)
        assert answer["type"] == "success", answer
        return dict(answer["result"])

    async def refused(self, method: str, **params: Any) -> str:
        answer = await self.send(method, **params)
        assert answer["type"] == "error", answer
        assert answer["message"]
        return str(answer["error"])


@pytest.fixture
def talker(served: Client) -> Talker:
    return Talker(served)


async def ran(sdk: LangGraphClient, talker: Talker, graph: str, given: Any) -> str:
    """Start a run by a command, and wait for its end."""
    run_id = (await talker.done("run.start", assistant_id=graph, input=given))["run_id"]
    await sdk.runs.join(talker.thread_id, run_id)
    return str(run_id)


async def interrupts(sdk: LangGraphClient, thread_id: str) -> list[str]:
    return [each["id"] for each in (await sdk.threads.get_state(thread_id))["interrupts"]]


async def test_a_run_is_started_and_its_thread_made(sdk: LangGraphClient, talker: Talker) -> None:
    config = {"tags": ["a"]}
    answer = await talker.send(
        "run.start",
        assistant_id="toy",
        input={"words": "good day"},
        config=config,
        metadata={"from": "a page"},
        langsmith_tracer={"project_name": "p"},
    )
    run_id = answer["result"]["run_id"]
    assert answer["meta"]["applied_through_seq"] > 0
    state: Any = await sdk.runs.join(talker.thread_id, run_id)
    assert state["messages"][-1]["content"] == "good day"
    run: Any = await sdk.runs.get(talker.thread_id, run_id)
    assert run["status"] == "success"
    assert run["metadata"]["from"] == "a page"
    thread: Any = await sdk.threads.get(talker.thread_id)
    assert thread["metadata"]["graph_id"] == "toy"


async def test_a_fork_named_in_the_config_is_one(sdk: LangGraphClient, talker: Talker) -> None:
    await ran(sdk, talker, "toy", {"words": "one"})
    unknown = {"configurable": {"checkpoint_id": str(uuid4())}}
    code = await talker.refused("run.start", assistant_id="toy", input=None, config=unknown)
    assert code == "no_such_checkpoint"


async def test_one_interrupt_is_answered(sdk: LangGraphClient, talker: Talker) -> None:
    await ran(sdk, talker, "toy", {"ask": True})
    [waits] = await interrupts(sdk, talker.thread_id)
    code = await talker.refused(
        "input.respond", namespace=[], interrupt_id="0" * 32, response="yes"
    )
    assert code == "no_such_interrupt"
    answer = await talker.done(
        "input.respond",
        namespace=[],
        interrupt_id=waits,
        response="yes",
        update={"steps": ["answered"]},
        metadata={"by": "ada"},
        strict_resume=True,
    )
    state: Any = await sdk.runs.join(talker.thread_id, answer["run_id"])
    assert state["messages"][-1]["content"] == "yes"
    assert "answered" in state["steps"]
    run: Any = await sdk.runs.get(talker.thread_id, answer["run_id"])
    assert run["metadata"]["by"] == "ada"
    again = await talker.refused("input.respond", namespace=[], interrupt_id=waits, response="no")
    assert again == "no_such_interrupt"


async def test_several_are_answered_at_once(sdk: LangGraphClient, talker: Talker) -> None:
    await ran(sdk, talker, "both", {})
    state: Any = await sdk.threads.get_state(talker.thread_id)
    asked = {each["value"]: each["id"] for each in state["interrupts"]}
    entries = [
        {"namespace": [], "interrupt_id": asked["left?"], "response": "l"},
        {"namespace": [], "interrupt_id": asked["right?"], "response": "r"},
    ]
    unknown = {"namespace": [], "interrupt_id": "0" * 32, "response": "?"}
    strictly: Json = {"responses": [*entries, unknown], "strict_resume": True}
    assert await talker.refused("input.respond", **strictly) == "no_such_interrupt"
    twice = await talker.refused("input.respond", responses=[entries[0], entries[0]])
    assert twice == "invalid_argument"
    answer = await talker.done("input.respond", responses=[*entries, unknown])
    final: Any = await sdk.runs.join(talker.thread_id, answer["run_id"])
    assert sorted(final["answers"]) == ["l", "r"]


async def test_an_answer_that_comes_too_soon_leaves_the_thread_as_it_was(
    sdk: LangGraphClient, talker: Talker, tmp_path: Path
) -> None:
    gate = tmp_path / "go"
    given = {"until": str(gate), "ask": True}
    asking = (await talker.done("run.start", assistant_id="toy", input=given))["run_id"]
    wrong: Json = {"namespace": [], "interrupt_id": "0" * 32, "response": "?"}
    answer = await talker.done("input.respond", **wrong)  # it may ask this in a moment
    gate.touch()
    await sdk.runs.join(talker.thread_id, asking)
    await sdk.runs.join(talker.thread_id, answer["run_id"])
    assert (await sdk.runs.get(talker.thread_id, answer["run_id"]))["status"] == "error"
    assert len(await interrupts(sdk, talker.thread_id)) == 1
    assert (await sdk.threads.get(talker.thread_id))["status"] == "interrupted"


async def test_an_answer_may_say_where_to_go(sdk: LangGraphClient, talker: Talker) -> None:
    await ran(sdk, talker, "both", {})
    [first, second] = await interrupts(sdk, talker.thread_id)
    answer = await talker.done(
        "input.respond",
        responses=[
            {"namespace": [], "interrupt_id": each, "response": "x"} for each in (first, second)
        ],
        goto=[{"node": "left", "input": {}}],
    )
    state: Any = await sdk.runs.join(talker.thread_id, answer["run_id"])
    assert state["answers"] == ["x", "x"]
    assert [each["value"] for each in state["__interrupt__"]] == ["left?"]  # it went there again


async def test_values_are_shown(sdk: LangGraphClient, talker: Talker) -> None:
    await ran(sdk, talker, "toy", {"words": "hi", "ask": True})
    found = await talker.done("state.get", namespace=[])
    state: Any = await sdk.threads.get_state(talker.thread_id)
    assert found["values"] == state["values"]
    assert found["checkpoint"] == {"id": state["checkpoint_id"]}
    few = await talker.done("state.get", namespace=[], keys=["steps", "nothing"])
    assert few["values"] == {"steps": ["prepare"]}
    tree = (await talker.done("agent.getTree"))["tree"]
    [inner] = tree["children"]
    inside = await talker.done("state.get", namespace=inner["namespace"])
    assert inside["values"]["words"] == "hi"
    assert inside["checkpoint"]["ns"] == inner["namespace"][0]
    assert await talker.refused("state.get", namespace=["no:where"]) == "no_such_namespace"


async def test_checkpoints_are_listed_and_forked(sdk: LangGraphClient, talker: Talker) -> None:
    await ran(sdk, talker, "toy", {"words": "one"})
    listed = (await talker.done("state.listCheckpoints"))["checkpoints"]
    history: Any = await sdk.threads.get_history(talker.thread_id)
    assert [each["id"] for each in listed] == [each["checkpoint_id"] for each in history]
    assert [each["step"] for each in listed] == [2, 1, 0, -1]
    assert [each.get("node_name") for each in listed] == ["inner", "prepare", None, None]
    [second] = (await talker.done("state.listCheckpoints", limit=1, before=listed[0]["id"]))[
        "checkpoints"
    ]
    assert second == listed[1]
    code = await talker.refused("state.fork", checkpoint_id=str(uuid4()))
    assert code == "no_such_checkpoint"
    forked = await talker.done(
        "state.fork", checkpoint_id=listed[0]["id"], input={"words": "two"}, config={"tags": ["t"]}
    )
    assert forked["thread_id"] == talker.thread_id
    state: Any = await sdk.runs.join(talker.thread_id, forked["run_id"])
    assert [m["content"] for m in state["messages"]] == ["one", "two"]
    redone = await talker.done("state.fork", checkpoint_id=listed[1]["id"])
    state = await sdk.runs.join(talker.thread_id, redone["run_id"])
    assert [m["content"] for m in state["messages"]] == ["one"]


async def test_the_tree_of_a_run(sdk: LangGraphClient, talker: Talker) -> None:
    first = await ran(sdk, talker, "toy", {"ask": True})
    tree = (await talker.done("agent.getTree"))["tree"]
    assert (tree["namespace"], tree["status"], tree["graph_name"]) == ([], "interrupted", "toy")
    [inner] = tree["children"]
    assert inner["namespace"][0].startswith("inner:")
    assert (inner["status"], inner["graph_name"]) == ("interrupted", "inner")
    [waits] = await interrupts(sdk, talker.thread_id)
    answer = await talker.done("input.respond", namespace=[], interrupt_id=waits, response="y")
    await sdk.runs.join(talker.thread_id, answer["run_id"])
    tree = (await talker.done("agent.getTree", run_id=answer["run_id"]))["tree"]
    assert tree["status"] == "completed"
    assert [(each["namespace"], each["status"]) for each in tree["children"]] == [
        (inner["namespace"], "completed")
    ]
    assert (await talker.done("agent.getTree", run_id=first))["tree"]["graph_name"] == "toy"
    assert await talker.refused("agent.getTree", run_id=str(uuid4())) == "no_such_run"


async def test_the_tree_of_a_run_under_way(
    sdk: LangGraphClient, talker: Talker, tmp_path: Path
) -> None:
    given = {"until": str(tmp_path / "go")}
    run_id = (await talker.done("run.start", assistant_id="toy", input=given))["run_id"]

    async def inside() -> bool:
        tree = (await talker.done("agent.getTree"))["tree"]
        return [each["status"] for each in tree.get("children", ())] == ["running"]

    await eventually(inside)
    (tmp_path / "go").touch()
    await sdk.runs.join(talker.thread_id, run_id)
    failed = await ran(sdk, talker, "toy", {"fail": True, "until": "/"})
    tree = (await talker.done("agent.getTree", run_id=failed))["tree"]
    assert tree["status"] == "failed"
    assert [each["status"] for each in tree["children"]] == ["failed"]


async def test_runs_are_cancelled(sdk: LangGraphClient, talker: Talker, tmp_path: Path) -> None:
    given = {"until": str(tmp_path / "never")}
    start: Json = {"assistant_id": "toy", "input": given}
    first = (await talker.done("run.start", **start))["run_id"]
    second = (await talker.done("run.start", **start))["run_id"]
    assert await talker.done("run.cancel", run_id=second, wait=True) == {"run_id": second}
    assert await talker.done("run.cancel", run_id=second) == {"run_id": second}  # and again
    assert await talker.done("run.cancel", wait=True) == {"run_ids": [first]}
    assert (await sdk.runs.get(talker.thread_id, first))["status"] == "interrupted"
    assert await talker.done("run.cancel") == {"run_ids": []}
    assert await talker.refused("run.cancel", run_id=str(uuid4())) == "no_such_run"


async def test_what_is_refused(sdk: LangGraphClient, talker: Talker) -> None:
    await ran(sdk, talker, "toy", {})
    assert await talker.refused("run.dance") == "unknown_command"
    answer = await talker.send("run.dance")
    assert answer["message"].startswith("There is no command 'run.dance'; there are: run.start")
    assert await talker.refused("subscription.subscribe", channels=[]) == "not_supported"
    assert await talker.refused("run.start") == "invalid_argument"
    assert await talker.refused("run.start", assistant_id="none") == "invalid_argument"
    both = {"interrupt_id": "i", "response": 1, "responses": []}
    assert await talker.refused("input.respond", **both) == "invalid_argument"
    assert await talker.refused("input.respond", interrupt_id="i") == "invalid_argument"
    listed = await talker.refused("state.listCheckpoints", limit=100_000)
    assert listed == "invalid_argument"


@pytest.mark.parametrize(
    "sent",
    [
        *(b"", b"{", b"[]", b"1", b"null", b"{}", b'{"id": "1", "method": "state.get"}'),
        *(b'{"id": -1, "method": "state.get"}', b'{"id": true, "method": "state.get"}'),
    ],
)
def test_what_is_no_command_has_no_id(served: Client, sent: bytes) -> None:
    path = f"/threads/{uuid4()}/commands"
    answer = served.post(path, content=sent, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    _ERROR.validate_python(answer.json())
    assert answer.json()["id"] is None
    assert answer.json()["error"] == "invalid_argument"


def test_what_has_an_id_keeps_it(served: Client) -> None:
    answer = served.post(f"/threads/{uuid4()}/commands", json={"id": 7}).json()
    assert (answer["id"], answer["error"]) == (7, "invalid_argument")


@pytest.mark.parametrize("method", ["state.get", "agent.getTree", "run.cancel", "state.fork"])
def test_a_thread_that_is_not_there_is_a_problem(served: Client, method: str) -> None:
    params = {"namespace": [], "checkpoint_id": str(uuid4())}
    command = {"id": 1, "method": method, "params": params}
    answer = served.post(f"/threads/{uuid4()}/commands", json=command)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert served.post("/threads/none/commands", json=command).status_code == 422


# Commands that are sent again.


async def test_a_client_that_says_who_it_is_may_send_a_command_again(
    sdk: LangGraphClient, served: Client
) -> None:
    client = Talker(served, **{IDEMPOTENCY_KEY: str(uuid4())})
    start: Json = {"assistant_id": "toy", "input": {"words": "once"}}
    first = await client.send_as(1, "run.start", **start)
    again = await client.send_as(1, "run.start", **start)
    assert again["result"] == first["result"]
    assert again["meta"]["applied_through_seq"] == first["meta"]["applied_through_seq"]
    assert client.replayed
    second = await client.send_as(2, "run.start", **start)  # the same, and meant
    assert second["result"] != first["result"]
    assert not client.replayed
    other = await client.send_as(1, "run.start", assistant_id="toy", input={"words": "other"})
    assert other["error"] == "invalid_argument"
    await sdk.runs.join(client.thread_id, second["result"]["run_id"])
    elsewhere = Talker(served, **{IDEMPOTENCY_KEY: client.headers[IDEMPOTENCY_KEY]})
    await elsewhere.send_as(1, "run.start", **start)  # its first command on another thread
    assert not elsewhere.replayed
    assert len(await sdk.runs.list(client.thread_id)) == 2


async def test_an_answer_may_be_sent_again(sdk: LangGraphClient, served: Client) -> None:
    client = Talker(served, **{IDEMPOTENCY_KEY: str(uuid4())})
    await ran(sdk, client, "toy", {"ask": True})
    [waits] = await interrupts(sdk, client.thread_id)
    answer: Json = {"namespace": [], "interrupt_id": waits, "response": "yes"}
    first = await client.send_as(9, "input.respond", **answer)
    await sdk.runs.join(client.thread_id, first["result"]["run_id"])
    assert (await client.send_as(9, "input.respond", **answer))["result"] == first["result"]
    assert client.replayed
    [checkpoint, *_] = (await client.done("state.listCheckpoints"))["checkpoints"]
    forks = [await client.send_as(20, "state.fork", checkpoint_id=checkpoint["id"]) for _ in "12"]
    assert forks[0]["result"] == forks[1]["result"]


async def test_clients_that_all_begin_at_one_are_not_confused(
    sdk: LangGraphClient, served: Client
) -> None:
    one = Talker(served)
    others = [Talker(served, one.thread_id), Talker(served, one.thread_id)]
    others.append(Talker(served, one.thread_id, **{IDEMPOTENCY_KEY: str(uuid4())}))
    runs = {await ran(sdk, each, "toy", {"words": "hi"}) for each in (one, *others)}
    assert len(runs) == 4


# Messages to a run under way.


def said(values: Json) -> list[str]:
    return [each["content"] for each in values["messages"]]


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when a message has come to a run, which is in a thread of this process."""
    event, put = threading.Event(), Inbox.put

    async def watched(inbox: Inbox, message: Json) -> bool:
        putting = asyncio.create_task(put(inbox, message))
        await asyncio.sleep(0)
        event.set()
        return await putting

    monkeypatch.setattr(Inbox, "put", watched)
    return event


async def until_it_steps(talker: Talker, count: int) -> None:
    async def so_far() -> bool:
        found = await talker.done("state.get", namespace=[], keys=["seen"])
        return len(found["values"].get("seen", ())) >= count

    await eventually(so_far)


async def test_the_next_step_sees_a_message(
    sdk: LangGraphClient, served: Client, talker: Talker, tmp_path: Path, arrived: threading.Event
) -> None:
    gates = [str(tmp_path / name) for name in "abc"]
    given = {"gates": gates, "messages": "begin"}
    run_id = (await talker.done("run.start", assistant_id="steps", input=given))["run_id"]
    await until_it_steps(talker, 1)
    message = {"role": "user", "content": "and also this"}
    other = Talker(served, talker.thread_id)
    injecting = asyncio.create_task(other.done("input.inject", namespace=[], message=message))
    await eventually(arrived.is_set)
    assert not injecting.done()  # the step under way goes on
    Path(gates[0]).touch()
    answer = await injecting
    assert answer["run_id"] == run_id
    for gate in gates:
        Path(gate).touch()
    state: Any = await sdk.runs.join(talker.thread_id, run_id)
    assert said(state) == ["begin", "and also this"]
    assert state["seen"] == [1, 1, 2, 2]
    assert len(await sdk.runs.list(talker.thread_id)) == 1


async def test_no_message_comes_between_a_call_and_its_answer(
    sdk: LangGraphClient, served: Client, talker: Talker, tmp_path: Path, arrived: threading.Event
) -> None:
    gate = tmp_path / "a"
    given = {"gates": [str(gate)], "messages": "begin", "calls": True}
    run_id = (await talker.done("run.start", assistant_id="steps", input=given))["run_id"]
    await until_it_steps(talker, 1)
    message = {"role": "user", "content": "hurry", "id": "m-1"}
    other = Talker(served, talker.thread_id)
    injecting = asyncio.create_task(other.done("input.inject", namespace=[], message=message))
    await eventually(arrived.is_set)
    gate.touch()
    await injecting
    state: Any = await sdk.runs.join(talker.thread_id, run_id)
    kinds = [each["type"] for each in state["messages"]]
    assert kinds == ["human", "ai", "tool", "human"]
    again = await other.done("input.inject", namespace=[], message=message)
    assert again == {"message_id": "m-1"}
    assert len((await talker.done("state.get", namespace=[]))["values"]["messages"]) == 4


async def test_what_comes_in_the_last_step_is_answered(
    sdk: LangGraphClient, served: Client, talker: Talker, tmp_path: Path, arrived: threading.Event
) -> None:
    gate = tmp_path / "go"
    given = {"until": str(gate), "words": "an answer"}
    run_id = (await talker.done("run.start", assistant_id="toy", input=given))["run_id"]

    async def in_the_last() -> bool:
        return (await sdk.threads.get_state(talker.thread_id))["next"] == ["inner"]

    await eventually(in_the_last)
    other = Talker(served, talker.thread_id)
    message = {"role": "system", "content": "one more"}
    injecting = asyncio.create_task(other.done("input.inject", namespace=[], message=message))
    await eventually(arrived.is_set)
    gate.touch()
    assert (await injecting)["run_id"] == run_id
    state: Any = await sdk.runs.join(talker.thread_id, run_id)
    assert said(state) == ["an answer", "one more", "an answer"]


async def test_a_message_outlives_the_run_that_it_came_for(
    sdk: LangGraphClient,
    served: Client,
    talker: Talker,
    tmp_path: Path,
    arrived: threading.Event,
) -> None:
    given = {"until": str(tmp_path / "never"), "messages": "begin"}
    await talker.done("run.start", assistant_id="toy", input=given)
    message = {"role": "user", "content": "and this"}
    other = Talker(served, talker.thread_id)
    injecting = asyncio.create_task(other.done("input.inject", namespace=[], message=message))
    await eventually(arrived.is_set)
    await talker.done("run.cancel", wait=True)
    await injecting
    assert said((await talker.done("state.get", namespace=[]))["values"]) == ["begin", "and this"]


async def test_a_message_to_an_idle_thread_lies_in_its_state(
    sdk: LangGraphClient, talker: Talker
) -> None:
    await ran(sdk, talker, "toy", {"words": "hi"})
    answer = await talker.done(
        "input.inject", namespace=[], message={"role": "user", "content": "later"}
    )
    assert "run_id" not in answer
    assert said((await talker.done("state.get", namespace=[]))["values"]) == ["hi", "later"]
    state: Any = await sdk.threads.get_state(talker.thread_id)
    assert state["next"] == []
    assert (await sdk.threads.get(talker.thread_id))["status"] == "idle"
    await ran(sdk, talker, "toy", {"words": "ho"})
    assert said((await talker.done("state.get", namespace=[]))["values"]) == ["hi", "later", "ho"]


async def test_a_message_does_not_fit_everywhere(
    sdk: LangGraphClient, served: Client, talker: Talker
) -> None:
    message = {"role": "user", "content": "x"}
    await ran(sdk, talker, "toy", {"ask": True})
    waiting = await talker.refused("input.inject", namespace=[], message=message)
    assert waiting == "invalid_argument"
    inner = await talker.refused("input.inject", namespace=["inner:1"], message=message)
    assert inner == "invalid_argument"
    robot = {"role": "assistant", "content": "x"}
    assert await talker.refused("input.inject", namespace=[], message=robot) == "invalid_argument"
    other = Talker(served)
    await ran(sdk, other, "odd", {})
    assert await other.refused("input.inject", namespace=[], message=message) == "invalid_argument"


async def test_the_sdk_starts_and_answers(sdk: LangGraphClient, served: Client) -> None:
    async with sdk.threads.stream(assistant_id="toy") as thread:
        started = await thread.run.start(input={"words": "from the SDK"})
        state: Any = await sdk.runs.join(thread.thread_id, started["run_id"])
        assert said(state) == ["from the SDK"]
    thread_id = str(uuid4())
    async with httpx.AsyncClient(base_url=str(served.base_url)) as http:
        transport = ProtocolSseTransport(client=http, thread_id=thread_id)
        params = {"assistant_id": "toy", "input": {"ask": True}}
        sent = await transport.send_command({"id": 1, "method": "run.start", "params": params})
        assert sent is not None
        await sdk.runs.join(thread_id, sent["result"]["run_id"])
        [waits] = await interrupts(sdk, thread_id)
        params = {"interrupt_id": waits, "namespace": [], "response": "done"}
        sent = await transport.send_command({"id": 2, "method": "input.respond", "params": params})
        assert sent is not None
        state = await sdk.runs.join(thread_id, sent["result"]["run_id"])
        assert said(state) == ["done"]
