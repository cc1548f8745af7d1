"""Which routes each `http.disable_…` takes away, of all that the service has."""

import json
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from everturn.server.app import create_app
from everturn.server.settings import Settings

ALL = {
    *("disable_assistants", "disable_threads", "disable_runs", "disable_store"),
    *("disable_meta", "disable_ui"),
}
RUNS = "/threads/{thread_id}/runs"
BELOW = (
    "/threads/{thread_id}/stream",
    "/threads/{thread_id}/stream/events",
    "/threads/{thread_id}/commands",
)


def paths(folder: Path, *keys: str) -> set[str]:
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {}, "http": dict.fromkeys(keys, True)}))
    # As they stand in the document, which takes a second to write.
    routes = create_app(Settings.read({"config": config})).routes
    return {
        route.path_format
        for route in routes
        if isinstance(route, APIRoute) and route.include_in_schema
    }


def chat(path: str) -> bool:
    return path.startswith("/api/chat/")


@pytest.mark.parametrize("key", sorted(ALL))
def test_each_key_closes_what_leads_to_the_same(tmp_path: Path, key: str) -> None:
    there = paths(tmp_path)
    closes = {
        "disable_assistants": {path for path in there if path.startswith("/assistants")},
        "disable_threads": {
            path
            for path in there
            if chat(path)
            or path.startswith("/api/users")
            or (path.startswith("/threads") and not path.startswith(RUNS))
        },
        "disable_runs": {
            path
            for path in there
            if chat(path)
            or path.startswith(("/runs", RUNS))
            or path in {"/invoke", "/stream", *BELOW}
        },
        "disable_store": {path for path in there if path.startswith(("/store", "/api/memories"))},
        "disable_meta": {"/info", "/metrics", "/api/tools", "/api/usage", "/api/chat/models"}
        | {path for path in there if path.startswith(("/api/webhooks", "/api/now"))},
        "disable_ui": {"/page/config.json"},
    }
    assert closes[key] <= there
    assert there - paths(tmp_path, key) == closes[key]


def test_what_is_left_when_all_are_closed(tmp_path: Path) -> None:
    assert paths(tmp_path, *ALL) == {"/", "/ok", "/ready"}
