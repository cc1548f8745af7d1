"""Who may come in: authenticators of every kind, their errors, and routes of one's own."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from everturn.server.access.caller import current_caller
from everturn.server.api.http.authentication import Authentication, Gate
from everturn.server.api.http.in_process import IN_PROCESS
from everturn.server.app import create_app
from everturn.server.projects.auth import ProjectAuth
from everturn.server.projects.config import AuthCache
from everturn.server.settings import Settings
from tests.server.access.project import headers
from tests.service import Client, serving

GRAPH = """
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    words: str

def node(state):
    return {"words": "said"}

graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
"""

AUTH = """
import dataclasses
from langgraph_sdk import Auth

auth = Auth()
asked = []

@dataclasses.dataclass
class Person:
    identity: str
    permissions: frozenset = frozenset()
    born: object = None

    def may(self, what):
        return what in self.permissions

@auth.authenticate
def who(request, body, path, method, path_params, query_params, headers, authorization):
    asked.append(path)
    token = (authorization or "").removeprefix("Bearer ")
    assert headers.get(b"authorization", b"").decode() == (authorization or "")
    assert request.url.path == path
    if token == "teapot":
        raise Auth.exceptions.HTTPException(418, "No coffee.", {"X-Pot": "tea"})
    if token == "broken":
        raise RuntimeError("a secret")
    if token == "nameless":
        return {"name": "x"}
    if token == "body":
        return Person(body["metadata"]["who"], frozenset({"read"}))
    if token == "query":
        return Person(query_params["who"], frozenset({"read"}))
    return Person(token, frozenset({"read"})) if token else None

@auth.on.threads
async def rules(ctx, value):
    match ctx.user.identity:
        case "forbidden":
            return False
        case "asserting":
            assert ctx.user.may("write"), "You may only read."
        case "raising":
            raise RuntimeError("a secret")
        case "teapots":
            raise Auth.exceptions.HTTPException(418, "No coffee.", {"X-Pot": "tea"})
        case "junk":
            return "junk"
        case "wrong":
            return {"owner": {"$nearly": "x"}}
        case "unstorable":
            value["metadata"] = {"when": object, "who": ctx.user.identity}
            return None
    return ctx.user.may("read")
"""

APP = """
from fastapi import APIRouter, FastAPI, Request

seen = []

class Middleware:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            user = scope.get("user")
            seen.append((scope["path"], user.identity if user else None))
        await self.app(scope, receive, send)

app = FastAPI()
app.add_middleware(Middleware)
router = APIRouter(prefix="/more")

@router.get("/mine")
@app.get("/mine")
@app.get("/info")
def mine(request: Request):
    user = request.scope.get("user")
    return {"user": user.identity if user else None}

@app.get("/seen")
def seen_before():
    return seen

app.include_router(router)
"""


@contextmanager
def served(folder: Path, **http: Any) -> Iterator[Client]:
    for name, code in {"graph": GRAPH, "who": AUTH, "app": APP}.items():
        (folder / f"{name}.py").write_text(code)
    config = {
        "graphs": {"agent": "./graph.py:graph"},
        "auth": {"path": "./who.py:auth"},
        "http": {"app": "./app.py:app", **http},
    }
    (folder / "langgraph.json").write_text(json.dumps(config))
    with serving(folder / "data", config=folder / "langgraph.json") as client:
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(tmp_path_factory.mktemp("project")) as running:
        yield running


def asked(client: Client, user: str, **body: Any) -> httpx.Response:
    return client.post("/threads", json=body, headers=headers(user) if user else {})


@pytest.mark.parametrize(
    ("user", "status", "kind", "detail"),
    [
        ("teapot", 418, "im-a-teapot", "No coffee."),
        ("broken", 500, "internal-server-error", "The project's authenticator failed"),
        ("nameless", 500, "internal-server-error", "The project's authenticator failed"),
        ("", 401, "unauthorized", "Sign in"),
        ("forbidden", 403, "forbidden", "threads.create is not allowed"),
        ("asserting", 403, "forbidden", "You may only read."),
        ("raising", 500, "invalid-rule", "The rule of threads.create failed"),
        ("teapots", 418, "im-a-teapot", "No coffee."),
        ("junk", 500, "invalid-rule", "must return None, a bool or a filter, not a str"),
        ("wrong", 500, "invalid-rule", "there is no operator $nearly"),
    ],
)
def test_a_refusal_is_a_problem_that_says_what_is_wrong(
    user: str, status: int, kind: str, detail: str, client: Client
) -> None:
    answer = asked(client, user)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == kind
    assert problem["status"] == status
    assert detail in problem["detail"]
    assert "secret" not in answer.text
    assert (answer.headers.get("x-pot") == "tea") == user.startswith("teapot")
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_an_authenticator_may_read_all_of_a_request_and_so_does_the_route(client: Client) -> None:
    thread = asked(client, "body", metadata={"who": "alice"})
    assert thread.json()["metadata"] == {"who": "alice"}
    answer = client.get("/threads/x?who=bob", headers=headers("query"))
    assert answer.status_code == 422
    stored = asked(client, "unstorable").json()["metadata"]
    assert stored == {"when": "<class 'object'>", "who": "unstorable"}


def test_a_refusal_can_be_read_by_a_web_page_and_a_preflight_needs_no_user(client: Client) -> None:
    page = {"Origin": "https://smith.langchain.com"}
    refused = client.post("/threads", json={}, headers=page)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == page["Origin"]
    asks = {**page, "Access-Control-Request-Method": "POST"}
    assert client.options("/threads", headers=asks).status_code == 200
    # LangGraph's development server lets Studio in without the project's authenticator.
    studio = {**page, "x-auth-scheme": "langsmith"}
    assert client.post("/threads", json={}, headers=studio).status_code == 401


def test_a_claim_to_come_from_inside_is_no_use_to_a_client(client: Client) -> None:
    for claim in ({"everturn.in_process": "true"}, {"x-everturn-in-process": "true"}):
        assert client.post("/threads", json={}, headers=claim).status_code == 401
    assert client.post("/noauth/threads", json={}).status_code == 401


def test_routes_of_ones_own_are_open_unless_the_project_says_otherwise(
    client: Client, tmp_path: Path
) -> None:
    for path in ("/mine", "/more/mine", "/info"):
        assert client.get(path, headers=headers("ada")).json() == {"user": None}
    assert client.get("/more/other").status_code == 401
    with served(tmp_path, enable_custom_route_auth=True) as guarded:
        for path in ("/mine", "/more/mine", "/info"):
            assert guarded.get(path).status_code == 401
            assert guarded.get(path, headers=headers("ada")).json() == {"user": "ada"}
        assert guarded.get("/ok").json() == {"ok": True}
        assert asked(guarded, "ada").status_code == 200
        # Its middleware came first.
        assert ["/mine", "ada"] not in guarded.get("/seen", headers=headers("ada")).json()


@pytest.mark.parametrize("custom", [False, True])
def test_with_auth_first_the_projects_middleware_sees_the_user(
    custom: bool, tmp_path: Path
) -> None:
    order = {"middleware_order": "auth_first", "enable_custom_route_auth": custom}
    with served(tmp_path, **order) as client:
        assert client.post("/threads", json={}).status_code == 401
        assert asked(client, "ada", metadata={"a": 1}).json()["metadata"] == {"a": 1}
        assert client.get("/mine").status_code == (401 if custom else 200)
        mine = client.get("/mine", headers=headers("ada")).json()
        assert mine == {"user": "ada" if custom else None}
        seen = client.get("/seen", headers=headers("ada")).json()
        assert ["/threads", "ada"] in seen
        assert ["/threads", None] not in seen


def test_openapi_says_how_to_sign_in(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["security"] == [{"bearer": []}]
    assert document["paths"]["/ok"]["get"]["security"] == []
    assert document["paths"]["/mine"]["get"]["security"] == []
    assert "401" not in document["paths"]["/ok"]["get"]["responses"]
    assert "security" not in document["paths"]["/threads"]["post"]
    assert document["paths"]["/threads"]["post"]["responses"].keys() >= {"401", "403"}


async def called(
    auth: ProjectAuth, scope: Scope, *, inside: bool = False
) -> tuple[list[Message], list[Any]]:
    """Send one request through the middleware; returns what was sent, and who it was inside."""
    callers, sent = [], list[Message]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        callers.append(current_caller())
        await asyncio.create_task(later())

    async def later() -> None:
        callers.append(current_caller())

    async def receive() -> Message:
        return {"type": f"{scope['type']}.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    whole = create_app(Settings.read({"data_dir": "unused"}))
    whole.state.gate = Gate(auth)
    more = {IN_PROCESS: True} if inside else {}
    whole_scope = {"app": whole, "path": "/threads", "headers": [], "query_string": b"", **scope}
    await Authentication(app)({**whole_scope, **more}, receive, send)
    assert current_caller() is None
    return sent, callers


async def nobody() -> None:
    return None


async def somebody(authorization: str | None) -> str:
    return authorization or "somebody"


async def test_tasks_that_a_request_starts_know_who_asks() -> None:
    auth = ProjectAuth(authenticate=somebody, takes=frozenset({"authorization"}))
    _, callers = await called(auth, {"type": "http", "method": "GET"})
    assert [each.identity for each in callers] == ["somebody"] * 2


async def test_a_call_from_inside_needs_no_user() -> None:
    auth = ProjectAuth(authenticate=nobody, takes=frozenset())
    sent, callers = await called(auth, {"type": "http", "method": "GET"})
    assert callers == []
    assert sent[0]["status"] == 401
    sent, callers = await called(auth, {"type": "http", "method": "GET"}, inside=True)
    assert callers == [None, None]


async def test_a_websocket_needs_a_user_too() -> None:
    auth = ProjectAuth(authenticate=nobody, takes=frozenset())
    sent, callers = await called(auth, {"type": "websocket"})
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "Unauthorized"}]
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    sent, _ = await called(auth, {"type": "websocket", "extensions": extensions})
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == 401
    assert callers == []


async def test_a_caller_is_known_by_headers_for_a_while() -> None:
    asked = []

    async def who(request: Request) -> str:
        asked.append(request.headers.get("x-who"))
        return asked[-1] or "nobody"

    cache = AuthCache(cache_keys=["x-who"], ttl_seconds=60, max_size=2)
    auth = ProjectAuth(authenticate=who, takes=frozenset({"request"}), cache=cache)
    gate = Gate(auth)
    app = create_app(Settings.read({"data_dir": "unused"}))
    app.state.gate = gate

    async def come(*values: bytes) -> None:
        async def nothing(*_: Any) -> Any:
            return None

        given = [(b"x-who", value) for value in values]
        scope = {"type": "http", "method": "GET", "path": "/threads", "query_string": b""}
        await Authentication(nothing)({**scope, "app": app, "headers": given}, nothing, nothing)

    for value in (b"a", b"a", b"b", b"a", b"c", b"a"):
        await come(value)
    assert asked == ["a", "b", "c", "a"]  # there is room for two
    await come()
    await come()
    assert asked[-2:] == [None, None]  # without the header nobody is known
    await come(b"d", b"e")
    await come(b"d")
    assert asked[-2:] == ["d", "d"]  # of two it may have looked at either
