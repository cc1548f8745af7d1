"""What browsers and caches are told, on every kind of answer."""

import json
from collections.abc import Iterator

import pytest

from tests.service import Client, serving

APP = """
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from langgraph.graph import START, StateGraph

graph = StateGraph(dict).add_node("node", lambda state: state).add_edge(START, "node").compile()

app = FastAPI()

@app.get("/page")
def page():
    return HTMLResponse("<p>")

@app.get("/framed")
def framed():
    policy = {"Content-Security-Policy": "frame-ancestors https://a.example"}
    return HTMLResponse("<p>", headers=policy)

@app.get("/own")
def own():
    said = {"X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "origin",
            "X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=5",
            "Cross-Origin-Resource-Policy": "cross-origin"}
    return JSONResponse({}, headers=said)

@app.get("/file")
def file():
    return FileResponse(__file__, media_type="text/plain")
"""
ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "app.py").write_text(APP)
    project = {"graphs": {"agent": "./app.py:graph"}, "http": {"app": "./app.py:app"}}
    (folder / "langgraph.json").write_text(json.dumps(project))
    with serving(folder / "data", config=folder / "langgraph.json") as client:
        yield client


def headers_of(service: Client, path: str, **sent: str) -> dict[str, list[str]]:
    answer = service.get(path, headers=sent)
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers.multi_items():
        headers.setdefault(name, []).append(value)
    assert headers["x-content-type-options"] == ["nosniff"]
    assert len(headers["referrer-policy"]) == 1
    assert len(headers.get("cross-origin-resource-policy", [])) <= 1
    assert "strict-transport-security" not in headers
    return headers


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        *(("/info", {}), ("/ok", {}), ("/metrics", {}), ("/openapi.json", {})),
        *((f"/threads/{ID}", {}), ("/threads/x", {}), ("/no-such-route", {})),
        ("/ok", {"host": "evil.example"}),
        ("/threads", {"origin": "https://smith.langchain.com"}),
    ],
)
def test_data_is_for_who_asked_and_for_nobody_else(
    path: str, sent: dict[str, str], service: Client
) -> None:
    headers = headers_of(service, path, **sent)
    assert headers["cache-control"] == ["no-store"]
    assert headers["cross-origin-resource-policy"] == ["same-origin"]
    assert headers["x-frame-options"] == ["DENY"]
    assert headers["referrer-policy"] == ["no-referrer"]


def test_a_stream_says_it_too(service: Client) -> None:
    run = {"assistant_id": "agent", "input": {}}
    with service.stream("POST", "/runs/stream", json=run) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_pages_of_the_service_are_in_no_frame(service: Client) -> None:
    page = headers_of(service, "/docs")
    assert "frame-ancestors 'none'" in page["content-security-policy"][0]
    assert "x-frame-options" not in page  # its policy says so already
    script = headers_of(service, "/docs/start.js")
    assert script["cache-control"] == ["max-age=3600"]


def test_what_a_route_of_ones_own_says_stands(service: Client) -> None:
    assert headers_of(service, "/page")["x-frame-options"] == ["DENY"]
    assert "cache-control" not in headers_of(service, "/page")
    assert "x-frame-options" not in headers_of(service, "/framed")
    own = headers_of(service, "/own")
    assert own["x-frame-options"] == ["SAMEORIGIN"]
    assert own["referrer-policy"] == ["origin"]
    assert own["cache-control"] == ["max-age=5"]
    assert own["cross-origin-resource-policy"] == ["cross-origin"]
    file = headers_of(service, "/file")
    assert "etag" in file
    assert "cache-control" not in file
