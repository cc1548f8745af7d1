"""Rules as many projects have them: those that make things mark them, those that read filter.

Such a rule of `create` or `create_run` returns no filter, and so allows every thread that is there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import serving

AUTH = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    if not authorization:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Who are you?")
    return authorization


@auth.on.threads.create
@auth.on.threads.create_run
async def mark(ctx, value):
    if ctx.user.identity == "idle" and ctx.action == "create_run":
        return False
    value.setdefault("metadata", {})["owner"] = ctx.user.identity


@auth.on.threads.read
@auth.on.threads.search
async def own(ctx, value):
    return {"owner": ctx.user.identity}


@auth.on.assistants.create
async def mark_assistant(ctx, value):
    value.setdefault("metadata", {})["owner"] = ctx.user.identity


@auth.on.assistants.read
async def own_assistant(ctx, value):
    return {"$or": [{"owner": ctx.user.identity}, {"created_by": "system"}]}
"""
TOY = Path(__file__).parents[1] / "toy_graph.py"
RUN: dict[str, Any] = {"assistant_id": "toy", "input": {"words": "secret"}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("marking")
    (folder / "auth.py").write_text(AUTH)
    config = {"graphs": {"toy": f"{TOY}:graph"}, "auth": {"path": "./auth.py:auth"}}
    (folder / "langgraph.json").write_text(json.dumps(config))
    with serving(folder / "data", config=folder / "langgraph.json") as client:
        yield str(client.base_url)


def user(url: str, name: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"authorization": name}, timeout=60)


@pytest.fixture
def ann(url: str) -> Iterator[httpx.Client]:
    with user(url, "ann") as client:
        yield client


@pytest.fixture
def bob(url: str) -> Iterator[httpx.Client]:
    with user(url, "bob") as client:
        yield client


@pytest.fixture
def thread(ann: httpx.Client) -> str:
    made: str = ann.post("/threads", json={}).json()["thread_id"]
    assert ann.post(f"/threads/{made}/runs/wait", json=RUN).status_code == 200
    return made


@pytest.mark.parametrize("door", ["runs", "runs/wait", "runs/stream"])
@pytest.mark.parametrize("how", [{}, {"if_not_exists": "create"}])
def test_nobody_runs_on_anothers_thread(
    ann: httpx.Client, bob: httpx.Client, thread: str, door: str, how: dict[str, str]
) -> None:
    answer = bob.post(f"/threads/{thread}/{door}", json={**RUN, **how})
    assert answer.status_code == 404
    assert len(ann.get(f"/threads/{thread}/runs").json()) == 1
    body = {"graph": "toy", "thread_id": thread, "input": {"words": "x"}}
    assert bob.post("/invoke", json=body).status_code == 404


def test_nobody_is_given_what_another_made(
    ann: httpx.Client, bob: httpx.Client, thread: str
) -> None:
    taken = {"thread_id": thread, "if_exists": "do_nothing"}
    assert bob.post("/threads", json=taken).status_code == 409
    assert ann.post("/threads", json=taken).status_code == 200
    made = ann.post("/assistants", json={"graph_id": "toy"}).json()["assistant_id"]
    again = {"graph_id": "toy", "assistant_id": made, "if_exists": "do_nothing"}
    assert bob.post("/assistants", json=again).status_code == 409
    assert ann.post("/assistants", json=again).status_code == 200


def test_a_cron_runs_for_who_changed_it_last(ann: httpx.Client, bob: httpx.Client) -> None:
    cron = ann.post("/runs/crons", json={**RUN, "schedule": "0 0 1 1 *"}).json()
    assert cron["user_id"] == "ann"
    changed = bob.patch(f"/runs/crons/{cron['cron_id']}", json={"input": {"words": "mine"}})
    assert changed.json()["user_id"] == "bob"  # without a rule for crons anybody may change one


def test_two_authorizations_are_none(url: str) -> None:
    twice = [("authorization", "ann"), ("authorization", "bob")]
    assert httpx.get(f"{url}/threads/x", headers=twice).status_code == 400
