"""The tools of the moment: from files and sources that come and go, allowed and approved."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool
from pydantic import BaseModel
from pydantic_settings import SettingsConfigDict
from structlog.testing import capture_logs

from everturn.tools import UnknownTool
from everturn.tools.kit.declare import declare, declared
from everturn.tools.kit.discovery import Discovery
from everturn.tools.kit.health import Health
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.toolbox import Toolbox


class BareToolSettings(ToolSettings):
    """Settings that no `.env` of the developer reaches."""

    model_config = SettingsConfigDict(env_file=None)


def made(name: str, description: str = "Do something.") -> BaseTool:
    @tool(name, description=description)
    def anything(text: str) -> str:
        return text

    return anything


class Source:
    """A source whose tools a test changes."""

    def __init__(self, name: str, *tools: BaseTool) -> None:
        self.name = name
        self.now: Sequence[BaseTool] = tools
        self.state = Health()

    def tools(self) -> Sequence[BaseTool]:
        return self.now

    def health(self) -> Health:
        return self.state

    def misses(self, name: str) -> bool:
        return self.state.status == "down" and name.startswith("one_")


def box(*tools: BaseTool, sources: Sequence[Source] = (), **settings: Any) -> Toolbox:
    found = Discovery(
        {each.name: each for each in tools}, {each.name: Path("/x/tools/file.py") for each in tools}
    )
    return Toolbox(found, sources, settings=BareToolSettings(**settings))


def names(toolbox: Toolbox, *wanted: str) -> list[str]:
    return [each.name for each in toolbox.offer(wanted or None).tools]


def test_tools_of_sources_come_and_go_in_the_order_of_names() -> None:
    source = Source("mcp:one", made("beta"))
    toolbox = box(made("alpha"), made("gamma"), sources=[source])
    assert names(toolbox) == ["alpha", "beta", "gamma"]
    source.now = ()
    assert names(toolbox) == ["alpha", "gamma"]
    source.now = (made("delta"), made("beta", "New."))
    assert names(toolbox) == ["alpha", "beta", "delta", "gamma"]
    assert [s["function"]["name"] for s in toolbox.offer().schemas] == names(toolbox)
    assert toolbox.offer().by_name["beta"].description == "New."


def test_nothing_is_made_anew_while_nothing_changes() -> None:
    toolbox = box(made("alpha"), made("beta"), sources=[Source("s", made("c"))])
    assert toolbox.offer() is toolbox.offer()
    assert toolbox.offer(["beta", "alpha"]) is toolbox.offer(["alpha", "beta", "beta"])
    assert toolbox.offer().schemas is toolbox.offer().schemas
    for n in range(200):  # what callers name is without end
        toolbox.offer([f"nothing{n}", "alpha"])
    assert len(toolbox._offers) < 100


def test_a_source_takes_no_name_that_is_taken_and_brings_no_tool_that_breaks_the_others() -> None:
    class Broken(BaseModel):
        thing: Callable[[], int]

    broken = made("broken")
    broken.args_schema = Broken
    unwritable = made("half")
    unwritable.name = "half \ud83d"
    one = Source("one", made("alpha", "taken"), made("shared", "first"), broken, unwritable)
    toolbox = box(made("alpha", "file"), sources=[one, Source("two", made("shared", "second"))])
    with capture_logs() as logged:
        for _ in range(3):
            assert names(toolbox) == ["alpha", "shared"]
            one.now = [*one.now]
    assert [s["function"]["description"] for s in toolbox.offer().schemas] == ["file", "first"]
    assert [entry["event"] for entry in logged] == ["tool_left_out"] * 4


def test_a_tool_is_offered_by_a_name_that_providers_take_and_known_by_its_own() -> None:
    toolbox = box(made("files.read/v1"), made("plain"), approve_tools=["files.*"])
    offer = toolbox.offer(["files.read/v1"])
    (offered,) = (schema["function"]["name"] for schema in offer.schemas)
    assert re.fullmatch("files_read_v1_[0-9a-f]{8}", offered)
    assert offer.real_names == {offered: "files.read/v1"}
    assert toolbox.needs_approval(offer.by_name["files.read/v1"])
    assert [tool["name"] for tool in toolbox.overview()] == ["files.read/v1", "plain"]
    source = Source("one", made(offered))  # it would be taken for the other
    assert names(box(made("files.read/v1"), sources=[source])) == ["files.read/v1"]


def test_a_run_gets_those_it_may_use_and_a_wrong_name_is_told() -> None:
    toolbox = box(made("alpha"), made("beta"))
    assert names(toolbox, "beta", "gone") == ["beta"]
    assert toolbox.offer(()).tools == ()
    toolbox.check(None)
    toolbox.check(["alpha", "beta"])
    with pytest.raises(UnknownTool, match="no tool 'gone'; there are alpha, beta"):
        toolbox.check(["alpha", "gone"])


def test_a_run_may_name_a_tool_of_a_source_that_is_down() -> None:
    source = Source("mcp:one", made("one_beta"))
    toolbox = box(made("alpha"), sources=[source])
    source.now, source.state = (), Health("down", "it does not answer")
    toolbox.check(["alpha", "one_beta"])
    assert names(toolbox, "alpha", "one_beta") == ["alpha"]
    with pytest.raises(UnknownTool, match="no tool 'two_beta'"):
        toolbox.check(["two_beta"])
    source.state = Health()
    with pytest.raises(UnknownTool, match="no tool 'one_beta'"):
        toolbox.check(["one_beta"])


def test_the_overview_says_where_a_tool_is_from_and_how_it_is() -> None:
    source = Source("mcp:one", declare(cache=5, approval=True)(made("beta", "Second.")))
    toolbox = box(made("alpha", "First."), sources=[source, Source("mcp:empty")])
    alpha, beta = toolbox.overview()
    assert (alpha["origin"], alpha["health"], alpha["calls"]) == ("tools/file.py", "healthy", 0)
    assert alpha["parameters"]["required"] == ["text"]
    assert (beta["origin"], beta["approval"], beta["cache_seconds"]) == ("mcp:one", True, 5)
    source.state = Health("down", "it does not answer")
    assert list(toolbox.overview())[1]["reason"] == "it does not answer"
    assert [(s["name"], s["health"], s["tools"]) for s in toolbox.sources()] == [
        ("mcp:one", "down", 1),
        ("mcp:empty", "healthy", 0),
    ]


def test_what_is_approved_is_named_or_declared() -> None:
    alpha, beta, gamma = made("alpha"), made("git_push"), declare(approval=True)(made("gamma"))
    toolbox = box(alpha, beta, gamma, approve_tools=["git_*", "alhpa"])
    assert [toolbox.needs_approval(each) for each in (alpha, beta, gamma)] == [False, True, True]
    assert toolbox.unmatched_approvals() == ["alhpa"]
    assert box(alpha, approve_tools=["*"]).needs_approval(alpha)
    source = Source("mcp:one")
    toolbox = box(alpha, sources=[source], approve_tools=["one_*"])
    assert toolbox.unmatched_approvals() == ["one_*"]
    source.state = Health("down", "not connected yet")
    assert toolbox.unmatched_approvals() == []  # its tools may still come


def test_declarations_add_up_and_a_wrong_one_is_refused() -> None:
    both = declare(timeout=2)(declare(cache=5, version="2")(made("alpha")))
    assert declared(both) == {"timeout": 2, "cache": 5, "version": "2"}
    assert declared(made("plain")) == {}
    with pytest.raises(ValueError, match="timeout must be more than 0"):
        declare(timeout=0)
    with pytest.raises(TypeError, match="above @tool"):
        declare(cache=1)(lambda: None)  # type: ignore[type-var]  # the mistake that is tested


def test_settings_read_comma_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERTURN_APPROVE_TOOLS", " send_mail, git_* ,")
    monkeypatch.setenv("EVERTURN_TOOL_PATHS", "/a/b,c")
    settings = BareToolSettings()
    assert settings.approve_tools == ["send_mail", "git_*"]
    assert settings.tool_paths == [Path("/a/b"), Path("c")]
