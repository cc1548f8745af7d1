"""`everturn ready` of health checks: it finds the service, and its exit code says how it is."""

import socket
from pathlib import Path

import pytest

from everturn.server.__main__ import main
from tests.provider.server import FakeProvider
from tests.service import process


def test_it_finds_the_service_of_the_data_folder(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with process(data_dir) as running:
        running.url()
        assert main(["ready", "--data-dir", str(data_dir)]) == 0
    assert capsys.readouterr().out == "ready\n"


def test_who_is_not_there_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert main(["ready", "--url", url]) == 1
    assert f"not ready: {url}/ready does not answer" in capsys.readouterr().err


def test_an_answer_that_says_no_is_shown(
    fake_provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ready", "--url", f"{fake_provider.url}/below"]) == 1
    assert "/ready answers 404" in capsys.readouterr().err


def test_a_url_without_a_scheme_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ready", "--url", "127.0.0.1:2024"]) == 1
    assert "is no URL" in capsys.readouterr().err
