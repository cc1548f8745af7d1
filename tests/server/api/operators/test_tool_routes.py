"""What the service says of its tools, and how a message may choose among them."""

from pathlib import Path

from tests.provider import KEY, FakeProvider, Reply, ToolCall
from tests.service import Client, process, serving

SHOUT = '''
from langchain_core.tools import tool
from everturn.tools.kit.declare import declare

@declare(cache=60)
@tool
def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()
'''


def test_the_tools_are_listed_with_their_schema_and_figures(client: Client) -> None:
    listed = client.get("/api/tools").json()
    assert listed["sources"] == []
    tools = {tool["name"]: tool for tool in listed["tools"]}
    assert list(tools) == sorted(tools)
    calculator = tools["calculator"]
    assert calculator["parameters"]["required"] == ["expression"]
    assert calculator["origin"] == "tools/calculator.py"
    assert (calculator["health"], calculator["reason"]) == ("healthy", "")
    client.ask("Calculate 3 * 3")
    after = {tool["name"]: tool for tool in client.get("/api/tools").json()["tools"]}
    assert after["calculator"]["calls"] == calculator["calls"] + 1
    assert 'tool_calls_total{status="success",tool="calculator"}' in client.get("/metrics").text


def test_one_more_file_is_one_more_tool_and_its_results_are_kept(
    data_dir: Path, tmp_path: Path, fake_provider: FakeProvider
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "shout.py").write_text(SHOUT)
    call = Reply(tool_calls=[ToolCall("shout", {"text": "hi"})])
    fake_provider.script("m", call, "done", call, "done")
    with serving(
        data_dir, base_url=fake_provider.url, openai_api_key=KEY, models="m", tool_paths=[folder]
    ) as client:
        for _ in range(2):
            assert client.ask("shout hi")["tools_used"] == ["shout"]
        (shout,) = (t for t in client.get("/api/tools").json()["tools"] if t["name"] == "shout")
        assert (shout["calls"], shout["errors"], shout["cache_hits"]) == (2, 0, 1)
        assert shout["origin"] == "mine/shout.py"
        metrics = client.get("/metrics").text
        assert 'tool_cache_total{result="hit",tool="shout"} 1.0' in metrics
        assert 'tool_cache_total{result="miss",tool="shout"} 1.0' in metrics
    assert fake_provider.requests[-1].messages[-1]["content"] == "HI"


def test_a_message_may_allow_only_some_tools(client: Client) -> None:
    allowed = client.ask("Calculate 3 * 3", tools=["calculator"])
    assert allowed["tools_used"] == ["calculator"]
    assert client.ask("Calculate 3 * 3", tools=["search"])["tools_used"] == []
    assert client.ask("Calculate 3 * 3", tools=[])["tools_used"] == []
    before = client.get("/api/chat/sessions").json()["total"]
    for route in ("/api/chat/message", "/api/chat/message/stream"):
        wrong = client.post(route, json={"message": "hi", "tools": ["calcu"]})
        assert (wrong.status_code, wrong.json()["type"]) == (422, "unknown-tool")
        assert "'calcu'" in wrong.json()["detail"]
        assert "calculator" in wrong.json()["detail"]
    assert client.get("/api/chat/sessions").json()["total"] == before
    body = {"input": {"messages": "hi"}, "context": {"tools": ["calcu"]}}
    assert client.post("/invoke", json=body).json()["type"] == "unknown-tool"


def test_what_cannot_be_served_is_named_at_the_start_and_the_rest_is_served(
    data_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "broken.py").write_text("import no_such_module_anywhere\n")
    (folder / "again.py").write_text(SHOUT.replace("def shout", "def calculator"))
    (folder / "shout.py").write_text(SHOUT)
    environment = {
        "EVERTURN_TOOL_PATHS": f"{folder},{tmp_path / 'nowhere'}",
        "EVERTURN_APPROVE_TOOLS": "shuot",
    }
    with process(data_dir, **environment) as running:
        with Client(running.url()) as client:
            names = [tool["name"] for tool in client.get("/api/tools").json()["tools"]]
        log = "".join(running.log)
    assert {"calculator", "shout"} <= set(names)
    assert log.count("tool_left_out") == 3
    for part in ("broken.py", "no_such_module_anywhere", "again.py", "is taken by", "nowhere"):
        assert part in log
    assert "no_tool_to_approve" in log
    assert "shuot" in log
