"""The README and the docs promise nothing that is not there: their commands are run."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from everturn.graph.agent import graph
from everturn.server.__main__ import main
from everturn.server.api.chat.approvals import ResumeRequest
from everturn.tools import find_tools
from tests.checkpoints.redis.servers import answers
from tests.service import ROOT, Client, serving
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
    # Not `everturn.run.id`, say, which is an attribute of spans.
    named = set(
        re.findall(
            r"\beverturn(?!\.(?:run|route|node|step|cost|error_id)\b)(?:\.\w+)+", prose(page)
        )
    )
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


def shell_lines(page: Path) -> list[str]:
    """The commands that a page shows at a prompt, without the comments behind them."""
    shown = "".join(blocks(page, "console")).replace("\\\n", " ")
    lines = re.findall(r"^\$ (.*)$", shown, re.MULTILINE)
    return [re.sub(r"\s+# .*", "", line) for line in lines]


@each_page
def test_commands_are_there(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    written = [*shell_lines(page), *re.findall(r"`([^`\n]+)`", prose(page))]
    for target in re.findall(r"^make ([\w-]+)", "\n".join(written), re.MULTILINE):
        assert target in targets
    for text in written:
        if (
            found := re.search(r"(?:^|\| )(?:\.venv/bin/)?everturn ((?:keys )?[\w-]+)(.*)", text)
        ) is None:
            continue
        command, more = found.groups()
        with pytest.raises(SystemExit) as ended:
            main([*command.split(), "--help"])
        assert ended.value.code == 0, command
        explained = capsys.readouterr().out
        for option in re.findall(r"(?<!\S)--[\w-]+", more):
            assert option in explained, text


@pytest.fixture(scope="module")
def dice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service, with the tool that README.md shows."""
    folder = tmp_path_factory.mktemp("readme")
    (tool,) = blocks(README, "python")
    (folder / "tools").mkdir()
    (folder / "tools" / "dice.py").write_text(tool)
    with serving(folder / "data", tool_paths=[folder / "tools"]) as client:
        yield client


def test_the_first_five_minutes(dice: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line at a prompt is run as it stands, but for the address of the service."""
    if shutil.which("bash") is None or shutil.which("curl") is None:
        pytest.skip("no bash or no curl to run the commands with")
    for line in shell_lines(README):
        match shlex.split(line):
            case ["make", target]:
                assert target in {"run", "chat"}
            case ["curl", *_]:
                command = line.replace("http://127.0.0.1:2024", str(dice.base_url).rstrip("/"))
                ran = subprocess.run(
                    ["bash", "-c", command], capture_output=True, text=True, check=True
                )
                (shown,) = re.findall(r"^\{.*\}$", README.read_text(), re.MULTILINE)
                said = ".*".join(map(re.escape, shown.split("…")))
                assert re.fullmatch(said, ran.stdout), ran.stdout
            case [".venv/bin/everturn", "chat", question]:
                assert main(["chat", "--url", str(dice.base_url), question]) == 0
                said = capsys.readouterr().out
                assert ("10 * 20 = 200" in said) or re.search(r"\b([1-9]|1\d|20)\b", said), said
            case other:
                pytest.fail(f"nothing runs {other}")


@each_page
def test_snippets_run(page: Path, dice: Client, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "python")):
        redis = os.environ["TEST_REDIS_URL"]
        if "redis://" in block and not answers(redis):
            pytest.skip(f"no Redis answers at {redis}")
        code = block.replace("redis://127.0.0.1:6379", redis)
        code = code.replace("http://127.0.0.1:2024", str(dice.base_url).rstrip("/"))
        if "@tool" not in code:
            command = [sys.executable, "-c", code]
            ran = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert ran.returncode == 0, ran.stderr
            assert bool(ran.stdout) == ("print(" in code)
            continue
        folder = tmp_path / f"tools_{number}"
        folder.mkdir()
        (folder / "snippet.py").write_text(code)
        found = find_tools([folder])
        defined = re.findall(r"@tool\n(?:async )?def (\w+)", code)
        for name in defined:
            assert found.origins[name] == folder / "snippet.py"


def test_the_decisions_of_the_docs_are_decisions() -> None:
    (block,) = blocks(ROOT / "docs/api.md", "json")
    assert len(ResumeRequest.model_validate_json(block).decided() or ()) == 3


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
    listed = set(
        re.findall(r"`((?:GET|POST|PATCH|DELETE) [^`]+)`", (ROOT / "docs/api.md").read_text())
    )
    assert listed == ours
    for page in PAGES:
        assert set(re.findall(r"`((?:GET|POST|DELETE) /[^`]+)`", page.read_text())) <= routes
    roots = re.findall(r"`(/[\w/{}]+)`", (ROOT / "docs/langgraph.md").read_text())
    assert set(roots) >= {"/assistants", "/threads", "/runs", "/runs/crons", "/store/items"}
    assert set(roots) <= set(paths)


def run_script(client: Client, script: str) -> str:
    """Run a script of the docs with bash; returns what it printed."""
    bash = shutil.which("bash")
    if bash is None or shutil.which("curl") is None:
        pytest.skip("no bash or no curl to run the examples with")
    script = script.replace("url=http://127.0.0.1:2024", f"url={client.base_url}")
    assert "…" not in script
    strict = 'set -euo pipefail; curl() { command curl --fail-with-body "$@"; echo; }\n'
    ran = subprocess.run(
        [bash, "-c", strict + script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_examples_run(client: Client) -> None:
    example, rejoined = [block for block in blocks(ROOT / "docs/api.md", "sh") if "curl" in block]
    before = client.get("/api/chat/sessions").json()["total"]
    printed = run_script(client, example)
    assert "event: done" in printed
    assert "## Assistant, offline, with calculator" in printed
    assert client.get("/api/chat/sessions").json()["total"] == before  # it deletes its own

    turn = client.events("/api/chat/message/stream", {"message": "hello"})[0].data
    join, _, cancel = rejoined.strip().rpartition("\n")
    assert "/threads/$id/runs/$run_id/cancel" in cancel  # there is nothing to cancel any more
    given = f"url={client.base_url}\nid={turn['session_id']}\n"
    joined = run_script(client, given + join.replace("run_id=…", f"run_id={turn['run_id']}"))
    assert "event: done" in joined
