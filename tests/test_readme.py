"""The README and the docs promise nothing that is not there: their commands are run."""

import ast
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from everturn.graph.agent import graph
from everturn.server.__main__ import main
from tests.service import ROOT, Client
from tests.waiting import PATIENCE

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
ENV_EXAMPLE = ROOT / ".env.example"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """What is outside of the blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_the_picture_is_the_graph() -> None:
    picture = README.read_text().partition("<!-- graph:")[2].partition("<!-- /graph -->")[0]
    drawn = graph.get_graph().draw_mermaid(with_styles=False)
    assert drawn.strip() in picture, f"put this into README.md:\n{drawn}"


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), link
        assert not anchor or anchor in anchors(linked), link


def test_each_page_of_the_docs_is_linked_from_the_readme() -> None:
    missing = [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in README.read_text()]
    assert missing == []


@each_page
def test_what_is_imported_is_there_and_public(page: Path) -> None:
    named = set(re.findall(r"\beverturn(?:\.\w+)+", prose(page)))
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("everturn"):
                named |= {f"{node.module}.{name.name}" for name in node.names}
    for name in named:
        assert not [part for part in name.split(".") if part.startswith("_")], name
        module, _, attribute = name.rpartition(".")
        try:
            import_module(name)
        except ModuleNotFoundError:
            assert hasattr(import_module(module), attribute), name


@each_page
def test_commands_are_there(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:`|^\$ )make ([\w-]+)", page.read_text(), re.MULTILINE):
        assert target in targets
    for command in set(re.findall(r"(?:`|^\$ )everturn ([\w-]+)", page.read_text(), re.MULTILINE)):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command
    capsys.readouterr()


def settings_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `everturn config` prints where nothing is set, as a table."""
    monkeypatch.delenv("EVERTURN_TOOLS_OFFLINE")
    assert main(["config"]) == 0
    rows = [re.split(r" {2,}", line, maxsplit=3) for line in capsys.readouterr().out.splitlines()]
    assert {source for _, _, source, _ in rows} == {"default"}
    return "\n".join(f"| `{name}` | `{value}` | {text} |" for name, value, _, text in rows)


def test_all_settings_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env is
    table = settings_table(monkeypatch, capsys)
    listed = (ROOT / "docs" / "settings.md").read_text()
    assert table in listed, f"put this into docs/settings.md:\n{table}"


@pytest.mark.parametrize("page", [*PAGES, ENV_EXAMPLE], ids=lambda page: page.name)
def test_settings_that_are_named_are_there(page: Path) -> None:
    names = (ROOT / "docs" / "settings.md").read_text()
    for name in set(re.findall(r"\bEVERTURN_[A-Z_]+\b", page.read_text())):
        assert f"`{name}`" in names, name


def test_each_route_is_listed(client: Client) -> None:
    """Those of LangGraph's Agent Server are LangGraph's to describe, and listed by their roots."""
    paths: dict[str, dict[str, object]] = client.get("/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    ours = {route for route in routes if not re.search(" /(assistants|threads|runs|store)", route)}
    listed = set(re.findall(r"`((?:GET|POST|DELETE) [^`]+)`", (ROOT / "docs/api.md").read_text()))
    assert listed == ours
    for page in PAGES:
        assert set(re.findall(r"`((?:GET|POST|DELETE) /[^`]+)`", page.read_text())) <= routes
    roots = re.findall(r"`(/[\w/{}]+)`", (ROOT / "docs/langgraph.md").read_text())
    assert set(roots) >= {"/assistants", "/threads", "/runs", "/runs/crons", "/store/items"}
    assert set(roots) <= set(paths)


def test_the_examples_run(client: Client) -> None:
    bash = shutil.which("bash")
    if bash is None or shutil.which("curl") is None:
        pytest.skip("no bash or no curl to run the examples with")
    (script,) = [block for block in blocks(ROOT / "docs/api.md", "sh") if "url=" in block]
    session = client.post("/api/chat/session", json={}).json()["session_id"]
    script = script.replace("url=http://127.0.0.1:2024", f"url={client.base_url}")
    script = script.replace("id=…", f"id={session}")
    assert "…" not in script
    strict = 'set -euo pipefail; curl() { command curl --fail-with-body "$@"; echo; }\n'
    ran = subprocess.run(
        [bash, "-c", strict + script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "event: done" in ran.stdout
    assert client.get(f"/api/chat/session/{session}").status_code == 404
