"""`.env` and the environment as people write them: read, or refused in one line."""

import os
from pathlib import Path

import pytest

from everturn.server.environment import WrongSetting, read_env_file
from tests.server.cli.test_configuration import config, shown
from tests.service import process

KEY = "sk-hunter2"


@pytest.mark.parametrize(
    "content",
    [
        f"OPENAI_API_KEY={KEY}".encode(),
        f'export OPENAI_API_KEY="{KEY}"  \r\n'.encode(),
        f"# é\nOPENAI_API_KEY='{KEY}'\r\n".encode(),
        f"OPENAI_API_KEY = {KEY} # mine\t\r".encode(),
        f"OPENAI_API_KEY={KEY}\r\n".encode("utf-8-sig"),
        f"OPENAI_API_KEY={KEY}\r\n".encode("utf-16"),
        b"\xfe\xff" + f"OPENAI_API_KEY={KEY}\r\n".encode("utf-16-be"),
        f"OTHER\nOPENAI_API_KEY={KEY}\n".encode(),  # Docker's way to hand a variable on
    ],
)
def test_a_file_is_read_as_it_is_written(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert read_env_file(tmp_path / ".env") == {"OPENAI_API_KEY": KEY}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"A=1\n# caf\xe9\nOPENAI_API_KEY={KEY}\n".encode("latin-1"), "line 2 is not UTF-8"),
        (f"OPENAI_API_KEY={KEY}\n".encode("utf-16-le"), "save it as UTF-8"),
        (f"OPENAI_API_KEY={KEY}\n".encode("utf-32"), "UTF-8"),
        (f'A=1\n\nOPENAI_API_KEY="{KEY}\n'.encode(), "line 3 is no setting: write NAME=value"),
        (f"OPENAI_API_KEY: {KEY}\n".encode(), "line 1 is no setting"),
        (f"OPENAI_API_KEY:{KEY}\n".encode(), "line 1 is no setting"),
        (f"\r\n\r\n{KEY}\r\n".encode(), "line 3 is no setting"),
    ],
)
def test_what_cannot_be_read_is_told_without_its_keys(
    tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(WrongSetting) as refused:
        read_env_file(tmp_path / ".env")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert KEY not in str(refused.value)


def test_no_file_is_no_setting_but_a_broken_link_is_told(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}
    (tmp_path / ".env").symlink_to(tmp_path / "gone")
    with pytest.raises(WrongSetting, match="a link to a file that is not there"):
        read_env_file(tmp_path / ".env")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every file")
def test_a_file_of_another_user(tmp_path: Path) -> None:
    (tmp_path / ".env").touch(mode=0o000)
    with pytest.raises(WrongSetting, match=r"cannot be read .*: let this user read it"):
        read_env_file(tmp_path / ".env")


def test_a_folder_in_its_place_is_told_in_one_line_by_every_command(data_dir: Path) -> None:
    (data_dir.parent / ".env").mkdir()
    ran = config(data_dir.parent)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert ran.stderr.startswith("everturn: .env: is a folder")
    with process(data_dir) as refused:
        assert refused.ended() == 1
    assert "".join(refused.log) == ran.stderr


def test_quotes_that_docker_hands_on_are_no_part_of_a_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "OPENAI_BASE_URL='\"http://127.0.0.1:1/v1\"'\nEVERTURN_HOST=::1\nhttps_proxy=http://p:1\n"
    )
    ran = config(
        tmp_path,
        EVERTURN_MODELS='\'["a", "b,c"]\'',
        EVERTURN_PORT='"3000"\r',
        EVERTURN_HOST='""',
        EVERTURN_APPROVE_TOOLS='["send_mail"]',
    )
    rows = shown(ran)
    assert rows["EVERTURN_MODELS"] == ["a,b,c", "environment"]
    assert rows["EVERTURN_PORT"] == ["3000", "environment"]
    assert rows["EVERTURN_HOST"] == ["::1", ".env"]
    assert rows["OPENAI_BASE_URL"] == ["http://127.0.0.1:1/v1", ".env"]
    assert rows["EVERTURN_APPROVE_TOOLS"] == ["send_mail", "environment"]


def test_a_list_that_is_none(tmp_path: Path) -> None:
    for text in ('["a"', '["a", 1]'):
        ran = config(tmp_path, OPENROUTER_API_KEY=KEY, EVERTURN_MODELS=text)
        assert ran.returncode == 1
        assert ran.stderr.startswith("everturn: EVERTURN_MODELS: is no list")
