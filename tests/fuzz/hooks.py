"""What schemathesis cannot know: ids that exist, so that requests get past a 404.

Loaded by schemathesis itself, as SCHEMATHESIS_HOOKS names it. Half of the ids that it makes up are
replaced by those of things that are there; which half depends on the request alone, so that the
same seed makes the same requests.
"""

import json
import os
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any
from zlib import crc32

import httpx
import schemathesis

from everturn.server.access.scopes import METRICS
from everturn.server.api.http.scopes import scopes_by_path

_MAX_SECONDS = 0.1
_NOBODY = "00000000-0000-4000-8000-000000000000"
_scope_of = scopes_by_path(open_metrics=False)
_known: dict[str, list[str]] = {}
"""Things that exist, by the name of the parameter that names them."""


@schemathesis.hook
def after_load_schema(context: schemathesis.HookContext, schema: schemathesis.BaseSchema) -> None:
    """Make some of everything."""
    headers = json.loads(os.environ["FUZZED_MAKERS_HEADERS"])
    with httpx.Client(base_url=os.environ["FUZZED_URL"], headers=headers, timeout=60) as client:
        for _ in range(3):
            _known.update(_made(client, _known))


def _made(client: httpx.Client, known: dict[str, list[str]]) -> dict[str, list[str]]:
    thread = _post(client, "/threads", {"metadata": {"kept": True}})["thread_id"]
    asked = {"assistant_id": "agent", "input": {"messages": "What is 1 + 1?"}}
    _post(client, f"/threads/{thread}/runs/wait", asked)
    run = client.get(f"/threads/{thread}/runs").json()[0]["run_id"]
    states = client.get(f"/threads/{thread}/history").json()
    cron = _post(client, "/runs/crons", {**asked, "schedule": "0 0 1 1 *", "enabled": False})
    chat = _post(client, "/api/chat/message", {"message": "Hello"})
    kept = _post(client, "/api/memories", {"text": f"The chat was {chat['run_id']}"})
    item = {"namespace": ["kept"], "key": chat["run_id"], "value": {"kept": True}}
    client.put("/store/items", json=item).raise_for_status()
    new = {
        "thread_id": [thread],
        "run_id": [run, chat["run_id"]],
        "checkpoint_id": [state["checkpoint_id"] for state in states],
        "graph": ["agent", "chat", "simple", "planner", "team"],
        "graph_id": ["agent", "chat", "simple", "planner", "team"],
        "agent": ["agent", "chat", "simple", "planner", "team"],
        "assistant_id": [_post(client, "/assistants", {"graph_id": "agent"})["assistant_id"]],
        "cron_id": [cron["cron_id"]],
        "session_id": [chat["session_id"]],
        "key": [chat["run_id"]],
        "memory_id": [kept["memory"]["id"]],
        "namespace": ["kept"],
    }
    return {name: [*known.get(name, []), *ids] for name, ids in new.items()}


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json=body).raise_for_status().json()


_ENDLESS = {"/threads/{thread_id}/stream", "/threads/{thread_id}/stream/events"}


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Leave out what never ends, whatever is asked."""
    return case.path != "/api/now/stream"


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]
) -> None:
    """Name things that exist, and do not wait for runs that begin in a year."""
    chance = crc32(repr(case).encode(errors="replace"))
    if case.path in _ENDLESS:  # of a thread that exists it would not end
        case.path_parameters["thread_id"] = _NOBODY if chance % 2 else "nobody"
    elif case.method != "DELETE":  # which would soon leave nothing
        for named in (case.path_parameters, case.query, case.body):
            if isinstance(named, MutableMapping):
                _name(named, chance)
    bodies: list[Any] = case.body if isinstance(case.body, list) else [case.body]
    for body in bodies:
        if isinstance(body, dict) and isinstance(body.get("after_seconds"), int | float):
            body["after_seconds"] = min(body["after_seconds"], _MAX_SECONDS)
        if isinstance(body, dict) and isinstance(body.get("assistant_id"), str):
            body["assistant_id"] = ("agent", "simple", body["assistant_id"])[chance % 3]


def _name(named: MutableMapping[str, Any], chance: int) -> None:
    for name in _known.keys() & named.keys():
        if chance % 2 and isinstance(named[name], str):
            named[name] = _known[name][chance % len(_known[name])]


@schemathesis.check
def is_refused(
    context: schemathesis.CheckContext,
    response: schemathesis.Response,
    case: schemathesis.Case[Any],
) -> None:
    """Every answer has the one status, but for what needs no key, or the scope of monitoring."""
    wanted = int(os.environ["FUZZED_REFUSED"])
    let_in = {None} if wanted == HTTPStatus.UNAUTHORIZED else {None, METRICS}
    if _scope_of(case.formatted_path) not in let_in:
        assert response.status_code == wanted, f"{response.status_code} and not {wanted}"
