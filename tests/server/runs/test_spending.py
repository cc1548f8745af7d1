"""Budgets through the front door: runs that end in the middle, refusals before they begin."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.provider import KEY, FakeProvider, Offer, Reply, ToolCall
from tests.server.access.project import headers
from tests.service import ROOT, Client, process, serving
from tests.waiting import eventually_sync

TOOL = ToolCall("calculator", {"expression": "1 + 1"})
CALLS = Reply("Let me see.", tool_calls=[TOOL], cost=0.25)
ANSWER = Reply("Two.", cost=0.25)
SPENDING = ROOT / "tests" / "server" / "spending_graph.py"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        running.offer(Offer("answers", prompt_price="0.0001", completion_price="0.0003"))
        running.script("loops", CALLS)
        running.script("answers", ANSWER)
        running.script("many", Reply(tool_calls=[TOOL] * 6), ANSWER)
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our agent and a graph of one's own, for callers who sign in."""
    file = tmp_path_factory.mktemp("project") / "langgraph.json"
    graphs = {"agent": f"{ROOT / 'graph' / 'agent.py'}:graph", "own": f"{SPENDING}:graph"}
    auth = {"path": f"{ROOT / 'tests' / 'projects' / 'auth' / 'auth.py'}:auth"}
    file.write_text(json.dumps({"graphs": graphs, "auth": auth}))
    return file


def settings(provider: FakeProvider, **more: Any) -> dict[str, Any]:
    return {
        "base_url": provider.url,
        "models": "answers,loops",
        "openai_api_key": KEY,
        **more,
    }


@pytest.fixture(scope="module")
def runs(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service in which a run may take 60 cents, a thread a dollar, and five tools."""
    data_dir = tmp_path_factory.mktemp("runs") / "data"
    budgets = {"budget_run": 0.6, "budget_thread": 1.0, "max_tool_calls": 5}
    with serving(data_dir, **settings(provider, **budgets)) as client:
        yield client


def message(client: Client, text: str, session: str | None = None, **more: Any) -> httpx.Response:
    body = {"message": text, **more, **({"session_id": session} if session else {})}
    return client.post("/api/chat/message", json=body)


def knows_price(client: Client) -> bool:
    """Whether a service has read the catalogue: then it sets dollars aside."""
    return any(model["price"] for model in client.get("/api/chat/models").json())


def test_a_budget_ends_a_run_in_the_middle_of_its_tools_and_the_thread_goes_on(
    runs: Client, provider: FakeProvider
) -> None:
    session = runs.post("/api/chat/session", json={}).json()["session_id"]
    before = provider.calls()
    refused = message(runs, "1 + 1?", session, model="loops")
    assert refused.status_code == 429
    assert refused.json()["type"] == "budget-exceeded"
    assert "this run (EVERTURN_BUDGET_RUN) is $0.6, and $0.75 are spent" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "2"
    assert provider.calls() - before == 3  # no fallback, and no offline answer
    answered = message(runs, "And now?", session)
    assert (answered.status_code, answered.json()["response"]) == (200, "Two.")
    spent = message(runs, "And again?", session)
    assert "this thread (EVERTURN_BUDGET_THREAD) is $1, and $1 are spent" in spent.json()["detail"]
    assert int(spent.headers["retry-after"]) > 86_400
    texts = [m["content"] for m in runs.get(f"/api/chat/session/{session}").json()["messages"]]
    assert "And again?" not in texts  # nothing of it was stored
    assert message(runs, "In a new one?").status_code == 200


def test_a_stream_ends_with_the_error(runs: Client) -> None:
    asked = {"message": "1 + 1?", "model": "loops"}
    events = runs.events("/api/chat/message/stream", asked)
    assert any(event.name == "message" for event in events)
    assert (events[-1].name, events[-1].data["type"]) == ("error", "budget-exceeded")
    assert events[-1].data["status"] == 429


def test_a_run_of_the_agent_server_says_so_in_its_row(runs: Client) -> None:
    thread = runs.post("/threads", json={}).json()["thread_id"]
    asked = {
        "assistant_id": "agent",
        "input": {"messages": [{"role": "user", "content": "1 + 1?"}]},
        "context": {"model": "loops"},
    }
    waited = runs.post(f"/threads/{thread}/runs/wait", json=asked)
    assert waited.json()["__error__"]["error"] == "BudgetExceeded"
    (run,) = runs.get(f"/threads/{thread}/runs").json()
    assert run["status"] == "error"
    assert runs.get(f"/threads/{thread}").json()["status"] == "error"
    asked["context"] = {"model": "answers"}
    state = runs.post(f"/threads/{thread}/runs/wait", json=asked).json()
    assert state["messages"][-1]["content"] == "Two."


def test_a_turn_may_call_so_many_tools(runs: Client) -> None:
    refused = message(runs, "1 + 1?", model="many")
    assert refused.status_code == 429
    assert "have called 6 tools; EVERTURN_MAX_TOOL_CALLS allows 5" in refused.json()["detail"]


def test_each_caller_has_a_day_of_their_own_and_nothing_begins_when_it_is_spent(
    provider: FakeProvider, project: Path, data_dir: Path
) -> None:
    budgets = {"config": project, "budget_caller_day": 0.5}
    with serving(data_dir, **settings(provider, **budgets)) as client:
        alice, bob = headers("alice"), headers("bob")
        for _ in range(2):
            answer = client.post("/api/chat/message", json={"message": "Hi"}, headers=alice)
            assert answer.status_code == 200
        before = provider.calls()
        threads = client.post("/threads/search", json={}, headers=alice).json()
        for path in ("/api/chat/message", "/api/chat/message/stream"):
            refused = client.post(path, json={"message": "Hi"}, headers=alice)
            assert (refused.status_code, refused.json()["type"]) == (429, "budget-exceeded")
            assert 0 < int(refused.headers["retry-after"]) <= 86_400
        run = {"assistant_id": "agent", "input": {"messages": []}}
        for path in ("/runs", "/runs/wait", "/runs/stream"):
            assert client.post(path, json=run, headers=alice).status_code == 429
        assert client.post("/threads/search", json={}, headers=alice).json() == threads
        assert provider.calls() == before
        answer = client.post("/api/chat/message", json={"message": "Hi"}, headers=bob)
        assert answer.status_code == 200

        usage = client.get("/api/usage", headers=alice).json()
        assert (usage["caller"], usage["today"]["dollars"]) == ("alice", 0.5)
        assert usage["today"]["held_tokens"] == 0
        assert usage["budgets"]["caller_day"] == {"tokens": None, "dollars": 0.5}
        assert usage["everybody"] is None
        other = client.get("/api/usage", params={"caller": "bob"}, headers=alice)
        assert (other.status_code, other.json()["type"]) == (403, "forbidden")


def test_graphs_that_know_nothing_of_budgets_are_counted(
    provider: FakeProvider, project: Path, data_dir: Path
) -> None:
    budgets = {"config": project, "tokens_caller_day": 50}
    run = {"assistant_id": "own", "input": {"messages": [{"role": "user", "content": "Go."}]}}
    with serving(data_dir, **settings(provider, **budgets)) as client:
        alice = headers("alice")
        assert len(client.post("/runs/wait", json=run, headers=alice).json()["messages"]) == 6
        assert client.get("/api/usage", headers=alice).json()["today"]["tokens"] == 50
        assert client.post("/runs/wait", json=run, headers=alice).status_code == 429


def test_of_another_callers_thread_nobody_learns_what_it_has_spent(
    provider: FakeProvider, project: Path, data_dir: Path
) -> None:
    run = {"assistant_id": "own", "input": {"messages": [{"role": "user", "content": "Go."}]}}
    with serving(data_dir, **settings(provider, config=project, tokens_thread=1)) as client:
        alice, bob = headers("alice"), headers("bob")
        thread = client.post("/threads", json={}, headers=alice).json()["thread_id"]
        path = f"/threads/{thread}/runs/wait"
        assert client.post(path, json=run, headers=alice).status_code == 200
        assert client.post(path, json=run, headers=alice).status_code == 429
        assert client.post(path, json=run, headers=bob).status_code == 404


def test_a_graph_of_ones_own_is_ended_by_its_runs_budget(
    provider: FakeProvider, project: Path, data_dir: Path
) -> None:
    budgets = {"config": project, "tokens_run": 30}
    run = {"assistant_id": "own", "input": {"messages": [{"role": "user", "content": "Go."}]}}
    with serving(data_dir, **settings(provider, **budgets)) as client:
        alice = headers("alice")
        ended = client.post("/runs/wait", json=run, headers=alice).json()
        assert ended["__error__"]["error"] == "BudgetExceeded"
        assert client.get("/api/usage", headers=alice).json()["today"]["tokens"] == 30


@pytest.mark.clock
async def test_many_runs_of_two_processes_go_beyond_by_one_call_at_most(
    provider: FakeProvider, tmp_path: Path
) -> None:
    async with redis_store() as redis, postgres_database() as database:
        shared = {
            "REDIS_URL": REDIS_URL,
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "EVERTURN_BUDGET_CALLER_DAY": "5",
            "EVERTURN_BASE_URL": provider.url,
            "EVERTURN_MODELS": "answers",
            "OPENAI_API_KEY": KEY,
        }
        with (
            process(tmp_path / "a", **shared) as one,
            process(tmp_path / "b", **shared) as other,
            Client(one.url()) as of_one,
            Client(other.url()) as of_other,
            ThreadPoolExecutor(8) as pool,
        ):
            eventually_sync(lambda: knows_price(of_one) and knows_price(of_other))
            asked = [pool.submit(message, (of_one, of_other)[n % 2], "Hi") for n in range(40)]
            statuses = [each.result().status_code for each in asked]
            today = of_one.get("/api/usage").json()["today"]
    assert set(statuses) == {200, 429}
    assert today["dollars"] == 0.25 * statuses.count(200)
    assert 5.0 <= today["dollars"] < 5.25


def test_without_a_budget_nothing_is_counted(client: Client) -> None:
    usage = client.get("/api/usage").json()
    assert (usage["caller"], usage["today"], usage["everybody"]) == (None, None, None)
    assert usage["budgets"]["run"] == {"tokens": None, "dollars": None}
