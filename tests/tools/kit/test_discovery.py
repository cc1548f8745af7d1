import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest

from everturn.tools.kit.discovery import Discovery, discover

TOOL = '''
from langchain_core.tools import tool

@tool
def {name}(text: str) -> str:
    """Do something with the text."""
    return "{origin}"
'''

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module into the package `workbench`, which is forgotten after the test."""
    folder = tmp_path / "workbench"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def write(path: str, source: str) -> Path:
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
        invalidate_caches()
        return file

    yield write
    for module in [name for name in sys.modules if name.split(".")[0] == "workbench"]:
        del sys.modules[module]


def simple(name: str, origin: str = "") -> str:
    return TOOL.format(name=name, origin=origin)


def reasons(found: Discovery) -> dict[str, str]:
    return {problem.file.name: problem.reason for problem in found.problems}


def test_every_public_module_is_read_and_tools_are_sorted_by_name(write: Write) -> None:
    write("a.py", simple("zebra") + simple("middle"))
    write("b.py", simple("aardvark"))
    found = discover("workbench")
    assert list(found.tools) == ["aardvark", "middle", "zebra"]
    assert {name: file.name for name, file in found.origins.items()} == {
        "aardvark": "b.py",
        "middle": "a.py",
        "zebra": "a.py",
    }
    assert found.problems == []


def test_private_modules_subpackages_and_private_names_are_passed_over(write: Write) -> None:
    write("_draft.py", simple("draft"))
    write("kit/__init__.py", simple("inner"))
    write("kit/more.py", simple("deeper"))
    write("notes.txt", simple("text"))
    write("a.py", simple("public").replace("def public", "def _hidden"))
    found = discover("workbench")
    assert found.tools == {}
    assert found.problems == []


def test_a_tool_is_found_in_every_form_langchain_has(write: Write) -> None:
    write(
        "forms.py",
        """
from langchain_core.tools import BaseTool, StructuredTool, tool

@tool("renamed", return_direct=True)
async def some_function(text: str) -> str:
    "Do it."
    return text

class Reverse(BaseTool):
    name: str = "reverse"
    description: str = "Turn the text around."

    def _run(self, text: str) -> str:
        return text[::-1]

reverse = Reverse()
built = StructuredTool.from_function(lambda text: text, name="built", description="Echo.")
not_a_tool = Reverse
""",
    )
    found = discover("workbench")
    assert list(found.tools) == ["built", "renamed", "reverse"]
    assert found.tools["reverse"].invoke({"text": "abc"}) == "cba"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
        ("def broken(:", "SyntaxError: "),
        ("raise RuntimeError('on purpose')", "RuntimeError: on purpose"),
        ("import sys\nsys.exit('I leave')", "SystemExit: I leave"),
        ("x = 1 / 0", "ZeroDivisionError: division by zero"),
        (simple("undocumented").replace('"""Do something with the text."""', ""), "docstring"),
    ],
    ids=lambda text: text[:12].strip(),
)
def test_a_broken_module_is_named_and_the_others_served(
    write: Write, source: str, reason: str
) -> None:
    write("good.py", simple("good"))
    broken = write("broken.py", source)
    found = discover("workbench")
    assert list(found.tools) == ["good"]
    assert [problem.file for problem in found.problems] == [broken]
    assert reason in found.problems[0].reason


def test_of_two_tools_with_one_name_the_first_file_is_served(write: Write) -> None:
    first = write("a.py", simple("same", origin="a"))
    write("b.py", simple("same", origin="b") + simple("other"))
    found = discover("workbench")
    assert found.tools["same"].invoke({"text": ""}) == "a"
    assert "other" in found.tools
    assert reasons(found) == {"b.py": f"the name 'same' is taken by {first}"}


def test_two_tools_with_one_name_in_one_file(write: Write) -> None:
    write("a.py", simple("same") + "again = same.model_copy()\nalias = same\n")
    found = discover("workbench")
    assert list(found.tools) == ["same"]
    assert list(reasons(found)) == ["a.py"]


def test_an_imported_tool_is_no_duplicate(write: Write) -> None:
    write("b.py", simple("shared"))
    write("a.py", "from workbench.b import shared\n" + simple("own"))
    found = discover("workbench")
    assert list(found.tools) == ["own", "shared"]
    assert found.problems == []


@pytest.mark.parametrize("name", ["two words", "한글", "x" * 65, "a.b"])
def test_a_name_that_providers_refuse_is_found(write: Write, name: str) -> None:
    write("a.py", simple("function").replace("@tool", f"@tool({name!r})") + simple("fine"))
    assert set(discover("workbench").tools) == {"fine", name}


def test_a_tool_that_no_model_could_be_told_of_is_left_out(write: Write) -> None:
    write(
        "a.py",
        simple("fine")
        + """
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, ConfigDict

class Opaque:
    pass

class Arguments(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: Opaque

opaque = StructuredTool.from_function(
    lambda thing: "", name="opaque", description="Take a thing.", args_schema=Arguments
)
""",
    )
    found = discover("workbench")
    assert list(found.tools) == ["fine"]
    assert reasons(found)["a.py"].startswith("the tool 'opaque' has no schema: ")


def test_several_packages_are_one_set_of_names(write: Write) -> None:
    write("calculator.py", simple("calculator"))
    write("extra.py", simple("extra"))
    found = discover("tools", "workbench")
    assert list(found.tools) == sorted({*discover("everturn.tools").tools, "extra"})
    assert found.origins["calculator"].parent.name == "tools"
    assert list(reasons(found)) == ["calculator.py"]


def test_folders_are_read_after_packages_and_their_modules_know_each_other(
    write: Write, tmp_path: Path
) -> None:
    write("alpha.py", simple("alpha"))
    more = tmp_path / "more tools"
    more.mkdir()
    (more / "_words.py").write_text("WORD = 'shared'\n")
    (more / "beta.py").write_text("from ._words import WORD\n" + simple("beta"))
    (more / "alpha.py").write_text(simple("alpha", "second"))
    (more / "broken.py").write_text("def oops(:\n")
    found = discover("workbench", folders=[more, tmp_path / "nowhere", more / "beta.py"])
    assert list(found.tools) == ["alpha", "beta"]
    assert found.origins["beta"] == more / "beta.py"
    named = reasons(found)
    assert list(named) == ["alpha.py", "broken.py", "nowhere", "beta.py"]
    assert str(found.origins["alpha"]) in named["alpha.py"]
    assert "SyntaxError" in named["broken.py"]
    assert "no such folder" in named["nowhere"]


def test_a_folders_init_is_run_and_may_fail(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder, init in ((good, "NAME = 'from init'"), (bad, "raise SystemExit('no')")):
        folder.mkdir()
        (folder / "__init__.py").write_text(init)
        (folder / "gamma.py").write_text(
            "from . import NAME\n" + simple(f"{folder.name}_gamma") + "\nassert NAME\n"
        )
    found = discover(folders=[bad, good])
    assert list(found.tools) == ["good_gamma"]
    assert reasons(found) == {"__init__.py": "SystemExit: no"}


def test_two_folders_of_one_name_are_two(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "tools", tmp_path / "b" / "tools"]
    for n, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "same.py").write_text(simple(f"tool_{n}"))
    assert list(discover(folders=folders).tools) == ["tool_0", "tool_1"]
    assert list(discover(folders=folders).tools) == ["tool_0", "tool_1"]  # and once more the same
