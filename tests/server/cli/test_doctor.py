"""`everturn doctor`: it reads a project, runs nothing of it, and says what will come of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from everturn.server.__main__ import main
from tests.server.projects.test_keys import PROJECTS
from tests.service import ROOT


@pytest.fixture(autouse=True)
def logs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up the logs of its process, and the tests after it have the same."""
    monkeypatch.setattr("everturn.server.cli.doctor.configure_logs", lambda level: None)


BOOM = "raise RuntimeError('imported')\n"


def project(folder: Path, code: str = "graph = 1\n", **keys: Any) -> Path:
    (folder / "own_doctored.py").write_text(BOOM + code)
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"g": "./own_doctored.py:graph"}, **keys}))
    return config


def examined(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["doctor", "--config", str(config)])
    lines = capsys.readouterr().out.splitlines()
    return code, "\n".join(" ".join(line.split()) for line in lines)


def test_a_project_that_can_be_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = project(tmp_path, http={"disable_runs": True}, ui={"x": "./x.tsx"}, env={"KEY": ""})
    code, says = examined(config, capsys)
    assert code == 0
    assert f"{config}: g" in says
    assert "honoured http.disable_runs no /runs" in says
    assert "no meaning ui" in says
    assert "differs http.disable_runs closes the routes of Everturn's own" in says
    assert "warning env KEY has no value" in says
    assert says.endswith("It can be served, as far as can be seen.")


def test_our_own_project(capsys: pytest.CaptureFixture[str]) -> None:
    code, says = examined(ROOT / "langgraph.json", capsys)
    assert code == 0
    assert "error" not in says
    assert "checkpointer" not in says  # which says for LangGraph's tools what happens here anyway


ERRORS: dict[str, tuple[str, dict[str, Any], str]] = {
    "file": ("", {"graphs": {"g": "./nowhere.py:graph"}}, "error graphs.g there is no file"),
    "module": ("", {"graphs": {"g": "no_such.thing:graph"}}, "there is no module no_such.thing"),
    "variable": ("other = 1\n", {}, "error graphs.g ./own_doctored.py has no 'graph'"),
    "syntax": ("graph = (\n", {}, "is no Python of this version"),
    "import": ("import no_such_module.part\ngraph = 1\n", {}, "imports 'no_such_module'"),
    "no path": ("", {"graphs": {"g": {}}}, "must read './file.py:variable', not None"),
    "no graphs": ("", {"graphs": {}}, "error graphs must map names to graphs"),
    "app": ("graph = 1\n", {"http": {"app": "./own_doctored.py:app"}}, "error http.app"),
    "auth": ("graph = 1\n", {"auth": {"path": "./auth.py:auth"}}, "error auth.path there is no"),
    "encryption": ("graph = 1\n", {"encryption": {"path": "./e.py:e"}}, "refused encryption the"),
    "value": (
        "graph = 1\n",
        {"http": {"disable_runs": 1}},
        "http.disable_runs: must be true or false",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_keeps_a_project_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    code, keys, says = ERRORS[case]
    exit_code, said = examined(project(tmp_path, code, **keys), capsys)
    assert exit_code == 1
    assert says in said


NAMED = {
    "function": "def graph(config): ...\n",
    "coroutine": "async def graph(): ...\n",
    "import": "from .other import graph\n",
    "as": "import os as graph\n",
    "star": "from .other import *\n",
    "annotated": "graph: object = 1\n",
    "inside": "if True:\n    graph = 1\n",
    "several": "graph, other = 1, 2\n",
    "guarded": "try:\n    import no_such_module\nexcept ImportError:\n    pass\ngraph = 1\n",
}


@pytest.mark.parametrize("case", NAMED)
def test_a_variable_is_found_however_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    code, said = examined(project(tmp_path, NAMED[case]), capsys)
    assert (code, "error" in said) == (0, False)


def test_missing_packages_are_found_through_modules_of_the_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_second.py").write_text("import no_such_module\n")
    code, said = examined(project(tmp_path, "import own_second\ngraph = 1\n"), capsys)
    assert code == 1
    assert "error graphs.g imports 'no_such_module', which is not installed" in said


def test_a_src_layout_and_all_its_flaws(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = examined(PROJECTS / "src_layout" / "langgraph.json", capsys)
    assert code == 0
    assert "warning dependencies no-such-package-here is not installed" in said
    assert "ignored priority" in said
    assert "did you mean http.mount_prefix?" in said


def test_without_a_file_the_built_in_graphs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    assert "the built-in graphs: agent, chat, simple" in capsys.readouterr().out
