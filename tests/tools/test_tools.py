"""The folder as its users see it: what it offers, and how one adds to it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.tools import BaseTool

from everturn.tools import UnknownTool, get_tool, load_tools, tool_schemas
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


def run(code: str, cwd: Path) -> str:
    """Run `code` in a new process with `cwd` first on its path, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_offers_its_tools_in_the_order_of_their_names() -> None:
    names = [tool.name for tool in load_tools()]
    assert names == sorted(names)
    assert {"calculator", "current_time", "fetch_page", "search", "weather"} <= set(names)
    assert all(isinstance(tool, BaseTool) for tool in load_tools())


def test_the_list_is_the_callers_own_and_its_tools_are_the_same() -> None:
    first = load_tools()
    first.clear()
    assert [id(tool) for tool in load_tools()] == [id(tool) for tool in load_tools()] != []


def test_a_tool_by_name() -> None:
    assert get_tool("weather").name == "weather"


@pytest.mark.parametrize("name", ["teleport", "", "Calculator", "kit"])
def test_an_unknown_name_is_answered_with_those_that_there_are(name: str) -> None:
    with pytest.raises(
        UnknownTool,
        match="calculator, current_time, fetch_page, forget, recall, remember, search, weather",
    ) as unknown:
        get_tool(name)
    assert str(unknown.value).startswith(f"there is no tool {name!r}")


def test_each_tool_shows_its_function_schema() -> None:
    schemas = {schema["function"]["name"]: schema for schema in tool_schemas()}
    assert list(schemas) == [tool.name for tool in load_tools()]
    assert json.loads(json.dumps(schemas)) == schemas
    for schema in schemas.values():
        assert schema["type"] == "function"
        assert schema["function"]["description"]
        for parameter in schema["function"]["parameters"]["properties"].values():
            assert parameter["description"]
            assert parameter["type"]


def test_the_schema_says_what_the_tool_takes() -> None:
    schemas = {schema["function"]["name"]: schema["function"] for schema in tool_schemas()}
    calculator, search, weather = (
        schemas[name]["parameters"] for name in ("calculator", "search", "weather")
    )
    assert calculator["required"] == ["expression"]
    assert search["required"] == ["query"]
    assert search["properties"]["max_results"]["maximum"] == 10
    assert weather["required"] == ["location"]
    assert weather["properties"]["units"]["enum"] == ["metric", "imperial"]


def test_importing_the_folder_is_free() -> None:
    code = "import sys, everturn.tools; print({'langchain_core', 'structlog'} & {*sys.modules})"
    assert run(code, ROOT) == "set()\n"


def test_one_more_file_is_one_more_tool_and_a_broken_one_is_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "everturn", tmp_path / "everturn")
    (tmp_path / "everturn" / "tools" / "shout.py").write_text(
        "from langchain_core.tools import tool\n\n\n"
        "@tool\n"
        "def shout(text: str) -> str:\n"
        '    """Say it loudly."""\n'
        "    return text.upper()\n"
    )
    (tmp_path / "everturn" / "tools" / "broken.py").write_text("import no_such_module_anywhere\n")
    printed = run(
        "from everturn import tools\n"
        "tools.load_tools(), tools.load_tools()\n"
        "print([tool.name for tool in tools.load_tools()])\n"
        "print(tools.get_tool('shout').invoke({'text': 'hi'}))",
        tmp_path,
    )
    *warnings, names, loud = printed.splitlines()
    assert names == str(sorted(["shout", *(tool.name for tool in load_tools())]))
    assert loud == "HI"
    assert len(warnings) == 1
    for part in ("tool_left_out", "broken.py", "ModuleNotFoundError", "no_such_module_anywhere"):
        assert part in warnings[0]
