"""What `langgraph.json` says is what clients meet: small projects of `tests/projects`, served."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.group_commit import open_group_commit
from everturn.checkpoints.sql.webhooks import WebhookTable
from everturn.server.errors import InvalidInput
from everturn.server.projects.project import load_project
from everturn.server.runs.webhook_policy import load_policy
from everturn.server.runs.webhooks import Webhooks
from tests.server.projects.test_keys import PROJECTS
from tests.service import Client, process, serving
from tests.waiting import eventually

ECHO: dict[str, Any] = {"assistant_id": "echo", "input": {}}


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    config = PROJECTS / "below_a_prefix" / "langgraph.json"
    with serving(tmp_path_factory.mktemp("prefix") / "data", config=config) as client:
        yield client


def test_all_routes_are_below_the_prefix(prefixed: Client) -> None:
    for path in ("/ok", "/ready", "/metrics"):
        assert prefixed.get(path).status_code == prefixed.get(f"/inner{path}").status_code == 200
    for path in ("/info", "/docs", "/openapi.json", "/inner", "/innerinfo", "/inner/inner/info"):
        assert prefixed.get(path).status_code == 404, path
    refused = prefixed.get("/info")
    assert refused.headers["content-type"] == "application/problem+json"
    assert "below /inner" in refused.json()["detail"]
    assert prefixed.get("/inner/docs/start.js").status_code == 200
    document = prefixed.get("/inner/openapi.json").json()
    assert document["servers"][0]["url"].endswith("/inner")
    assert "/threads" in document["paths"]


def test_the_sdk_works_below_the_prefix(prefixed: Client) -> None:
    base = str(prefixed.base_url).rstrip("/")
    with get_sync_client(url=f"{base}/inner") as client:
        thread = client.threads.create()
        client.runs.wait(thread["thread_id"], "echo", input={})
        assert client.threads.get(thread["thread_id"])["status"] == "idle"
        parts = list(client.runs.stream(thread["thread_id"], "echo", input={}))
        assert parts[-1].event == "values"
        (assistant,) = client.assistants.search()
        assert assistant["description"] == "Shows headers."


def test_headers_become_configurable_values(prefixed: Client) -> None:
    headers = {
        "X-TONE": "dry",
        "x-tone-2": "wet",
        "x-tone-secret": "s",
        "x-api-key": "k",
        "x-o": "",
    }
    ran = prefixed.post("/inner/runs/wait", json=ECHO, headers=headers)
    assert ran.json()["seen"] == {"x-tone": "dry", "x-tone-2": "wet"}
    own = {**ECHO, "config": {"configurable": {"x-tone": "own"}}}
    ran = prefixed.post("/inner/runs/wait", json=own, headers=headers)
    assert ran.json()["seen"] == {"x-tone": "own", "x-tone-2": "wet"}
    ran = prefixed.post(
        "/inner/invoke", json={"graph": "echo", "input": {"seen": {}}}, headers=headers
    )
    assert ran.json() == {"seen": {"x-tone": "dry", "x-tone-2": "wet"}}
    assert prefixed.post("/inner/runs/wait", json=ECHO).json()["seen"] == {}


def preflight(client: Client, origin: str) -> httpx.Response:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return client.options("/inner/threads", headers=asks)


def test_cors_of_the_project_replaces_the_default(prefixed: Client) -> None:
    allowed = preflight(prefixed, "https://app.example")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert allowed.headers["access-control-allow-methods"] == "GET, POST"
    assert allowed.headers["access-control-max-age"] == "7"
    refused = preflight(prefixed, "http://localhost:3000")
    assert (refused.status_code, refused.headers["content-type"]) == (
        400,
        "application/problem+json",
    )
    assert "EVERTURN_CORS_ORIGINS" in refused.json()["detail"]


def test_the_setting_of_the_process_wins_over_cors_of_the_project(tmp_path: Path) -> None:
    config = PROJECTS / "below_a_prefix" / "langgraph.json"
    settings = {"config": config, "cors_origins": "https://ours.example"}
    with serving(tmp_path / "data", **settings) as client:
        assert preflight(client, "https://ours.example").status_code == 200
        assert preflight(client, "https://app.example").status_code == 400


NOBODY = "/threads/00000000-0000-4000-8000-000000000000"


def test_closed_routes_are_not_there_by_any_door(tmp_path: Path) -> None:
    with serving(tmp_path / "data", config=PROJECTS / "closed" / "langgraph.json") as client:
        for path in (
            "/info",
            "/metrics",
            "/docs",
            "/openapi.json",
            "/api/tools",
            "/api/chat/models",
        ):
            assert client.get(path).json()["detail"] == f"Not Found: GET {path}"
        for path in ("/threads", "/threads/search", f"{NOBODY}/history", "/store/items/search"):
            assert client.post(path, json={}).status_code == 404, path
        for path in (NOBODY, f"{NOBODY}/state", f"{NOBODY}/stream", "/api/chat/sessions/x"):
            assert client.get(path).json()["detail"] == f"Not Found: GET {path}"
        assert client.post("/api/chat/message", json={"message": "x"}).status_code == 404
        assert client.get("/ok").json() == {"ok": True}
        # Runs stay, as on LangGraph's server, also those on threads: they have a key of their own.
        assert client.post("/runs/wait", json=ECHO).json() == {"seen": {}}
        on_thread = {**ECHO, "if_not_exists": "create"}
        assert client.post(f"{NOBODY}/runs/wait", json=on_thread).json() == {"seen": {}}


def test_nobody_starts_a_run_where_runs_are_disabled(tmp_path: Path) -> None:
    with serving(tmp_path / "data", config=PROJECTS / "no_runs" / "langgraph.json") as client:
        left = set(client.get("/openapi.json").json()["paths"])
        assert not [path for path in left if "/runs" in path or path.startswith("/assistants")]
        assert left.isdisjoint({"/invoke", "/stream", "/api/chat/message"})
        assert {"/threads", "/threads/{thread_id}/state", "/store/items", "/info"} <= left
        for path in ("/runs", "/runs/wait", "/runs/crons", f"{NOBODY}/runs", "/invoke", "/stream"):
            assert client.post(path, json=ECHO).status_code == 404, path
        assert client.post("/assistants/search", json={}).status_code == 404
        assert client.post("/threads", json={}).status_code == 200


def test_what_guards_and_cannot_be_honoured_refuses_to_start(tmp_path: Path) -> None:
    config = tmp_path / "langgraph.json"
    config.write_text('{"graphs": {"g": "./boom.py:g"}, "encryption": {"path": "./e.py:e"}}')
    with process(tmp_path / "data", "--config", str(config)) as refused:
        assert refused.ended() == 1
    assert refused.log[-1].startswith(f"everturn: {config}: encryption: ")
    assert not (tmp_path / "data").exists()


def lifetime(thread: Any) -> float:
    minutes: float = thread["ttl"]["ttl_minutes"]
    return minutes


def test_threads_live_as_the_project_says(tmp_path: Path) -> None:
    with serving(tmp_path / "data", config=PROJECTS / "lifetimes" / "langgraph.json") as client:
        made = client.post("/threads", json={}).json()["thread_id"]
        own = client.post("/threads", json={"ttl": {"ttl": 5, "strategy": "delete"}}).json()
        by_run = NOBODY.rpartition("/")[2]
        body = {"assistant_id": "typed", "input": {}, "if_not_exists": "create"}
        assert client.post(f"{NOBODY}/runs/wait", json=body).json()["kinds"] == []
        for thread_id, minutes in ((made, 90), (own["thread_id"], 5), (by_run, 90)):
            thread = client.get(f"/threads/{thread_id}", params={"include": "ttl"}).json()
            assert lifetime(thread) == minutes

        # The type that `serde` names comes back as itself, the other one as plain data.
        kinds = client.post(f"{NOBODY}/runs/wait", json=body).json()["kinds"]
        assert kinds[0] == "Allowed"
        assert kinds[1] != "Other"


def test_a_package_is_imported_from_its_src_folder(tmp_path: Path) -> None:
    project = tmp_path / "src_layout"
    shutil.copytree(PROJECTS / "src_layout", project)
    with serving(tmp_path / "data", config=project / "langgraph.json") as client:
        ran = client.post("/runs/wait", json={"assistant_id": "packaged", "input": {}})
        assert ran.json() == {"word": "packaged"}


REFUSED = {
    "http://a.example.com/": "must begin with https://",
    "https://example.com/": "'example.com' is none of *.example.com, hooks.example.org",
    "https://a.example.com:8443/": "port 8443 is none of 443",
    "https://a.example.com/" + 60 * "x": "is longer than 60 characters",
    "https://a.example.com:x/": "is no address",
    "/own/route": "webhooks.url.disable_loopback is set",
    "https://localhost/": "webhooks.url.disable_loopback is set",
}


def test_webhooks_follow_the_rules_of_the_project(tmp_path: Path) -> None:
    config = PROJECTS / "own_webhooks" / "langgraph.json"
    with serving(tmp_path / "data", config=config) as client:
        for url, reason in REFUSED.items():
            refused = client.post("/runs", json={**ECHO, "webhook": url})
            assert refused.status_code == 422, url
            assert reason in refused.json()["detail"]
        assert client.post(
            "/runs", json={**ECHO, "webhook": "https://hooks.example.org/"}
        ).is_success


@asynccontextmanager
async def sent_by(project: str, folder: Path) -> AsyncIterator[list[dict[str, str]]]:
    """The headers of what is sent of a webhook under a project's rules; those are checked, too."""
    sent: list[dict[str, str]] = []

    async def post(url: str, body: bytes, headers: Any) -> None:
        sent.append(dict(headers))

    async def anything(url: str) -> None:
        return None

    policy = load_policy(load_project(PROJECTS / project / "langgraph.json"))
    async with open_database(None, folder) as database, open_group_commit(database) as rows:
        webhooks = Webhooks(WebhookTable(database, rows, "me"), post, anything, None, policy)
        for url, thread in (("https://a.example.com/", "t"), ("http://a.example.com/", "u")):
            payload = {"run_id": thread, "thread_id": thread}
            row = webhooks.row(url, payload, lambda value: json.dumps(value).encode(), {})
            await rows.write(*row)
        if policy.url.require_https:
            with pytest.raises(InvalidInput, match="https://"):
                await webhooks.check("http://a.example.com/")
        await webhooks.check("https://a.example.com/")
        sending = asyncio.create_task(webhooks.deliver())
        yield sent
        sending.cancel()
        await webhooks.close()


async def test_webhooks_carry_the_headers_of_the_project(tmp_path: Path) -> None:
    async with sent_by("own_webhooks", tmp_path) as sent:
        await eventually(lambda: sent)
    ((headers),) = sent  # a rule is looked at again before something is sent
    assert headers["X-Word"] == "says open sesame!"
    assert headers["webhook-id"] == "msg_t"


async def test_disabled_webhooks_are_not_sent(tmp_path: Path) -> None:
    async with sent_by("closed", tmp_path) as sent:
        await asyncio.sleep(0.1)
    assert sent == []
