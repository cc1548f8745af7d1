"""LangGraph's development server, and so Studio, runs our `agent`: tools, approval, a provider.

It has an environment of its own, since its packages are not ours: `TEST_DEVELOPMENT_SERVER` names
the folder of it. There `langgraph-cli[inmem]` and this checkout are installed, which takes some
minutes; a later run finds them there. Without the variable, or where the packages cannot be
installed, the tests are skipped.

That server ends a run that reads a file, or blocks otherwise, on its event loop.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.checkpoints.redis.servers import free_ports
from tests.provider import KEY, FakeProvider, Request
from tests.service import ROOT
from tests.waiting import PATIENCE, eventually_sync

ENVIRONMENT = "TEST_DEVELOPMENT_SERVER"
ROOMS = ("everturn", "graph", "tools", "checkpoints", "server")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def langgraph() -> Path:
    """Return the command `langgraph` of an environment that can serve this checkout."""
    if ENVIRONMENT not in os.environ:
        pytest.skip(f"{ENVIRONMENT} names no folder for the environment of the server")
    folder = Path(os.environ[ENVIRONMENT]).expanduser().resolve()
    command = folder / "bin" / "langgraph"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "pip", "install", "--disable-pip-version-check"]
        # Without the lower bound, pip may fall back to a release that has no such server.
        installed = subprocess.run(
            [*map(str, pip), "langgraph-cli[inmem]>=0.4", "--editable", str(ROOT)],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode:
            pytest.skip(f"the server cannot be installed: {installed.stderr.strip()[-500:]}")
        (folder / "ready").touch()
    return command


@contextmanager
def developing(langgraph: Path, project: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Serve this checkout from the folder `project`, with a `.env` of its own."""
    for room in ROOMS:
        (project / room).symlink_to(ROOT / room)
    (project / "langgraph.json").write_text((ROOT / "langgraph.json").read_text())
    env = {"EVERTURN_DATA_DIR": str(project / "data"), "EVERTURN_APPROVE_TOOLS": "weather"}
    lines = [f"{name}={value}\n" for name, value in {**env, **settings}.items()]
    (project / ".env").write_text("".join(lines))
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", project / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [langgraph, "dev", "--no-browser", "--no-reload", "--port", str(port)],
            cwd=project,
            env=_environment(),
            stdout=output,
            stderr=output,
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/ok").is_success
        except httpx.TransportError:
            return False

    try:
        eventually_sync(answers)
        yield url
        assert "BlockingError" not in log.read_text()
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _environment() -> dict[str, str]:
    """Return ours without what our own service sets for itself.

    With strict msgpack that server cannot copy the adapter of a checkpointer that a project brings
    (its `__getattr__` asks itself for ever), as LangGraph does for each graph inside a node.
    """
    return {k: v for k, v in os.environ.items() if k != "LANGGRAPH_STRICT_MSGPACK"}


async def take_turn(
    client: LangGraphClient, thread: str, graph: str = "agent", **given: Any
) -> list[Any]:
    """Run a turn to its end or its interrupt; return the messages since the newest question."""
    await client.runs.wait(thread, graph, **given)
    state = await client.threads.get_state(thread)
    values: Any = state["values"]
    messages: list[Any] = values["messages"]
    asked = max(i for i, message in enumerate(messages) if message["type"] == "human")
    return messages[asked + 1 :]


def asking(text: str) -> dict[str, Any]:
    return {"input": {"messages": [{"role": "user", "content": text}]}}


@pytest.fixture(scope="module")
def offline_server(langgraph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without a provider; nothing answers where its tools would ask."""
    (closed,) = free_ports(1)
    settings = {
        f"EVERTURN_{name}_URL": f"http://127.0.0.1:{closed}"
        for name in ("OPEN_METEO", "OPEN_METEO_GEOCODING", "WTTR", "WIKIPEDIA")
    }
    with developing(langgraph, tmp_path_factory.mktemp("offline"), settings) as url:
        yield url


@pytest.fixture
async def offline(offline_server: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=offline_server) as client:
        yield client


async def test_a_turn_calls_a_tool(offline: LangGraphClient) -> None:
    thread = (await offline.threads.create())["thread_id"]
    call, result, answer = await take_turn(offline, thread, **asking("What is 12*7?"))
    assert [each["name"] for each in call["tool_calls"]] == ["calculator"]
    assert '"result": 84' in result["content"]
    assert "84" in answer["content"]


async def test_a_call_waits_for_a_person_and_goes_on(offline: LangGraphClient) -> None:
    thread = (await offline.threads.create())["thread_id"]
    question = asking("What is the weather in Seoul?")
    (call,) = await take_turn(offline, thread, **question)
    assert [each["name"] for each in call["tool_calls"]] == ["weather"]
    (interrupt,) = (await offline.threads.get_state(thread))["interrupts"]
    assert [each["name"] for each in interrupt["value"]["action_requests"]] == ["weather"]
    decided: Any = {"resume": {"decisions": [{"type": "approve"}]}}
    _, result, answer = await take_turn(offline, thread, command=decided)
    assert result["status"] == "success"
    assert "Seoul" in result["content"]  # its services were asked in vain: sample data
    assert "Seoul" in answer["content"]
    assert not (await offline.threads.get_state(thread))["interrupts"]


async def test_a_tool_asks_the_web(offline: LangGraphClient) -> None:
    thread = (await offline.threads.create())["thread_id"]
    question = asking("fetch_page(url='http://127.0.0.1:9/')")
    call, result, _ = await take_turn(offline, thread, **question)
    assert [each["name"] for each in call["tool_calls"]] == ["fetch_page"]
    assert "not a public host" in result["content"]


@pytest.mark.parametrize(
    ("graph", "tools"), [("planner", ["make_plan"]), ("team", ["mathematician", "researcher"])]
)
async def test_plans_and_teams(offline: LangGraphClient, graph: str, tools: list[str]) -> None:
    thread = (await offline.threads.create())["thread_id"]
    question = asking("Compute 3*4, and search for cats.")
    call, *_, answer = await take_turn(offline, thread, graph, **question)
    assert [each["name"] for each in call["tool_calls"]] == tools
    assert "3 * 4 = 12" in answer["content"]
    assert "cats" in answer["content"]
    (assistant,) = await offline.assistants.search(graph_id=graph)
    drawn: Any = await offline.assistants.get_graph(assistant["assistant_id"], xray=True)
    nodes = {str(node["id"]) for node in drawn["nodes"]}
    parts = {"planner": {"plan", "dispatch"}, "team": {"delegate", "model"}}
    assert parts[graph] <= nodes
    assert {node.partition(":")[0] for node in nodes} >= {
        *({"step"} if graph == "planner" else {"mathematician", "forecaster", "researcher"})
    }


async def test_a_provider_answers(langgraph: Path, tmp_path: Path) -> None:
    with FakeProvider() as provider:
        provider.script("model-a", "Hello from the provider.")
        settings = {
            "EVERTURN_BASE_URL": provider.url,
            "EVERTURN_MODELS": "model-a",
            "OPENAI_API_KEY": KEY,
        }
        with developing(langgraph, tmp_path, settings) as url:
            async with get_client(url=url) as client:
                thread = (await client.threads.create())["thread_id"]
                (answer,) = await take_turn(client, thread, **asking("Hello"))
        assert answer["content"] == "Hello from the provider."


async def test_long_conversations_and_kept_answers(langgraph: Path, tmp_path: Path) -> None:
    """Both work in its process alone: nothing of the service is there."""

    def answer(request: Request) -> str:
        sums_up = "You keep the notes" in str(request.messages[0]["content"])
        return "- the user is Ann" if sums_up else "Hello."

    with FakeProvider() as provider:
        provider.script("model-a", answer)
        settings = {
            "EVERTURN_BASE_URL": provider.url,
            "EVERTURN_MODELS": "model-a",
            "OPENAI_API_KEY": KEY,
        }
        with developing(langgraph, tmp_path, settings) as url:
            async with get_client(url=url) as client:
                thread = (await client.threads.create())["thread_id"]
                for number in range(13):
                    await take_turn(client, thread, **asking(f"I am Ann {number}"))
                state = await client.threads.get_state(thread)
                values: Any = state["values"]
                assert "Ann" in values["summary"]["text"]
                modes = []
                for _ in range(2):
                    other = (await client.threads.create())["thread_id"]
                    (said,) = await take_turn(
                        client, other, **asking("Hello"), context={"cache": True}
                    )
                    modes.append(said["response_metadata"]["route"]["mode"])
        assert modes == ["primary", "cache"]
