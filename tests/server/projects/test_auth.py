"""`auth` of langgraph.json: what is wrong with it stops the start, whatever it is."""

import json
from pathlib import Path

import pytest

from everturn.server.errors import ConfigError
from everturn.server.projects.auth import load_auth
from everturn.server.projects.project import Project, read_project

AUTH = """
from langgraph_sdk import Auth

auth = Auth()
half = Auth()
odd = Auth()
number = 1

@auth.authenticate
async def who(authorization, headers, request=None, other=1, **more):
    return authorization

@odd.authenticate
async def odd_one(cookies):
    return cookies

@auth.on
async def everything(ctx, value):
    return True

@auth.on.threads.create
async def threads(ctx, value):
    return True
"""


def project(tmp_path: Path, **config: object) -> Project:
    (tmp_path / "who.py").write_text(AUTH)
    path = tmp_path / "langgraph.json"
    path.write_text(json.dumps(config))
    return read_project(path)


def test_a_project_without_auth_has_none(tmp_path: Path) -> None:
    assert load_auth(project(tmp_path)) is None


def test_routes_are_not_guarded_without_auth(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no `auth` that could guard"):
        load_auth(project(tmp_path, http={"enable_custom_route_auth": True}))


def test_an_auth_is_read_whole(tmp_path: Path) -> None:
    cache = {"cache_keys": ["authorization"], "ttl_seconds": 5}
    auth = {"path": "./who.py:auth", "cache": cache, "disable_studio_auth": True}
    http = {"middleware_order": "auth_first", "enable_custom_route_auth": True}
    loaded = load_auth(project(tmp_path, auth=auth, http=http))
    assert loaded is not None
    assert loaded.takes == {"authorization", "headers", "request"}
    assert loaded.handlers.keys() == {("threads", "create"), ("*", "*")}
    assert loaded.cache is not None
    assert loaded.cache.max_size == 1000
    assert loaded.order == "auth_first"
    assert loaded.custom_routes


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({}, "auth: names no `path`"),
        ({"disable_studio_auth": True}, "auth: names no `path`"),
        ("./who.py:auth", "langgraph.json: auth: "),
        ({"path": "./nowhere.py:auth"}, "auth.path: there is no file"),
        ({"path": "./who.py:nothing"}, "has no 'nothing'"),
        ({"path": "./who.py:number"}, "is a int, not an `Auth` of langgraph_sdk"),
        ({"path": "./who.py:half"}, "has no authenticator"),
        ({"path": "./who.py:odd"}, "takes 'cookies'; there are authorization"),
        (
            {"path": "./who.py:auth", "cache": {"ttl_seconds": 5}},
            "auth.cache.cache_keys: is missing",
        ),
        (
            {"path": "./who.py:auth", "cache": {"cache_keys": ["a"], "ttl_seconds": 0}},
            "auth.cache.ttl_seconds",
        ),
        ({"path": "./who.py:auth", "openapi": []}, "auth.openapi: must be an object"),
        (
            {"path": "./who.py:auth", "openapi": {"securitySchemes": 5}},
            "auth.openapi.securitySchemes: must be an object",
        ),
    ],
)
def test_an_auth_that_cannot_be_carried_out_stops_the_start(
    auth: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_auth(project(tmp_path, auth=auth))


@pytest.mark.parametrize(
    "http", [{"middleware_order": "last"}, {"enable_custom_route_auth": "perhaps"}]
)
def test_nor_does_it_start_with_an_order_that_there_is_not(
    http: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"http.{next(iter(http))}"):
        load_auth(project(tmp_path, auth={"path": "./who.py:auth"}, http=http))
