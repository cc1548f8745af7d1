"""A served project's own environment: its `.env` is for its graphs, not for the service."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from everturn.server.app import create_app
from everturn.server.cli.config import Loaded, load, notes
from everturn.server.environment import WrongSetting
from everturn.server.projects.environment import give_to_the_project, load_env
from tests.service import ROOT, Client, process

PROJECT = ROOT / "tests" / "projects" / "own_environment"
COMMON = ("DATABASE_URL", "REDIS_URL", "LOG_LEVEL")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The project, served from its own folder, as its authors would."""
    copy = tmp_path / "app"
    shutil.copytree(PROJECT, copy)
    (copy / "dotenv").rename(copy / ".env")
    with patch.dict(os.environ), chdir(copy):
        yield copy


def sources(loaded: Loaded) -> dict[str, str]:
    return {origin.name: origin.source for origin in loaded.origins.values()}


def test_what_its_file_names_is_not_ours(folder: Path) -> None:
    loaded = load({})
    settings = loaded.settings
    assert settings.stores.database_url is None
    assert settings.stores.redis_url is None
    assert settings.server.log_level == "INFO"
    assert settings.server.port == 2024
    assert settings.models.provider_url is None
    assert "EVERTURN_MODELS is required" in settings.refused_models
    assert set(loaded.project) == set(COMMON)
    assert not any(name in os.environ for name in COMMON)
    said = notes(loaded)
    assert "DATABASE_URL in .env is the project's own." in said
    assert any(line.startswith("No provider is used") for line in said)


def test_what_the_process_was_started_with_is_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment/db")
    settings = load({}).settings.stores
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://environment/db"
    monkeypatch.setenv("EVERTURN_DATABASE_URL", "postgresql://ours/db")
    settings = load({}).settings.stores
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://ours/db"
    assert settings.redis_url is None


def test_our_names_in_the_same_file_are_ours(folder: Path) -> None:
    with (folder / ".env").open("a") as file:
        file.write("EVERTURN_DATABASE_URL=sqlite:///ours.db\nEVERTURN_WINDOW=7\n")
    loaded = load({})
    assert sources(loaded)["EVERTURN_DATABASE_URL"] == ".env"
    assert loaded.settings.server.window == 7


@pytest.mark.parametrize("target", ["./ours/graph/agent.py:graph", "everturn.graph.agent:graph"])
def test_beside_our_own_graphs_the_file_is_ours(folder: Path, target: str) -> None:
    (folder / "ours").symlink_to(ROOT)
    (folder / "langgraph.json").write_text(f'{{"graphs": {{"a": "{target}"}}, "env": ".env"}}')
    (folder / ".env").write_text("DATABASE_URL=postgresql://ours/db\n")
    assert sources(load({}))["DATABASE_URL"] == ".env"
    (folder / ".env").write_text("OPENAI_BASE_URL=http://127.0.0.1:1/v1\n")
    with pytest.raises(WrongSetting, match="EVERTURN_MODELS is required"):
        load({})


def test_a_file_that_is_not_the_projects_is_ours(folder: Path, tmp_path: Path) -> None:
    here = tmp_path / "operator"
    here.mkdir()
    (here / ".env").write_text("DATABASE_URL=postgresql://ours/db\n")
    with chdir(here):
        assert sources(load({"config": str(folder / "langgraph.json")}))["DATABASE_URL"] == ".env"


def test_without_a_project_the_file_is_ours(folder: Path) -> None:
    (folder / "langgraph.json").unlink()
    (folder / ".env").write_text("DATABASE_URL=postgresql://ours/db\n")
    assert sources(load({}))["DATABASE_URL"] == ".env"


def test_the_project_is_given_what_is_its_own_and_one_line_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERTURN_REDIS_URL", "redis://ours/0")
    with capture_logs() as logs:
        give_to_the_project(load({}).project, ".env")
        load_env(".env", folder, "langgraph.json")
        load_env({"PORT": 2, "FROM_OBJECT": 3}, folder, "langgraph.json")
    assert os.environ["DATABASE_URL"] == "postgresql://app:secret@127.0.0.1:1/app"
    assert os.environ["POSTGRES_URI"] == "postgres://127.0.0.1:1/langgraph"
    assert (os.environ["PORT"], os.environ["FROM_OBJECT"]) == ("1", "3")
    (line,) = logs
    assert (line["name"], line["where"]) == ("DATABASE_URL", ".env")
    assert "set EVERTURN_DATABASE_URL" in line["advice"]
    assert "secret" not in str(line)


async def test_a_graph_of_ours_in_a_file_of_the_users_own_needs_its_settings(folder: Path) -> None:
    (folder / "ours.py").write_text("from everturn.graph.agent import graph\n")
    (folder / "langgraph.json").write_text('{"graphs": {"a": "./ours.py:graph"}}')
    app = create_app(load({}).settings)
    with pytest.raises(WrongSetting, match="EVERTURN_MODELS is required"):
        async with app.router.lifespan_context(app):
            pass


def test_it_runs_without_asking_anything_of_ours(folder: Path) -> None:
    config = str(folder / "langgraph.json")
    with (
        process(folder / "data", EVERTURN_CONFIG=config, EVERTURN_PROT="1") as running,
        Client(running.url()) as client,
    ):
        names = ["DATABASE_URL", "OPENAI_BASE_URL", "PORT"]
        ran = client.post("/runs/wait", json={"assistant_id": "clerk", "input": {"names": names}})
        assert ran.json()["found"] == {
            "DATABASE_URL": "postgresql://app:secret@127.0.0.1:1/app",
            "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
            "PORT": "1",
        }
        running.stop()
    log = "".join(running.log)
    assert log.count("left_to_the_project") == 2  # DATABASE_URL and REDIS_URL
    assert "EVERTURN_PROT is no setting: EVERTURN_PORT is." in log
    assert "catalogue" not in log
    assert "no_model_is_asked" not in log


def test_the_start_line_says_who_else_is_in_the_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "app.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER)")
    url = f"sqlite:///{tmp_path / 'app.db'}"
    with process(tmp_path / "data", EVERTURN_DATABASE_URL=url) as running:
        running.url()
    assert "tables of another application: 1" in "".join(running.log)
