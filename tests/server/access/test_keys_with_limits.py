"""Keys with limits of their own, beside the same service's other callers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from everturn.checkpoints.sql.api_keys import ApiKeyTable
from everturn.checkpoints.sql.database import open_database
from everturn.server.access.allowance import Allowance
from everturn.server.access.keys import make_key
from everturn.server.access.scopes import ADMIN, RUNS
from tests.checkpoints.stores import REDIS_URL, postgres_database, redis_store
from tests.provider import FakeProvider
from tests.provider.script import Fault
from tests.server.access.own_keys import bearer, key_in
from tests.service import ROOT, Client, process, serving
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

Json = dict[str, Any]
numbers = count()


def project(folder: Path) -> Path:
    """A project of one graph, which waits for a file."""
    graph = ROOT / "tests" / "server" / "journal_graph.py"
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"journal": f"{graph}:graph"}}))
    return file


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Client]]:
    """A service that asks for keys, with little for all who have nothing of their own."""
    folder = tmp_path_factory.mktemp("served")
    settings: Json = {
        "auth": "on",
        "config": project(folder),
        "rate_limit": "2/day",
        "max_runs_per_caller": 1,
    }
    with serving(folder / "data", **settings) as client:
        yield folder / "data", client


def key(data: Path, **amounts: Any) -> dict[str, str]:
    """Make a key of a new caller, and return the headers of one who has it."""
    return bearer(key_in(data, f"caller {next(numbers)}", **amounts))


def run(client: Client, headers: dict[str, str], **more: Any) -> httpx.Response:
    given = {"journal": "/dev/null", "name": "x", **more}
    body = {"assistant_id": "journal", "input": given}
    return client.post("/runs/wait", json=body, headers=headers)


def test_turns_and_other_requests_are_counted_by_the_limits_of_a_key(
    served: tuple[Path, Client],
) -> None:
    data, client = served
    more, less = (
        key(data, rate_limit="4/day"),
        key(data, rate_limit="1/hour", request_limit="1/hour"),
    )
    operator = key(data, scopes=[ADMIN], rate_limit="3/day")
    for headers, most in ((more, 4), (key(data), 2), (less, 1), (operator, 3)):
        assert [run(client, headers).status_code for _ in range(most)] == [200] * most
        refused = run(client, headers)
        assert refused.status_code == 429
        assert f"At most {most} turns" in refused.json()["detail"]
    assert client.post("/threads", json={}, headers=less).status_code == 200
    assert client.post("/threads", json={}, headers=less).status_code == 429
    assert client.post("/threads", json={}, headers=more).status_code == 200


@pytest.mark.parametrize("amounts", [{"tokens_day": 0}, {"budget_day": 0.0}])
def test_a_key_has_a_budget_where_none_is_set(served: tuple[Path, Client], amounts: Json) -> None:
    data, client = served
    headers = key(data, **amounts)
    refused = run(client, headers)
    assert refused.status_code == 429
    assert refused.json()["type"] == "budget-exceeded"
    assert "Your own budget of a day" in refused.json()["detail"]
    assert run(client, key(data)).status_code == 200
    usage = client.get("/api/usage", headers=headers).json()
    assert usage["budgets"]["caller_day"] == {
        "tokens": amounts.get("tokens_day"),
        "dollars": amounts.get("budget_day"),
    }


def test_a_turn_ends_when_the_time_of_its_key_is_up(served: tuple[Path, Client]) -> None:
    data, client = served
    headers = key(data, turn_timeout=0.5)
    for _ in range(2):
        ended = run(client, headers, until="/none/such")
        assert ended.json()["__error__"]["error"] == "TurnTimeout"
        assert ended.json()["__error__"]["message"] == "No answer within 0.5 s."
    assert run(client, key(data, turn_timeout=10_000), wait=0.6).json()["said"] == ["x"]


def test_a_turn_has_an_answer_before_the_time_of_its_key_is_up(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    """Also where the model says nothing: the last second is the offline model's."""
    fake_provider.script("*", Fault("silent"))
    settings = {"base_url": fake_provider.url, "models": "a", "openai_api_key": "sk-test"}
    with serving(data_dir, auth="on", **settings, turn_timeout=600) as client:
        client.headers.update(key(data_dir, turn_timeout=4))
        route = client.ask("hello")["route"]
    assert route["mode"] == "offline"
    assert "the turn's time was up" in route["reason"]


def test_a_body_is_no_larger_than_a_key_may_send(served: tuple[Path, Client]) -> None:
    data, client = served
    less, more = key(data, max_body_size=2000), key(data, max_body_size=10**9)
    body = {"metadata": {"text": "x" * 3000}}
    parts = [json.dumps(body).encode()]
    sent: list[Json] = [{"json": body}, {"content": iter(parts)}]
    for each in sent:
        refused = client.post("/threads", headers=less, **each)
        assert refused.status_code == 413
        assert refused.json()["type"] == "content-too-large"
        assert "at most 2000 bytes" in refused.json()["detail"]
    for headers in (more, key(data)):
        assert client.post("/threads", json=body, headers=headers).status_code == 200
    assert client.post("/threads", json={}, headers=less).status_code == 200
    # What is set for all counts before it is known who asks.
    assert client.post("/threads", content=b"x" * 5_000_000, headers=more).status_code == 413


def test_a_message_of_a_websocket_is_no_larger_either(served: tuple[Path, Client]) -> None:
    data, client = served
    headers = key(data, max_body_size=2000)
    thread = client.post("/threads", json={}, headers=headers).json()["thread_id"]
    url = f"{client.base_url}".rstrip("/").replace("http", "ws", 1)
    at = f"{url}/threads/{thread}/stream/events"
    command = {"id": 1, "method": "agent.getTree", "params": {}}
    with connect(at, additional_headers=headers, proxy=None) as socket:
        for large in ("x" * 3000, ""):
            socket.send(json.dumps({**command, "large": large}))
            answer = json.loads(socket.recv(PATIENCE))
            assert (answer["type"] == "error" and "2000 bytes" in answer["message"]) == bool(large)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[list[str], Any]]:
    """Two processes that share both stores, and what makes a key for them."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_store())
        where = await stack.enter_async_context(postgres_database())
        database = where.render_as_string(hide_password=False)
        settings = {
            "REDIS_URL": REDIS_URL,
            "DATABASE_URL": database,
            "EVERTURN_REDIS_PREFIX": redis.prefix,
            "EVERTURN_CONFIG": str(project(tmp_path)),
            "EVERTURN_AUTH": "on",
            "EVERTURN_MAX_RUNS_PER_CALLER": "2",
        }
        served = [stack.enter_context(process(tmp_path / name, **settings)) for name in ("a", "b")]
        urls = [each.url() for each in served]
        opened = await stack.enter_async_context(open_database(database, tmp_path, migrate=False))

        async def make(name: str, **amounts: Any) -> dict[str, str]:
            new = make_key(name, name, [RUNS], None, Allowance(**amounts))
            await ApiKeyTable(opened).add(new.row)
            return bearer(new.secret)

        yield urls, make


async def test_runs_at_once_of_a_key_are_counted_by_two_processes_together(
    two: tuple[list[str], Any], tmp_path: Path
) -> None:
    urls, make = two
    async with httpx.AsyncClient(timeout=PATIENCE) as client:

        async def ask(headers: dict[str, str], number: int, route: str = "/runs/wait") -> int:
            journal = tmp_path / f"journal {headers['Authorization'][-8:]}"
            given = {"journal": str(journal), "name": "x", "until": str(tmp_path / "go")}
            body = {"assistant_id": "journal", "input": given}
            url = urls[number % 2]
            return (await client.post(url + route, json=body, headers=headers)).status_code

        def begun(headers: dict[str, str]) -> int:
            journal = tmp_path / f"journal {headers['Authorization'][-8:]}"
            return len(journal.read_text().splitlines()) if journal.exists() else 0

        callers = [
            (await make("more", max_runs=5), 5),
            (await make("less", max_runs=1), 1),
            (await make("as all"), 2),
        ]
        waiting = []
        for headers, most in callers:
            asked = [asyncio.create_task(ask(headers, number)) for number in range(20)]
            await eventually(partial(_ended, asked, 20 - most))
            assert {task.result() for task in asked if task.done()} == {429}
            await eventually(partial(_is, partial(begun, headers), most))
            waiting += [task for task in asked if not task.done()]
        # What is of the background waits, and begins as those end.
        for number in range(6):
            for headers, _ in callers:
                assert await ask(headers, number, "/runs") == 200
        assert [begun(headers) for headers, _ in callers] == [5, 1, 2]
        (tmp_path / "go").touch()
        assert await asyncio.gather(*waiting) == [200] * 8
        for headers, most in callers:
            await eventually(partial(_is, partial(begun, headers), most + 6))


def _is(count: Callable[[], int], number: int) -> bool:
    return count() == number


def _ended(tasks: list[asyncio.Task[int]], most: int) -> bool:
    return sum(task.done() for task in tasks) == most


def test_a_user_of_a_project_with_a_wrong_amount_is_not_let_in(tmp_path: Path) -> None:
    (tmp_path / "sign_in.py").write_text(
        "from langgraph_sdk import Auth\n\nauth = Auth()\n\n\n@auth.authenticate\n"
        "async def authenticate(authorization: str | None) -> dict:\n"
        '    return {"identity": "eve", "max_runs": authorization}\n'
    )
    file = project(tmp_path)
    said = {**json.loads(file.read_text()), "auth": {"path": "./sign_in.py:auth"}}
    file.write_text(json.dumps(said))
    with process(tmp_path / "data", EVERTURN_CONFIG=str(file)) as running:
        with Client(running.url()) as client:
            refused = client.post("/threads", json={}, headers={"Authorization": "four"})
            assert refused.status_code == 500
            assert "the log says why" in refused.json()["detail"]
            assert client.post("/threads", json={}).status_code == 200
        running.says("authenticator_failed", "a user's max_runs must be a valid integer")
