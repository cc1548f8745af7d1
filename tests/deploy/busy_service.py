"""A service that is asked for everything that dashboards show; its callers have keys."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

from tests.provider import KEY, FakeProvider, Fault, Reply, Request, ToolCall
from tests.server.cli.test_keys import made
from tests.service import ROOT, Client, process

GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph

def fails(state):
    raise RuntimeError("no")

graph = StateGraph(MessagesState).add_node(fails).add_edge(START, "fails").compile()
"""
TOOL = '''
from langchain_core.tools import tool

@tool
def look_up(name: str) -> str:
    """Look somebody up."""
    raise ValueError(name)
'''
CALLS = [ToolCall("look_up", {"name": "Ada"}), ToolCall("weather", {"location": "Seoul"})]
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Busy:
    """The service, while it runs."""

    url: str
    monitoring: str
    """A key with the scope `metrics`."""
    client: Client
    limited: Client
    """Of a caller who has very few turns."""

    def metrics(self) -> str:
        """What Prometheus scrapes."""
        with Client(self.url) as client:
            answer = client.get("/metrics", headers={"Authorization": f"Bearer {self.monitoring}"})
        assert answer.status_code == 200, answer.text
        return answer.text

    def ask(self, session: str) -> None:
        """Ask for a turn of each kind, once."""
        client = self.client
        client.ask("2 * 21", session)
        client.ask("2 * 21", session, use_tools=False)
        body = {"message": "What is 2 * 21?", "session_id": session}
        client.events("/api/chat/message/stream", body)
        secret = "my key is sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
        client.post("/api/chat/message", json={"message": secret})
        asked = {"messages": [{"role": "user", "content": "2 * 21"}]}
        wait = {"assistant_id": "fails", "input": asked}
        client.post("/runs/wait", json=wait).raise_for_status()
        assert client.post("/runs/wait", json={"assistant_id": "nobody"}).status_code == 422
        posted = {"assistant_id": "agent", "input": asked}
        client.post("/runs", json=posted).raise_for_status()
        self.limited.post("/api/chat/message", json={"message": "2 * 21"})

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Ask again and again, until the end of the block."""
        enough, failed = Event(), list[BaseException]()

        def go_on() -> None:
            try:
                session = self.client.post("/api/chat/session", json={}).json()["session_id"]
                while not enough.wait(PAUSE_SECONDS):
                    self.ask(session)
            except BaseException as error:
                failed.append(error)

        thread = Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()
        assert not failed, failed


@contextmanager
def busy_service(folder: Path) -> Iterator[Busy]:
    """Serve in a process of its own: callers sign in, and one model of three answers well."""
    (folder / "fails.py").write_text(GRAPH)
    graphs = {"agent": str(ROOT / "graph" / "agent.py:graph"), "fails": "./fails.py:graph"}
    (folder / "tools").mkdir()
    (folder / "tools" / "look_up.py").write_text(TOOL)
    (folder / "own.json").write_text(json.dumps({"graphs": graphs}))
    with FakeProvider() as provider:
        provider.script("bad", Fault(400))
        provider.script("limited", Fault(429, retry_after=3600))
        provider.script("well", _well)
        environment = {
            "EVERTURN_AUTH": "on",
            "EVERTURN_RATE_LIMIT": "100000/minute",
            "EVERTURN_CONFIG": str(folder / "own.json"),
            "EVERTURN_BASE_URL": provider.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": "bad,limited,well",
            "EVERTURN_TOOL_PATHS": str(folder / "tools"),
            "EVERTURN_GUARDS": "secrets",
            "EVERTURN_RESPONSE_CACHE": "1",
        }
        data = folder / "data"
        monitoring = made(data, "prometheus", "--scope", "metrics")
        user, limited = made(data, "ada"), made(data, "bob", "--rate-limit", "1/hour")
        with process(data, **environment) as running:
            url = running.url()
            with Client(url) as client, Client(url) as other:
                client.headers["Authorization"] = f"Bearer {user}"
                other.headers["Authorization"] = f"Bearer {limited}"
                yield Busy(url, monitoring, client, other)


def _well(request: Request) -> Reply:
    """Call tools, where there are some, and answer."""
    last = request.messages[-1]["role"]
    if last == "user" and "look_up" in request.tools:
        return Reply(tool_calls=CALLS)
    return Reply(f"It is 42. {uuid4()}", cost=0.01)
