"""Every route of the service, asked with every kind of key."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute

from everturn.server.access.scopes import SCOPES, Scope
from everturn.server.api.http.authentication import OPEN, is_open
from everturn.server.api.http.scopes import NEEDED, scopes_by_path
from everturn.server.app import create_app
from everturn.server.settings import Settings
from tests.server.access.own_keys import bearer, key_in
from tests.service import Client, serving

FOR_EVERYBODY_OF_THE_OPERATORS = {"/api/chat/models", "/api/tools", "/api/usage"}
"""What is shown to those who choose, though operators look at it as well."""


class Keys(NamedTuple):
    runs: str
    admin: str
    metrics: str
    expired: str
    revoked: str
    unknown: str


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "data"


@pytest.fixture(scope="module")
def client(data_dir: Path) -> Iterator[Client]:
    with serving(data_dir, auth="on") as running:
        yield running


@pytest.fixture(scope="module")
def keys(client: Client, data_dir: Path) -> Keys:
    runs, admin, metrics = (key_in(data_dir, f"{scope} key", [scope]) for scope in SCOPES)
    expired = key_in(data_dir, "expired", expires=timedelta(0))
    revoked = key_in(data_dir, "revoked", revoked=True)
    return Keys(runs, admin, metrics, expired, revoked, unknown=f"{runs[:-4]}0000")


@pytest.fixture(scope="module")
def routes(client: Client) -> list[tuple[str, str]]:
    document = client.get("/openapi.json").json()
    return [
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    ]


def all_routes(app: FastAPI) -> Iterator[Route | WebSocketRoute]:
    """Find the routes, also those in routers."""
    waiting: list[Any] = list(app.routes)
    for each in waiting:
        if isinstance(each, Route | WebSocketRoute):
            yield each
        else:
            waiting += each.original_router.routes


def asked(client: Client, method: str, path: str, **sent: str) -> Any:
    """Ask a route about things that there are not."""
    there = re.sub(r"\{\w+\}", "00000000-0000-0000-0000-000000000000", path)
    return client.request(method, there, headers=sent)


def test_every_route_is_in_the_table_or_for_users() -> None:
    operators, others = set[str](), set[str]()
    for route in all_routes(create_app(Settings.read({"data_dir": "unused"}))):
        at_operators = route.endpoint.__module__.startswith("everturn.server.api.operators.")
        (operators if at_operators else others).add(route.path)
    scope_of = scopes_by_path(open_metrics=False)
    for path in operators - OPEN - FOR_EVERYBODY_OF_THE_OPERATORS:
        assert scope_of(path) == ("metrics" if path.startswith("/api/now") else "admin"), path
    assert scope_of("/metrics") == "metrics"
    for path in others - operators - {"/docs/{asset}", *filter(is_open, others)}:
        assert scope_of(path) == "runs", path
    there = operators | others
    assert all(any(path.startswith(place) for path in there) for place in NEEDED)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/metrics", "metrics"),
        ("/metrics/", "metrics"),
        ("/api/now", "metrics"),
        ("/api/now/stream", "metrics"),
        ("/page/config.json", None),
        ("/page/assets/x.js", None),
        ("/page", "runs"),
        ("/pages", "runs"),
        ("/api/users", "admin"),
        ("/api/users/", "admin"),
        ("/api/users/export", "admin"),
        ("/api/userspace", "runs"),
        ("/nothing", "runs"),
        ("/ok", None),
        ("/ready", None),
        ("/docs/swagger-ui.css", None),
        ("/docs/other", "runs"),
    ],
)
def test_what_is_below_a_path_needs_the_same(path: str, scope: Scope | None) -> None:
    assert scopes_by_path(open_metrics=False)(path) == scope


def test_nobody_comes_in_without_a_key_that_works(
    client: Client, keys: Keys, routes: list[tuple[str, str]]
) -> None:
    assert len(routes) > 60
    bad = [{}, *map(bearer, (keys.expired, keys.revoked, keys.unknown, "evt_", "x.y.z"))]
    bad += [{"x-api-key": keys.unknown}, {"Authorization": keys.runs}]
    details = set()
    for method, path in routes:
        for sent in bad:
            answer = asked(client, method, path, **sent)
            if is_open(path) and path != "/metrics":
                assert answer.status_code == 200, path
                continue
            assert answer.status_code == 401, (method, path, sent)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            details.add(answer.json()["detail"])
    assert len(details) == 3  # none, of no kind, and all that could be a key


def test_a_key_opens_what_its_scope_says(
    client: Client, keys: Keys, routes: list[tuple[str, str]]
) -> None:
    for method, path in routes:
        needed = next((s for p, s in NEEDED.items() if path.startswith(p)), "runs")
        for scope in ("runs", "metrics"):
            if (is_open(path) and path != "/metrics") or scope == needed:
                continue
            answer = asked(client, method, path, **bearer(getattr(keys, scope)))
            assert answer.status_code == 403, (method, path)
            assert f"`{needed}`" in answer.json()["detail"]
            challenge = f'Bearer error="insufficient_scope", scope="{needed}"'
            assert answer.headers["www-authenticate"] == challenge


def test_keys_are_let_in_by_either_header(client: Client, keys: Keys) -> None:
    for sent in (bearer(keys.runs), {"x-api-key": keys.runs}):
        made = client.post("/threads", json={}, headers=sent)
        assert made.status_code == 200, made.text
        assert made.json()["metadata"]["owner"] == "runs key"
    for sent in (bearer(keys.metrics), bearer(keys.admin)):
        assert client.get("/metrics", headers=sent).status_code == 200
    assert client.get("/api/webhooks", headers=bearer(keys.admin)).json() == []
    for name in ("Authorization", "X-Api-Key"):
        value = f"Bearer {keys.runs}" if name == "Authorization" else keys.runs
        twice = client.post("/threads", headers=[(name, value), (name, value)])
        assert twice.status_code == 400
        assert f"The header {name} came more than once" in twice.json()["detail"]


def test_an_operator_exports_and_forgets_anybody(client: Client, keys: Keys) -> None:
    client.post("/threads", json={}, headers=bearer(keys.runs)).raise_for_status()
    user, sent = {"user": "runs key"}, bearer(keys.admin)
    lines = client.get("/api/users/export", params=user, headers=sent).text.splitlines()
    assert '"owner":"runs key"' in lines[0]
    gone = client.delete("/api/users", params=user, headers=sent).json()
    assert gone["threads"] >= 1
    assert gone["api_keys"] == 1


def test_the_document_says_how_to_come_in(client: Client) -> None:
    document = client.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert (schemes["bearer"]["scheme"], schemes["key"]["name"]) == ("bearer", "x-api-key")
    assert document["security"] == [{"bearer": []}, {"key": []}]
    for path in ("/ok", "/ready", "/info"):
        assert document["paths"][path]["get"]["security"] == []
    for path in ("/metrics", "/threads/{thread_id}"):
        assert "security" not in document["paths"][path]["get"]
        assert {"401", "403"} <= document["paths"][path]["get"]["responses"].keys()


def test_metrics_may_be_open(tmp_path: Path) -> None:
    with serving(tmp_path / "data", auth="on", open_metrics=True) as client:
        assert client.get("/metrics").status_code == 200
        assert client.post("/threads", json={}).status_code == 401
        assert client.get("/openapi.json").json()["paths"]["/metrics"]["get"]["security"] == []
