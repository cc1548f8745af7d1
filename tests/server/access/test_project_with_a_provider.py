"""A project as LangGraph's guides write it: a provider is asked, rules assert and raise."""

import json
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from tests.server.access.project import headers, served, user_of
from tests.service import ROOT

CONFIG = ROOT / "tests" / "projects" / "auth_provider" / "langgraph.json"
WRITER, READER = ["threads:write", "threads:delete"], ["threads:read"]
USERS = {"ada": WRITER, "bob": ["threads:write"], "eve": READER}
RUN: dict[str, Any] = {"assistant_id": "agent", "input": {"messages": "Hi"}}


class Provider(BaseHTTPRequestHandler):
    """Knows its users by tokens that are their names."""

    def do_GET(self) -> None:
        assert self.path == "/auth/v1/user"
        name = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        known = self.headers["apikey"] == "service-key" and name in USERS
        user: dict[str, Any] = {"id": f"id-of-{name}", "email": f"{name}@example.org"}
        user |= {"app_metadata": {"permissions": USERS.get(name)}}
        body = json.dumps(user if known else {"msg": "invalid JWT"}).encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in `http`
        pass


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = Thread(target=partial(server.serve_forever, 0.01), daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVIDER_URL", f"http://127.0.0.1:{server.server_address[1]}")
        patch.setenv("PROVIDER_KEY", "service-key")
        with served(tmp_path_factory.mktemp("provider") / "data", CONFIG) as address:
            yield address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ada(url: str) -> Iterator[httpx.Client]:
    with user_of(url, "ada") as client:
        yield client


@pytest.fixture
def bob(url: str) -> Iterator[httpx.Client]:
    with user_of(url, "bob") as client:
        yield client


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ({}, "There is no token."),
        ({"Authorization": ""}, "There is no token."),
        ({"Authorization": "Basic YTpi"}, "Sign in"),
        ({"Authorization": "Bearer"}, "Sign in"),
        ({"Authorization": "Bearer mallory"}, "invalid JWT"),
    ],
)
def test_who_is_not_known_is_told_so(url: str, sent: dict[str, str], detail: str) -> None:
    answer = httpx.post(f"{url}/threads", json={}, headers=sent)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert detail in answer.json()["detail"]


def test_what_needs_a_permission_is_refused_without_it(url: str, bob: httpx.Client) -> None:
    with user_of(url, "eve") as eve:
        refused = eve.post("/threads", json={})
        assert refused.status_code == 403
        assert refused.json()["detail"] == "You may not begin a thread."
        assert eve.post("/api/chat/session", json={}).status_code == 403
        assert eve.post("/threads/search", json={}).json() == []
    thread = bob.post("/threads", json={}).json()["thread_id"]
    assert bob.delete(f"/threads/{thread}").status_code == 403
    refused = bob.post("/assistants", json={"graph_id": "agent"})
    assert refused.status_code == 403
    assert refused.json()["detail"] == "Assistants are the operators'."
    assert bob.post("/assistants/search", json={}).status_code == 403
    debug = {**RUN, "metadata": {"debug": True}}
    refused = bob.post(f"/threads/{thread}/runs/wait", json=debug)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "You may not debug."


def test_a_thread_and_its_runs_are_their_owners(ada: httpx.Client, bob: httpx.Client) -> None:
    made = ada.post("/threads", json={"metadata": {"a": 1}}, headers={"x-tenant": "one"}).json()
    thread = made["thread_id"]
    assert made["metadata"] == {"a": 1, "owner": "id-of-ada", "tenant": "one"}
    said = ada.post(f"/threads/{thread}/runs/wait", json=RUN).json()
    assert said["messages"][-1]["content"] == "Hello ada@example.org"
    (run,) = ada.get(f"/threads/{thread}/runs").json()
    assert run["metadata"]["asked_by"] == "id-of-ada"
    assert bob.get(f"/threads/{thread}").status_code == 404
    assert bob.post(f"/threads/{thread}/runs/wait", json=RUN).status_code == 404
    assert bob.patch(f"/threads/{thread}", json={"metadata": {"b": 1}}).status_code == 404
    assert [each["thread_id"] for each in ada.post("/threads/search", json={}).json()] == [thread]
    assert ada.patch(f"/threads/{thread}", json={"metadata": {"b": 1}}).status_code == 200
    assert ada.delete(f"/threads/{thread}").status_code == 204


def test_a_rule_that_changes_metadata_in_place_finds_some_everywhere(
    ada: httpx.Client, bob: httpx.Client
) -> None:
    soon = {**RUN, "schedule": "0 0 1 1 *"}
    cron = ada.post("/runs/crons", json=soon).json()["cron_id"]
    assert ada.patch(f"/runs/crons/{cron}", json={"enabled": False}).status_code == 200
    for user, found in ((ada, [cron]), (bob, [])):
        listed = user.post("/runs/crons/search", json={}).json()
        assert [each["cron_id"] for each in listed] == found
        assert user.post("/runs/crons/count", json={}).json() == len(found)
    assert bob.delete(f"/runs/crons/{cron}").status_code == 404
    assert ada.post("/threads/count", json={}).status_code == 200
    assert ada.delete(f"/runs/crons/{cron}").status_code == 204


async def test_store_items_are_in_the_namespace_of_their_user(url: str) -> None:
    async with get_client(url=url, headers=headers("ada")) as ada:
        await ada.store.put_item(["id-of-ada", "notes"], "a", {"x": 1})
        assert (await ada.store.get_item(["id-of-ada", "notes"], "a"))["value"] == {"x": 1}
        found = await ada.store.search_items(["id-of-ada"])
        assert [item["key"] for item in found["items"]] == ["a"]


@pytest.mark.parametrize("namespace", [["id-of-ada", "notes"], []])
def test_those_of_others_are_refused(namespace: list[str], bob: httpx.Client) -> None:
    answer = bob.post("/store/items/search", json={"namespace_prefix": namespace})
    assert answer.status_code == 403
