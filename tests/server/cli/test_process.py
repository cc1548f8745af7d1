"""The service as a process: killed, restarted, refused, told to stop."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT, Client, process
from tests.waiting import PATIENCE


def test_a_conversation_survives_kill_9(data_dir: Path) -> None:
    with process(data_dir) as first, Client(first.url()) as client:
        session = client.ask("Calculate 10 * 20")["session_id"]
        client.ask("Calculate 3 * 4", session)
        first.kill()
    with process(data_dir) as second, Client(second.url()) as client:
        answer = client.ask("What did I ask you first?", session)
        assert "Calculate 10 * 20" in answer["response"]
        rows = client.get(f"/api/chat/history/{session}").json()
        assert [row["user_message"] for row in rows] == [
            "Calculate 10 * 20",
            "Calculate 3 * 4",
            "What did I ask you first?",
        ]
        assert second.stop() == 0


def test_a_data_folder_has_one_server(data_dir: Path) -> None:
    with process(data_dir) as first:
        first.url()
        with process(data_dir) as second:
            assert second.ended() == 1
            said = "".join(second.log)
    assert str(first.popen.pid) in said


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"EVERTURN_PORT": "many"}, "EVERTURN_PORT"),
        ({"EVERTURN_BASE_URL": "http://127.0.0.1:1/v1"}, "EVERTURN_MODELS is required"),
        ({"EVERTURN_CONFIG": "nowhere.json"}, "nowhere.json"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "127.0.0.1:1"),
        ({"REDIS_URL": "http://127.0.0.1"}, "redis://"),
        ({"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/x"}, "127.0.0.1:1"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
    ],
)
def test_a_wrong_setting_keeps_it_from_starting(
    data_dir: Path, environment: dict[str, str], says: str
) -> None:
    arguments = [] if "EVERTURN_PORT" not in environment else ["--port", "many"]
    with process(data_dir, *arguments, **environment) as refused:
        assert refused.ended() == 1
    said = "".join(refused.log)
    assert refused.log[-1].startswith("everturn: ")
    assert says in refused.log[-1]
    assert "Traceback" not in said
    assert "hunter2" not in said


def test_a_taken_port_is_named(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with process(data_dir, "--port", port) as refused:
            assert refused.ended() == 1
    assert port in "".join(refused.log)
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{nope", "not valid JSON"),
        ("[]", "JSON object"),
        ("{}", "`graphs`"),
        ('{"graphs": {"a": 5}}', "graphs.a"),
        ('{"graphs": {"a": "./gone.py:graph"}}', "gone.py"),
        ('{"graphs": {"a": "./broken.py:graph"}}', "SyntaxError"),
        ('{"graphs": {"a": "./fine.py:graph"}}', "'graph'"),
        ('{"graphs": {"a": "./fine.py:five"}}', "int"),
    ],
)
def test_a_broken_langgraph_json_is_explained(
    data_dir: Path, tmp_path: Path, config: str, says: str
) -> None:
    (tmp_path / "broken.py").write_text("def")
    (tmp_path / "fine.py").write_text("five = 5")
    (tmp_path / "own.json").write_text(config)
    with process(data_dir, EVERTURN_CONFIG="own.json") as refused:
        assert refused.ended() == 1
    said = "".join(refused.log)
    assert said.startswith("everturn: own.json")
    assert says in said


def test_each_turn_is_one_log_line_and_counted(data_dir: Path) -> None:
    with process(data_dir) as running, Client(running.url()) as client:
        session = client.ask("Calculate 10 * 20")["session_id"]
        metrics = client.get("/metrics").text
        running.stop()
    (line,) = [json.loads(line) for line in running.log if '"api_request"' in line]
    assert line["endpoint"] == "/api/chat/message"
    assert line["session_id"] == session
    assert line["model_used"] == "offline"
    assert line["tokens_used"] == 0  # the offline model has none
    assert line["response_time"] > 0
    counted = (
        'chat_requests_total{endpoint="/api/chat/message",model="offline",status="success"} 1.0'
    )
    assert counted in metrics
    assert "chat_response_duration_seconds_bucket" in metrics


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_service_on_loopback_asks_nobody_for_a_key(data_dir: Path, host: str) -> None:
    with process(data_dir, "--host", host) as running, Client(running.url()) as client:
        assert client.post("/threads", json={}).status_code == 200
        assert running.stop() == 0
    assert not any('"open_to_the_network"' in line for line in running.log)


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "everturn.server", "config"]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
        )
    finally:
        os.close(writer)
    assert ended.returncode == 141
    assert b"BrokenPipe" not in ended.stderr
