"""Where our own `auth` is on, and what keeps a service from starting."""

import json
from pathlib import Path

import pytest

from everturn.checkpoints.sql.api_keys import ApiKeyTable
from everturn.checkpoints.sql.database import open_database
from everturn.server.access.keys import make_key
from everturn.server.app import create_app
from everturn.server.entrance import Entrance
from everturn.server.errors import ConfigError
from everturn.server.projects.auth import load_auth
from everturn.server.projects.project import Project, read_project
from everturn.server.settings import Settings
from tests.server.access.identity_provider import AUDIENCE, providing
from tests.server.access.own_keys import bearer, key_in
from tests.service import ROOT, serving

WITH_AUTH = ROOT / "tests" / "projects" / "auth" / "langgraph.json"
WITH_APP = ROOT / "tests" / "projects" / "with_http_app" / "langgraph.json"


def entrance(auth: str, host: str, config: Path = ROOT / "langgraph.json") -> Entrance:
    settings = Settings.read({"auth": auth, "host": host, "config": config})
    return Entrance(settings, read_project(config), listens=True)


@pytest.mark.parametrize(
    ("auth", "host", "on"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "127.0.0.8", False),
        ("auto", "::1", False),
        ("auto", "localhost", False),
        ("auto", "0.0.0.0", True),
        ("auto", "::", True),
        ("auto", "10.1.2.3", True),
        ("auto", "some.name", True),
        ("auto", "localhost.example.org", True),
        ("on", "127.0.0.1", True),
        ("on", "0.0.0.0", True),
        ("off", "127.0.0.1", False),
        ("off", "0.0.0.0", False),
    ],
)
def test_it_is_on_beyond_this_machine(auth: str, host: str, on: bool) -> None:
    assert (entrance(auth, host).own is not None) == on


async def test_a_key_that_works_no_more_is_none(tmp_path: Path) -> None:
    values = {"data_dir": tmp_path / "data", "host": "0.0.0.0", "config": ROOT / "langgraph.json"}
    settings = Settings.read({**values, "tools_offline": "always"})

    async def start() -> None:
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            pass

    new = make_key("ada", "ada", ["runs"], None)
    with pytest.raises(ConfigError, match="nobody has a key"):
        await start()
    async with open_database(None, tmp_path / "data") as database:
        await ApiKeyTable(database).add(new.row)
    await start()
    async with open_database(None, tmp_path / "data") as database:
        await ApiKeyTable(database).revoke(new.row.key_id)
    with pytest.raises(ConfigError, match="nobody has a key"):
        await start()


def test_a_project_has_its_own() -> None:
    for auth, host in (("auto", "0.0.0.0"), ("off", "0.0.0.0"), ("auto", "127.0.0.1")):
        assert entrance(auth, host, WITH_AUTH).own is None
    with pytest.raises(ConfigError, match=r"EVERTURN_AUTH is on: leave out one"):
        entrance("on", "127.0.0.1", WITH_AUTH)


def test_routes_of_the_projects_own_are_guarded_unless_it_says_otherwise(tmp_path: Path) -> None:
    own = entrance("on", "127.0.0.1").own

    def guarded(**http: object) -> bool:
        path = tmp_path / "langgraph.json"
        path.write_text(json.dumps({"http": http}))
        project: Project = read_project(path)
        loaded = load_auth(project, own)
        assert loaded is not None
        return loaded.custom_routes

    assert guarded()
    assert guarded(enable_custom_route_auth=True)
    assert not guarded(enable_custom_route_auth=False)


def test_they_are_reached_with_a_key(tmp_path: Path) -> None:
    with serving(tmp_path / "data", config=WITH_APP, auth="on") as client:
        key = key_in(tmp_path / "data", "ada")
        assert client.get("/hello").status_code == 401
        assert client.get("/hello", headers=bearer(key)).status_code == 200


def test_who_has_a_token_of_the_provider_comes_in(tmp_path: Path) -> None:
    with providing() as provider:
        named = {"auth_issuer": provider.url, "auth_audience": AUDIENCE}
        with serving(tmp_path / "data", **named) as client:
            assert client.post("/threads", json={}).status_code == 401
            ada, bob = (bearer(provider.token(sub=name)) for name in ("ada", "bob"))
            made = client.post("/threads", json={}, headers=ada)
            assert made.status_code == 200, made.text
            place = f"/threads/{made.json()['thread_id']}"
            assert client.get(place, headers=ada).status_code == 200
            assert client.get(place, headers=bob).status_code == 404
            old = client.get(place, headers=bearer(provider.token(exp=1)))
            assert (old.status_code, "expired" in old.headers["www-authenticate"]) == (401, True)
            key = bearer(key_in(tmp_path / "data", "ada"))  # the same person, by another name
            assert client.get(place, headers=key).status_code == 200
            assert "oauth" in client.get("/openapi.json").json()["components"]["securitySchemes"]


def test_a_provider_that_would_be_asked_of_nobody_is_an_error() -> None:
    named = {"auth_issuer": "https://id.example.org", "auth_audience": "x", "auth": "off"}
    settings = Settings.read({**named, "config": ROOT / "langgraph.json"})
    with pytest.raises(ConfigError, match="leave out one"):
        Entrance(settings, read_project(ROOT / "langgraph.json"), listens=True)
