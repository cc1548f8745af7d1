"""`everturn config`, wrong settings, and what neither they nor the log may tell."""

import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from everturn.server.__main__ import main
from everturn.server.address import running_url
from everturn.server.cli.config import load, table
from everturn.server.settings import FIELDS, ROOMS
from tests.provider import FakeProvider
from tests.service import ROOT, Client, process
from tests.waiting import PATIENCE

SECRET = "hunter2"


def config(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `everturn config` as in a process of its own, whose start would take most of the time."""
    out, errors = StringIO(), StringIO()
    with (
        patch.dict(os.environ, environment),  # which `.env` joins, and which is restored
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        code = main(["config", *arguments])
    return subprocess.CompletedProcess([], code, out.getvalue(), errors.getvalue())


def shown(ran: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Value and source by name."""
    assert ran.returncode == 0, ran.stderr
    rows = [line.replace(" (EVERTURN_", "(EVERTURN_").split() for line in ran.stdout.splitlines()]
    sources = {"command": "command line"}
    return {name: [value, sources.get(source, source)] for name, value, source, *_ in rows}


def test_every_value_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "EVERTURN_WINDOW=7\nEVERTURN_SESSION_TTL=60\nevertturn=x\neverturn_turn_timeout=9\n"
        "EVERTURN_BASE_URL=http://file/v1\nEVERTURN_THREAD_WAIT=\nEVERTURN_HOST=::1\n"
    )
    rows = shown(
        config(
            tmp_path,
            "--port=9",
            EVERTURN_PORT="8",
            EVERTURN_SESSION_TTL="61",
            EVERTURN_HOST="",
            EVERTURN_MODELS="a, b",
            OPENAI_BASE_URL="http://environment/v1",
            LOG_LEVEL="debug",
        )
    )
    assert rows["--port(EVERTURN_PORT)"] == ["9", "command line"]
    assert rows["EVERTURN_SESSION_TTL"] == ["61", "environment"]
    assert rows["OPENAI_BASE_URL"] == ["http://environment/v1", "environment"]
    assert rows["EVERTURN_MODELS"] == ["a,b", "environment"]
    assert rows["LOG_LEVEL"] == ["DEBUG", "environment"]
    assert rows["EVERTURN_WINDOW"] == ["7", ".env"]
    assert rows["EVERTURN_TURN_TIMEOUT"] == ["9.0", ".env"]
    assert rows["EVERTURN_HOST"] == ["::1", ".env"]
    assert rows["EVERTURN_THREAD_WAIT"] == ["60.0", "default"]
    assert rows["EVERTURN_REDIS_URL"] == ["-", "default"]
    assert list(rows) == sorted(rows, key=lambda name: name.lstrip("-"))


def test_secrets_are_masked(tmp_path: Path) -> None:
    ran = config(
        tmp_path,
        OPENAI_API_KEY=SECRET,
        OPENROUTER_API_KEY=SECRET,
        REDIS_URL=f"redis://:{SECRET}@127.0.0.1/0",
        DATABASE_URL=f"postgresql://me:{SECRET}@127.0.0.1/db",
        EVERTURN_WEBHOOK_SECRET=SECRET,
    )
    rows = shown(ran)
    for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "REDIS_URL", "DATABASE_URL"):
        assert rows[name] == ["********", "environment"]
    assert SECRET not in ran.stdout + ran.stderr


def test_a_password_in_the_base_url_is_masked(tmp_path: Path) -> None:
    url = f"http://me:{SECRET}@127.0.0.1:1/v1"
    ran = config(tmp_path, OPENAI_BASE_URL=url, EVERTURN_MODELS="m")
    rows = shown(ran)
    assert rows["OPENAI_BASE_URL"] == ["http://********@127.0.0.1:1/v1", "environment"]
    assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.parametrize("user", [f"me:{SECRET}", SECRET, f":{SECRET}", f"me:p@{SECRET}/{SECRET}"])
def test_a_password_in_the_base_url_is_not_told(tmp_path: Path, user: str) -> None:
    ran = config(tmp_path, OPENAI_BASE_URL=f"http://{user}@127.0.0.1:1/v1")
    assert ran.returncode == 1
    assert "EVERTURN_MODELS is required with the provider http://********@127.0.0.1:1/v1" in (
        ran.stderr
    )
    assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OPENAI_BASE_URL": "nowhere"}, "OPENAI_BASE_URL: Input should be a valid URL"),
        ({"EVERTURN_BASE_URL": "nowhere"}, "EVERTURN_BASE_URL: Input should be a valid URL"),
        ({"EVERTURN_WEBHOOK_SECRET": "whsec_?"}, "EVERTURN_WEBHOOK_SECRET: must be Base64"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: must be DEBUG"),
        ({"EVERTURN_LOG_LEVEL": "loud"}, "EVERTURN_LOG_LEVEL: must be DEBUG"),
        ({"EVERTURN_PORT": "many"}, "EVERTURN_PORT: Input should be a valid integer"),
        ({"EVERTURN_TURN_TIMEOUT": "inf"}, "EVERTURN_TURN_TIMEOUT: Input should be a finite"),
        ({"EVERTURN_STALL_TIMEOUT": "1e400"}, "EVERTURN_STALL_TIMEOUT: Input should be a finite"),
        ({"EVERTURN_HEDGE_AFTER": "0"}, "EVERTURN_HEDGE_AFTER: Input should be greater than 0"),
        ({"OPENROUTER_API_KEY": "sk-a b"}, "OPENROUTER_API_KEY: holds a space"),
        ({"OPENAI_API_KEY": "sk-“a”"}, "OPENAI_API_KEY: holds a space"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_written(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    ran = config(tmp_path, **environment)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"everturn: {said}")
    assert len(ran.stderr.splitlines()) == 1


def test_tools_and_their_servers_are_shown_by_name_without_keys(tmp_path: Path) -> None:
    servers = (
        '{"team": {"url": "http://me:hunter2@host/mcp?key=hunter2"}, "files": {"command": "x"}}'
    )
    specialists = (
        '[{"name": "far", "purpose": "x", "kind": "a2a", "url": "http://host/?key=hunter2",'
        ' "headers": {"Authorization": "hunter2"}}, {"name": "near", "purpose": "y"}]'
    )
    ran = config(
        tmp_path,
        EVERTURN_TOOL_PATHS="/a,/b",
        EVERTURN_MCP_SERVERS=servers,
        EVERTURN_SPECIALISTS=specialists,
    )
    rows = shown(ran)
    assert rows["EVERTURN_TOOL_PATHS"] == ["/a,/b", "environment"]
    assert rows["EVERTURN_MCP_SERVERS"] == ["team,files", "environment"]
    assert rows["EVERTURN_SPECIALISTS"] == ["far,near", "environment"]
    assert SECRET not in ran.stdout


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ('{"x": "hunter2"', "it is not JSON: Expecting ',' delimiter"),
        ('{"x": {"url": "http://h", "headers": {"A": ["hunter2"]}}}', "x.headers.A: Input should"),
        ('["hunter2"]', "Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_with_an_mcp_server_is_told_without_its_keys(
    tmp_path: Path, servers: str, told: str
) -> None:
    ran = config(tmp_path, EVERTURN_MCP_SERVERS=servers)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"everturn: EVERTURN_MCP_SERVERS: {told}")
    assert SECRET not in ran.stderr


def test_a_wrong_option_is_named_as_one(tmp_path: Path) -> None:
    ran = config(tmp_path, "--port=many", EVERTURN_PORT="8")
    assert ran.stderr.startswith(
        "everturn: --port (EVERTURN_PORT): Input should be a valid integer"
    )


def test_the_terminal_client_finds_the_port_as_the_service_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert running_url() == "http://127.0.0.1:2024"
    (tmp_path / ".env").write_text("EVERTURN_PORT=3000\n")
    assert running_url() == "http://127.0.0.1:3000"
    monkeypatch.setenv("EVERTURN_PORT", "")
    assert running_url() == "http://127.0.0.1:3000"
    monkeypatch.setenv("EVERTURN_PORT", "4000")
    assert running_url() == "http://127.0.0.1:4000"


def test_what_people_say_is_in_no_log_at_any_level(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.key = "sk-confidential"
    with (
        process(
            data_dir,
            LOG_LEVEL="DEBUG",
            EVERTURN_BASE_URL=fake_provider.url,
            EVERTURN_MODELS="m",
            OPENAI_API_KEY="sk-confidential",
        ) as running,
        Client(running.url()) as client,
    ):
        client.post("/api/chat/session", json={"context": {"user": "wintermute"}})
        session = client.ask("My name is wintermute.")["session_id"]
        client.events(
            "/api/chat/message/stream", {"message": "Say wintermute.", "session_id": session}
        )
        client.get(f"/api/chat/history/{session}")
        running.stop()
    log = "".join(running.log)
    assert "api_request" in log
    assert "wintermute" not in log
    assert "sk-confidential" not in log


SEARCH = """
import asyncio
from ddgs.engines.mojeek import Mojeek
from everturn.server.observe.logs import configure_logs
from everturn.tools.providers.search.ddgs import Ddgs
from everturn.tools.kit.web import Web, WebError
from everturn.tools.kit.web.settings import WebSettings

Mojeek.search_url = "http://127.0.0.1:9/search"
configure_logs("DEBUG")
try:
    asyncio.run(Ddgs(Web(WebSettings()), "mojeek").find("wintermute", 3))
except WebError as error:
    print(error)
"""


def test_what_is_searched_for_is_in_no_log_either(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SEARCH],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.stdout == "DDGS brought no results\n"
    assert "request_failed" in ran.stderr
    assert "wintermute" not in ran.stderr


def test_what_is_wrong_in_several_rooms_is_said_at_once(tmp_path: Path) -> None:
    wrong = {"EVERTURN_PORT": "many", "EVERTURN_TOOL_TIMEOUT": "0", "EVERTURN_STALL_TIMEOUT": "x"}
    ran = config(tmp_path, **wrong)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert all(f"{name}: Input should" in ran.stderr for name in wrong)


def test_what_was_read_and_what_is_no_setting_is_said_beside_the_table(tmp_path: Path) -> None:
    ran = config(tmp_path, EVERTURN_PROT="1", EVERTURN_XYZZY="1")
    assert ran.stderr.splitlines() == [
        f"Read: the environment; there is no {tmp_path / '.env'}.",
        "EVERTURN_PROT is no setting: EVERTURN_PORT is.",
        "EVERTURN_XYZZY is no setting.",
    ]
    (tmp_path / ".env").write_text("everturn_widnow=3\nOTHER=1\n")
    assert config(tmp_path).stderr.splitlines() == [
        f"Read: the environment and {tmp_path / '.env'}.",
        "EVERTURN_WIDNOW is no setting: EVERTURN_WINDOW is.",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_table_fits_a_terminal_and_is_whole_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load({})
    whole, fitting = table(loaded, None), table(loaded, width)
    assert max(map(len, fitting)) <= width < max(map(len, whole))
    assert any(line.startswith("EVERTURN_PORT ") for line in fitting)
    assert any(FIELDS["cors_origins"].default in line for line in whole)


def test_no_two_rooms_have_a_setting_of_one_name() -> None:
    assert len(FIELDS) == sum(len(room.model_fields) for room in ROOMS.values())
