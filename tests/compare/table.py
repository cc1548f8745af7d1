"""The table of projects: what each of them can do on each server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.compare.servers import PROJECTS, SERVERS, DidNotStart, projects
from tests.service import read_events
from tests.waiting import PATIENCE

COLUMNS: tuple[str, ...] = ("loads", "graph", "run", "stream", "interrupt", "store", "auth")
_MESSAGE = {"messages": [{"role": "user", "content": "hello"}]}


def print_table(folder: Path, only: str = "") -> int:
    """Print the table; returns in how many rows the servers differ."""
    differing = 0
    print(f"{'project':<24}{'server':<12}" + "".join(f"{name:<14}" for name in COLUMNS))
    for project in projects():
        if only and project != only:
            continue
        rows = {name: _row(name, project, folder) for name in SERVERS}
        for name, row in rows.items():
            print(f"{project:<24}{name:<12}" + "".join(f"{row[each]:<14}" for each in COLUMNS))
        differing += len({tuple(row.items()) for row in rows.values()}) > 1
    return differing


def _row(server: str, project: str, folder: Path) -> dict[str, str]:
    row = dict.fromkeys(COLUMNS, "-")
    try:
        with (
            SERVERS[server](project, folder) as url,
            httpx.Client(base_url=url, timeout=PATIENCE) as client,
        ):
            row["loads"] = "yes"
            _fill(row, client, project)
    except DidNotStart:
        row["loads"] = "no"
    except httpx.HTTPError as error:  # a server that ends, or drops a connection
        row["auth"] = type(error).__name__
    return row


def _fill(row: dict[str, str], client: httpx.Client, project: str) -> None:
    """Look at each graph of a project; the first that does not do a thing is said."""
    file = PROJECTS / project / "compare.json"
    said: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    graphs = json.loads((PROJECTS / project / "langgraph.json").read_text())["graphs"]
    open_to_all = client.post("/threads/search", json={}).status_code
    row["auth"] = {200: "open", 401: "guarded", 403: "guarded"}.get(open_to_all, str(open_to_all))
    client.headers.update(said.get("headers", {}))
    looks: dict[str, Callable[[str], str]] = {
        "graph": lambda graph: _graph(client, graph),
        "run": lambda graph: _run(client, graph, said.get("input", _MESSAGE)),
        "stream": lambda graph: _stream(client, graph, said.get("input", _MESSAGE)),
        "interrupt": lambda graph: _interrupt(client, graph, said.get("input", _MESSAGE)),
    }
    for column, look in looks.items():
        found = [look(graph) for graph in said.get("graphs", graphs)]
        row[column] = next((each for each in found if each not in {"yes", "-"}), max(found))
    items = client.post("/store/items/search", json={"namespace_prefix": []})
    row["store"] = (
        f"{len(items.json()['items'])} items" if items.is_success else str(items.status_code)
    )


def _graph(client: httpx.Client, graph: str) -> str:
    found = client.post("/assistants/search", json={"graph_id": graph}).json()
    if not isinstance(found, list) or not found:
        return "none"
    answers = [
        client.get(f"/assistants/{found[0]['assistant_id']}/{what}").status_code
        for what in ("graph", "schemas", "subgraphs")
    ]
    return "yes" if set(answers) == {200} else str(answers)


def _run(client: httpx.Client, graph: str, given: Any) -> str:
    answer = client.post("/runs/wait", json={"assistant_id": graph, "input": given})
    return _outcome(answer)


def _outcome(answer: httpx.Response) -> str:
    if not answer.is_success:
        return str(answer.status_code)
    body = answer.json()
    failed = isinstance(body, dict) and "__error__" in body
    return str(body["__error__"]["error"])[:13] if failed else "yes"


def _stream(client: httpx.Client, graph: str, given: Any) -> str:
    body = {"assistant_id": graph, "input": given, "stream_mode": ["values", "updates"]}
    with client.stream("POST", "/runs/stream", json=body) as answer:
        if answer.status_code != 200:
            return str(answer.status_code)
        names = [event.name for event in read_events(answer)]
    return "error" if "error" in names else "yes" if "values" in names else "empty"


def _interrupt(client: httpx.Client, graph: str, given: Any) -> str:
    """Run on a thread; where it asks, answer `yes`."""
    made = client.post("/threads", json={})
    if not made.is_success:
        return str(made.status_code)
    thread = made.json()["thread_id"]
    body = {"assistant_id": graph}
    answer = client.post(f"/threads/{thread}/runs/wait", json={**body, "input": given})
    state = client.get(f"/threads/{thread}/state")
    if not (answer.is_success and state.is_success):
        return f"{answer.status_code} {state.status_code}"
    if not state.json()["interrupts"]:
        return "-"
    resumed = client.post(
        f"/threads/{thread}/runs/wait", json={**body, "command": {"resume": "yes"}}
    )
    return _outcome(resumed)
