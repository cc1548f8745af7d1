"""Routes of one's own around the service: which win, and who sees what."""

import json
from collections.abc import Iterator

import httpx
import pytest

from everturn.server.api.http.users_app import surround
from everturn.server.errors import ConfigError
from tests.service import Client, serving

APP = """
from contextlib import asynccontextmanager
from fastapi import FastAPI, HTTPException, Request
from starlette.responses import JSONResponse

lives = []

@asynccontextmanager
async def lifespan(app):
    lives.append("up")
    yield {"greeting": "hello"}

app = FastAPI(lifespan=lifespan, title="Theirs")

@app.middleware("http")
async def mark(request, call_next):
    response = await call_next(request)
    response.headers["x-theirs"] = "seen"
    return response

@app.get("/hello", summary="Say hello")
def hello(request: Request, name: str = "you") -> dict[str, list[str] | str]:
    return {request.state.greeting: name, "lives": lives}

@app.get("/info")
def info():
    return {"info": "theirs"}

@app.get("/ok")
def ok():
    return {"ok": "theirs"}

@app.post("/ok")
def post_ok():
    return {"ok": "posted"}

@app.get("/invoke")
def get_invoke():
    return {"invoke": "theirs"}

@app.get("/fails")
def fails():
    raise HTTPException(418, "theirs")

@app.get("/raises")
def raises():
    raise ValueError("secret")

@app.exception_handler(ValueError)
async def on_value_error(request, error):
    return JSONResponse({"handled": True}, 409)
"""
GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph
graph = StateGraph(MessagesState).add_node("n", lambda state: {}).add_edge(START, "n")
"""


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("around")
    (folder / "own_app.py").write_text(APP)
    (folder / "own_agent.py").write_text(GRAPH)
    config = folder / "langgraph.json"
    graphs = {"agent": "./own_agent.py:graph"}
    config.write_text(json.dumps({"graphs": graphs, "http": {"app": "./own_app.py:app"}}))
    with serving(folder / "data", config=config) as client:
        yield client


def test_their_routes_win(around: Client) -> None:
    assert around.get("/hello?name=ada").json() == {"hello": "ada", "lives": ["up"]}
    assert around.get("/info").json() == {"info": "theirs"}
    assert around.post("/ok").json() == {"ok": "posted"}
    assert around.get("/invoke").json() == {"invoke": "theirs"}
    assert around.get("/fails").json() == {"detail": "theirs"}
    assert around.get("/raises").status_code == 409


def test_what_operators_rely_on_stays_ours(around: Client) -> None:
    assert around.get("/ok").json() == {"ok": True}
    assert around.get("/ready").json() == {"ready": True}
    assert "chat_requests_total" in around.get("/metrics").text
    assert "Everturn" in around.get("/docs").text
    document = around.get("/openapi.json").json()
    assert document["info"]["title"] == "Everturn"
    assert document["paths"]["/hello"]["get"]["summary"] == "Say hello"
    assert "/store/items" in document["paths"]
    assert "Problem" in document["components"]["schemas"]


def test_the_rest_is_the_service_behind_their_middleware(around: Client) -> None:
    body = {"graph": "agent", "input": {"messages": "hi"}}
    answer = around.post("/invoke", json=body)
    assert answer.json()["messages"][0]["content"] == "hi"
    assert answer.headers["x-theirs"] == "seen"
    events = around.events("/stream", {**body, "stream_mode": "values"})
    assert [event.name for event in events] == ["values"]
    missing = around.get("/nowhere")
    problem(missing, 404)
    assert missing.headers["x-theirs"] == "seen"
    problem(around.post("/invoke", json={"graph": "none", "input": {"a": 1}}), 404)
    problem(around.put("/store/items", json={}), 422)
    problem(around.delete("/store/namespaces"), 405)
    problem(around.post("/invoke", content=b"x" * 5_000_000), 413)


def problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_no_app_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"http\.app: is a int, not a FastAPI or Starlette app"):
        surround(5, "langgraph.json: http.app")
