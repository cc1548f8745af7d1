"""The one name that Everturn takes, and what it leaves to the projects that it serves."""

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.service import ROOT, Client, process
from tests.waiting import PATIENCE

WEB = "server/web/"
"""The source of the page, of which the wheel has what is built."""
ROOMS = ("checkpoints", "graph", "server", "tools")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_a_link_to_its_folder(room: str) -> None:
    link = ROOT / "everturn" / room
    assert link.readlink() == Path(f"../{room}")


def test_links_that_became_files_are_explained(tmp_path: Path) -> None:
    (tmp_path / "everturn").mkdir()
    text = (ROOT / "everturn" / "__init__.py").read_text()
    (tmp_path / "everturn" / "__init__.py").write_text(text)
    (tmp_path / "everturn" / "graph").write_text("../graph")
    ran = subprocess.run(
        [sys.executable, "-c", "import everturn"], cwd=tmp_path, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "should be a link to a folder, and is none" in ran.stderr


def build(folder: Path, kind: str, into: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
    (built,) = into.iterdir()
    return built


def test_the_wheel_holds_one_package_and_is_the_same_from_the_sdist(tmp_path: Path) -> None:
    wheel = build(ROOT, "wheel", tmp_path / "wheel")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"everturn"}
    shipped = {name for name in names if name.startswith("everturn/")}
    kept = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert shipped == {
        "everturn/__init__.py",
        "everturn/py.typed",
        *(f"everturn/{file}" for file in kept.stdout.split() if not file.startswith(WEB)),
    }
    assert "everturn/server/api/page/assets/index.html" in shipped

    with tarfile.open(build(ROOT, "sdist", tmp_path / "sdist")) as sdist:
        sdist.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = build(unpacked, "wheel", tmp_path / "again")
    assert again.read_bytes() == wheel.read_bytes()


def test_a_wheel_alone_serves_the_built_in_graphs(tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(build(ROOT, "wheel", tmp_path / "wheel")) as wheel:
        wheel.extractall(installed)
    here = {"PYTHONPATH": str(installed), "EVERTURN_CONFIG": ""}
    with process(empty / "data", **here) as running:
        with Client(running.url()) as client:
            assert client.get("/info").json()["graphs"] == [
                "agent",
                "chat",
                "simple",
                "planner",
                "team",
            ]
            assert "42" in str(client.ask("Compute 6*7"))
        (said,) = [json.loads(line) for line in running.log if "built_in_graphs" in line]
    assert said["graphs"] == ["agent", "chat", "simple", "planner", "team"]
    assert "--config" in said["note"]


GRAPH = """
from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from everturn.tools.kit import declare
import checkpoints{own}
import graph{own}
import server{own}
import tools{own}


class State(TypedDict):
    names: list[str]


def node(state: State) -> State:
    rooms = (checkpoints{own}, graph{own}, server{own}, tools{own})
    return {{"names": [room.NAME for room in rooms] + [declare.__module__]}}


builder = StateGraph(State)
builder.add_node("node", node)
builder.add_edge(START, "node")
builder.add_edge("node", END)
made = builder.compile()
"""


@pytest.mark.parametrize("kind", ["file", "package", "namespace"])
def test_modules_of_a_project_may_have_our_folders_names(tmp_path: Path, kind: str) -> None:
    theirs, installed = tmp_path / "theirs", tmp_path / "installed"
    for room in ROOMS:
        file = {
            "file": theirs / f"{room}.py",
            "package": theirs / room / "__init__.py",
            "namespace": theirs / room / "own.py",
        }[kind]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"NAME = 'their {room}'\n")
    own = ".own" if kind == "namespace" else ""
    (theirs / "own_project.py").write_text(GRAPH.format(own=own))
    config = theirs / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"theirs": "./own_project.py:made"}}))
    installed.mkdir()
    (installed / "everturn").symlink_to(ROOT / "everturn")  # as an installed package: only that
    with (
        process(tmp_path / "data", "--config", str(config), PYTHONPATH=str(installed)) as running,
        Client(running.url()) as client,
    ):
        made = client.post("/invoke", json={"graph": "theirs", "input": {"names": []}})
    assert made.status_code == 200, made.text
    names = made.json()["names"]
    assert names == [*(f"their {room}" for room in ROOMS), "everturn.tools.kit.declare"]
