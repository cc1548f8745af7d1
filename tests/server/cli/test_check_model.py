"""`everturn check-model`: what it prints, its exit code, and what it does not tell."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from everturn.server.__main__ import main
from tests import forks
from tests.provider import KEY, FakeProvider, Fault


@pytest.fixture
def provider(
    fake_provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeProvider:
    """The provider that the environment names, with its model-a."""
    fake_provider.script("model-a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERTURN_BASE_URL", fake_provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("EVERTURN_MODELS", "model-a")
    return fake_provider


class Command:
    """Runs the command in this process, and keeps what it prints."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> tuple[int, list[str]]:
        code = main(["check-model", *arguments])
        printed = self._captured.readouterr()
        assert printed.err == ""
        return code, printed.out.splitlines()

    def json(self, *arguments: str) -> Any:
        return json.loads("\n".join(self("--json", *arguments)[1]))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_a_model_that_answers(provider: FakeProvider, run: Command) -> None:
    code, lines = run()
    assert code == 0
    assert lines[:2] == [f"{provider.url} lists 1 model.", ""]
    assert lines[2].split() == ["model", "text", "stream", "tool", "call", "usage"]
    row = lines[3].split()
    assert row[0] == "model-a"
    assert row.count("(first") == 3
    assert row[-1] == "tokens"
    assert lines[4:] == []


def test_what_is_wrong_is_said_once(
    provider: FakeProvider, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    code, lines = run("model-a", "model-b", "model-a")
    assert code == 1
    assert [line.split()[:2] for line in lines[3:5]] == [
        ["model-a", "failed"],
        ["model-b", "failed"],
    ]
    assert [line.partition(": ")[0] for line in lines[6:]] == ["OPENAI_API_KEY (environment)"]


def test_one_wrong_name_among_several(provider: FakeProvider, run: Command) -> None:
    provider.script("model-c", Fault("unknown_model"))
    code, lines = run("model-a", "model-c")
    assert code == 1
    assert lines[4].split()[:2] == ["model-c", "failed"]
    assert len(lines[6:]) == 1


def test_what_a_model_that_answers_cannot_do(provider: FakeProvider, run: Command) -> None:
    provider.script("no-tools", "OK", "one two", Fault("no_tools"))
    provider.script("no-calls", "one two")
    provider.script("*", "one two")
    code, lines = run("no-tools", "no-calls", "unlisted")
    assert code == 0
    notes = [line for line in lines[7:] if "tool" in line or "list" in line]
    assert notes[0].startswith("no-tools: it takes no tools (")
    assert notes[1].startswith("no-calls: it made no tool call when asked to")
    assert notes[-1] == "unlisted: the provider does not list this name, and answered all the same."


def test_json(provider: FakeProvider, run: Command) -> None:
    provider.script("model-b", Fault(500))
    report = run.json("model-a", "model-b")
    assert report["ok"] is False
    assert report["provider"] == provider.url
    good, bad = report["models"]
    assert good["answers"] is True
    assert good["tool_call"]["called"] is True
    assert good["usage"]["input_tokens"] > 0
    assert 0 < good["stream"]["first_token"] <= good["stream"]["seconds"]
    assert bad["answers"] is False
    assert bad["text"]["failure"] == "unavailable"
    assert bad["problem"].startswith("model-b: HTTP 500")
    assert bad["usage"] is None


def test_without_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Command) -> None:
    monkeypatch.chdir(tmp_path)
    code, [line] = run()
    assert code == 0
    assert "the offline model answers" in line
    for setting in ("OPENROUTER_API_KEY", "OPENAI_API_KEY", "EVERTURN_BASE_URL", "EVERTURN_MODELS"):
        assert setting in line
    assert run("model-a")[0] == 1
    assert run.json() == {"ok": True, "provider": None, "message": line, "models": []}
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    code, [line] = run()
    assert code == 1
    assert "name the models to ask in EVERTURN_MODELS" in line


def process(
    folder: Path, *, forked: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return forks.run(["check-model"], folder, environment, forked=forked)


def test_settings_are_named_by_where_they_come_from(
    fake_provider: FakeProvider, tmp_path: Path
) -> None:
    fake_provider.script("model-a")
    root = fake_provider.url.removesuffix("/v1")
    (tmp_path / ".env").write_text(
        f"OPENAI_BASE_URL={root}\nOPENAI_API_KEY={KEY}\nEVERTURN_MODELS=model-a\n"
    )
    wrong = process(tmp_path)
    assert wrong.returncode == 1
    assert wrong.stdout.splitlines()[-1].startswith("OPENAI_BASE_URL (.env): ")
    assert f"They do at {root}/v1" in wrong.stdout
    right = process(tmp_path, forked=False, OPENAI_BASE_URL=f"{root}/v1")
    assert (right.returncode, right.stderr) == (0, "")


def test_a_host_that_does_not_exist_and_a_password_that_is_not_told(tmp_path: Path) -> None:
    ran = process(
        tmp_path,
        EVERTURN_BASE_URL="http://me:hunter2@nowhere.invalid/v1",
        EVERTURN_MODELS="model-a",
    )
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1].startswith(
        "EVERTURN_BASE_URL (environment): http://********@nowhere.invalid/v1 cannot be reached: "
        "there is no host of the provider's name"
    )
    assert "hunter" not in ran.stdout + ran.stderr


def test_a_setting_that_cannot_be_read(tmp_path: Path) -> None:
    ran = process(tmp_path, EVERTURN_BASE_URL="nowhere", EVERTURN_MODELS="model-a")
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("everturn: EVERTURN_BASE_URL: ")
    assert len(ran.stderr.splitlines()) == 1
