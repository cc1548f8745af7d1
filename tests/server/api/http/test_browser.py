"""Chromium against the running service: what pages of others can read and change, and ours.

Skipped where there is no Chromium.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, Browser, Page, browser, origin_of
from tests.service import Client, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

FOREIGN = "http://evil.example"
LISTED = "http://app.example"
STUDIO = "https://smith.langchain.com"

# What a page may try. Each try returns what it could read, or `null`.
TRIES = """async (service, paths, bodies) => {
  const read = {};
  const attempt = async (name, act) => {
    try { const found = await act(); if (found) read[name] = String(found).slice(0, 200); }
    catch (error) { /* refused by the browser */ }
  };
  const fetched = (path, options) => async () => {
    const answer = await fetch(service + path, options);
    const text = await answer.text();
    return answer.ok ? (text || answer.type !== "opaque" && answer.status) : null;
  };
  for (const path of paths) {
    await attempt(`GET ${path}`, fetched(path, {}));
    await attempt(`GET with credentials ${path}`, fetched(path, {credentials: "include"}));
    await attempt(`GET without CORS ${path}`, fetched(path, {mode: "no-cors"}));
  }
  const types = ["text/plain", "application/json", "application/x-www-form-urlencoded", ""];
  for (const [method, path, body] of bodies) {
    for (const type of types) for (const mode of ["cors", "no-cors"]) {
      const headers = type ? {"content-type": type} : {};
      const given = type ? body : new Blob([body]);
      const options = {method, mode, headers, body: given, credentials: "include"};
      await attempt(`${method} ${type} ${mode} ${path}`, fetched(path, options));
    }
    if (method === "POST") {
      navigator.sendBeacon(service + path, body);
      navigator.sendBeacon(service + path, new Blob([body], {type: "text/plain"}));
    }
  }
  return read;
}"""
FORMS = """async (service, bodies) => {
  const sent = bodies.filter(([method]) => method === "POST").map(([_, path, body], number) =>
    new Promise(resolve => {
      const frame = document.createElement("iframe");
      frame.name = `form${number}`;
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, {method: "post", action: service + path, target: frame.name});
      form.enctype = "text/plain";
      const field = document.createElement("input");
      // The form adds `=` between the two: the whole is JSON again.
      Object.assign(field, {name: body.slice(0, -1) + ', "x": "', value: '"}'});
      form.append(field);
      document.body.append(form);
      frame.onload = () => resolve(null);
      form.submit();
    }));
  await Promise.all(sent);
}"""
STREAMS = """async (service, path) => {
  const opened = (make) => new Promise(resolve => {
    const source = make();
    source.onopen = () => resolve(true);
    source.onmessage = () => resolve(true);
    source.onerror = () => resolve(false);
    source.onclose = () => resolve(false);
  });
  return [
    await opened(() => new EventSource(service + path)),
    await opened(() => new EventSource(service + path, {withCredentials: true})),
    await opened(() => new WebSocket(service.replace("http", "ws") + path)),
  ];
}"""
PARTS = """async (service, paths) => {
  const loaded = [];
  for (const path of paths) for (const kind of ["script", "img", "link"]) {
    await new Promise(resolve => {
      const part = document.createElement(kind);
      if (kind === "link") part.rel = "stylesheet";
      part[kind === "link" ? "href" : "src"] = service + path;
      part.onload = () => { loaded.push(`${kind} ${path}`); resolve(); };
      part.onerror = resolve;
      document.body.append(part);
    });
  }
  return loaded;
}"""
FRAMES = """async (service, paths) => {
  const read = [];
  for (const path of paths) await new Promise(resolve => {
    const frame = document.createElement("iframe");
    frame.src = service + path;
    frame.onload = () => {
      try { read.push(frame.contentDocument.body.innerText); } catch (error) {}
      resolve();
    };
    document.body.append(frame);
  });
  return read.filter(Boolean);
}"""

TURN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hi"}]}}
CHANGES = [
    ("POST", "/threads", {}),
    ("POST", "/api/chat/session", {}),
    ("POST", "/api/chat/message", {"message": "hi"}),
    ("POST", "/api/chat/message/stream", {"message": "hi"}),
    ("POST", "/invoke", {"input": TURN["input"]}),
    ("POST", "/runs", TURN),
    ("POST", "/runs/wait", TURN),
    ("POST", "/runs/crons", {**TURN, "schedule": "* * * * *"}),
    ("POST", "/assistants", {"graph_id": "agent", "name": "of a page"}),
    ("PUT", "/store/items", {"namespace": ["page"], "key": "k", "value": {"x": 1}}),
    ("DELETE", "/api/chat/sessions", {}),
]
BODIES = [(method, path, json.dumps(body)) for method, path, body in CHANGES]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser"), ["evil.example", "app.example"]) as running:
        yield running


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.page() as opened:
        yield opened


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    data_dir: Path = tmp_path_factory.mktemp("service") / "data"
    origins = f"{STUDIO},{LISTED}"
    with serving(data_dir, cors_origins=origins, tools_offline="always") as client:
        client.ask("what is secret")
        yield client


@pytest.fixture
def unchanged(service: Client) -> Iterator[None]:
    """All that a page could have made, counted on the service's side."""
    before = kept(service)
    yield
    assert kept(service) == before


def kept(client: Client) -> dict[str, Any]:
    counts = {
        path: client.post(path, json={}).json()
        for path in ("/threads/count", "/assistants/count", "/runs/crons/count")
    }
    figures = client.get("/metrics").text.splitlines()
    turns = [line for line in figures if line.startswith("chat_requests_total")]
    items = client.post("/store/items/search", json={"namespace_prefix": ["page"]}).json()
    sessions = client.get("/api/chat/sessions").json()
    return {**counts, "turns": turns, "items": items, "sessions": sessions}


def url_of(client: Client, name: str = "127.0.0.1") -> str:
    return f"http://{name}:{client.base_url.port}"


def readable_paths(client: Client) -> list[str]:
    """Every route that is read without a value in its path, and the pages."""
    paths = client.get("/openapi.json").json()["paths"]
    plain = [path for path, methods in paths.items() if "get" in methods and "{" not in path]
    return [*plain, "/openapi.json", "/docs", "/docs/start.js", "/docs/favicon.png", "/none"]


@pytest.mark.usefixtures("unchanged")
def test_a_page_of_another_origin_reads_and_changes_nothing(page: Page, service: Client) -> None:
    page.give(f"{FOREIGN}/")
    paths, at = readable_paths(service), url_of(service)
    assert page.run(TRIES, at, paths, BODIES) == {}
    page.run(FORMS, at, BODIES)
    assert page.run(STREAMS, at, "/threads/x/stream") == [False] * 3
    assert page.run(FRAMES, at, ["/docs", "/", "/openapi.json"]) == []
    assert page.run(PARTS, at, paths) == []


@pytest.mark.usefixtures("unchanged")
def test_a_page_whose_name_now_leads_here_reads_and_changes_nothing(
    page: Page, service: Client
) -> None:
    """DNS rebinding: to the browser, the service is of the page's own origin."""
    at = url_of(service, "evil.example")
    page.give(f"{at}/page")
    paths = readable_paths(service)
    assert page.run(TRIES, at, paths, BODIES) == {}
    page.run(FORMS, at, BODIES)
    assert page.run(STREAMS, at, "/threads/x/stream") == [False] * 3
    said = page.run(FRAMES, at, ["/docs", "/", "/openapi.json"])
    assert all("EVERTURN_ALLOWED_HOSTS" in each for each in said)
    assert page.run(PARTS, at, paths) == []


def test_no_page_is_shown_in_a_frame(page: Page, service: Client) -> None:
    page.give(f"{FOREIGN}/")
    at = url_of(service)
    page.run(FRAMES, at, ["/docs"])
    page.run("() => null")  # what the console says comes with the next answer
    assert any("frame-ancestors" in said for said in page.console)


@pytest.mark.parametrize("origin", [LISTED, STUDIO])
def test_a_page_of_a_listed_origin_reads_and_changes(
    page: Page, service: Client, origin: str
) -> None:
    page.give(f"{origin}/studio/")
    script = """async (service, type, turn) => {
      const json = async (method, path, body) => {
        const headers = {"content-type": type};
        const answer = await fetch(service + path, {method, headers, body: JSON.stringify(body)});
        if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
        return answer.json();
      };
      const info = await (await fetch(service + "/info")).json();
      const thread = await json("POST", "/threads", {});
      const state = await json("POST", `/threads/${thread.thread_id}/runs/wait`, turn);
      return [info.name, state.messages.length];
    }"""
    # Studio sends JSON as text, which needs no preflight.
    for content_type in ("application/json", "text/plain"):
        assert page.run(script, url_of(service), content_type, TURN) == ["everturn", 2]


def test_the_docs_are_whole_and_ask_no_one_else(page: Page, service: Client) -> None:
    at = url_of(service)
    page.go(f"{at}/docs")
    shown = """async () => {
      while (!document.querySelector(".opblock")) await new Promise(go => setTimeout(go, 50));
      const answer = await fetch("ok");
      return [document.querySelectorAll(".opblock").length, await answer.json()];
    }"""
    routes, ok = page.run(shown)
    paths = service.get("/openapi.json").json()["paths"]
    assert routes == sum(len(methods) for methods in paths.values())
    assert ok == {"ok": True}
    others = {origin_of(url) for url in page.requested if not url.startswith("data:")} - {at}
    assert others == set()
    assert page.console == []
