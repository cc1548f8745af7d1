"""LangSmith by its own variables: what goes there, and that nothing waits for it."""

import socket
from pathlib import Path

import pytest

from tests.server.observe.langsmith_stand_in import LangSmith
from tests.service import Client, process

pytestmark = pytest.mark.clock


def test_runs_go_there_without_secrets(data_dir: Path) -> None:
    chosen = {"my_api_key": "hushed-1", "accessToken": "hushed-2", "colour": "blue"}
    body = {
        "assistant_id": "agent",
        "input": {"messages": "What is 6 * 7?"},
        "config": {"configurable": chosen},
    }
    with (
        LangSmith() as langsmith,
        process(data_dir, **langsmith.environment) as running,
        Client(running.url()) as client,
    ):
        assert client.post("/runs/wait", json=body).status_code == 200
        assert running.stop() == 0
        runs = {run["name"]: run for run in langsmith.runs}
        said = b"".join(langsmith.bodies)
    assert {"agent", "model", "tools", "calculator"} <= runs.keys()
    assert runs["agent"]["extra"]["metadata"]["colour"] == "blue"
    assert b"hushed" not in said
    assert b"__everturn" not in said


def test_one_that_does_not_answer_holds_nothing_up(data_dir: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        environment = {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_API_KEY": "lsv2_stand_in",
            "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        with process(data_dir, **environment) as running, Client(running.url()) as client:
            assert "2" in client.ask("What is 1 + 1?")["response"]
            assert running.stop() == 0  # would take more than a minute
            running.says("langsmith_runs_lost")
