"""What the image and its compose file say, without a builder: it agrees with the code."""

import json
import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from everturn.server.address import DEFAULT_PORT
from everturn.server.cli.config import load_settings
from tests.service import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def instructions(name: str) -> list[str]:
    """What follows an instruction of the Dockerfile, without continued lines."""
    lines = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return re.findall(rf"^{name} +(.+)$", lines, re.MULTILINE)


def environment() -> dict[str, str]:
    (line,) = instructions("ENV")
    return dict(each.split("=", 1) for each in shlex.split(line))


def is_sent(path: str) -> bool:
    """Whether a file goes to the builder: the last line of .dockerignore that fits it decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fits(line.removeprefix("!"), path):
            sent = line.startswith("!")
    return sent


def fits(pattern: str, path: str) -> bool:
    """Whether a pattern names a file or a folder that it is in."""
    parts = Path(path).parts
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern.removeprefix("**/")) for part in parts)
    return any(fnmatch("/".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def test_what_is_copied_is_there_and_sent_to_the_builder() -> None:
    copied = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    for *sources, _ in copied:
        for source in sources:
            assert (ROOT / source).exists(), source
            assert is_sent(source), source


@pytest.mark.parametrize(
    "path",
    [".git/config", ".env", "deploy/.env", "server/.env", "graph/.env.local", ".everturn/log",
     ".venv/bin/python", "tests/conftest.py", "server/web/node_modules/a.js",
     "tools/__pycache__/a.pyc"],
)  # fmt: skip
def test_nothing_secret_or_useless_is_sent_to_the_builder(path: str) -> None:
    assert not is_sent(path)


def test_the_whole_wheel_is_sent_to_the_builder() -> None:
    rooms = ("everturn", "checkpoints", "graph", "server", "tools")
    kept = subprocess.run(
        ["git", "ls-files", *rooms], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    missing = [file for file in kept if not (is_sent(file) or file.startswith("server/web/"))]
    assert missing == []


def test_the_image_is_nobody_s_who_may_write_but_into_its_volume() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert environment()["EVERTURN_DATA_DIR"] == environment()["TMPDIR"] == "/data"
    assert instructions("VOLUME") == ["/data"]


def test_ports_and_settings_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert instructions("EXPOSE") == [str(DEFAULT_PORT)] == [environment()["EVERTURN_PORT"]]
    for name, value in environment().items():
        if name.startswith("EVERTURN_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("EVERTURN_CONFIG", "")
    settings = load_settings({})
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", DEFAULT_PORT)
    assert settings.access.auth == "auto"  # it asks for keys beyond loopback


def test_the_image_starts_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    from everturn.server.__main__ import main

    assert instructions("ENTRYPOINT") == ['["everturn"]']
    (health,) = instructions("HEALTHCHECK")
    (started,) = instructions("CMD")
    asked = json.loads(health.partition("CMD ")[2])[1:]
    for command in (asked, json.loads(started)):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    capsys.readouterr()


def test_the_python_of_the_image_is_one_that_is_tested() -> None:
    (python,) = {line.partition("=")[2] for line in instructions("ARG") if "PYTHON=" in line}
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert python in workflow["jobs"]["ci"]["strategy"]["matrix"]["python"]


def locked(path: str) -> set[tuple[str, str]]:
    lines = (ROOT / path).read_text()
    return set(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", lines, re.MULTILINE))


def test_packages_of_the_image_are_locked_in_the_versions_that_are_tested() -> None:
    image, tested = locked("deploy/requirements.lock"), locked("requirements-dev.lock")
    assert image <= tested
    assert image & locked("requirements.lock")
    lock = (DEPLOY / "requirements.lock").read_text()
    assert len(image) == len(re.findall(r"^\S+==.*\\\n +--hash=sha256:", lock, re.MULTILINE))
    assert "://" not in lock
    names = {name for name, _ in image}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for extra in ("encryption", "mcp", "oauth", "otel", "postgres"):
        for needed in project["project"]["optional-dependencies"][extra]:
            assert re.split(r"[\[><= ]", needed.lower())[0] in names, needed


def test_no_registry_is_named() -> None:
    for file in (ROOT / "Dockerfile", *DEPLOY.iterdir()):
        if file.is_file() and file.suffix != ".lock":
            text = file.read_text()
            assert not re.search(r"docker\.io|ghcr|quay|pypi|npmjs", text), file.name


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_restarts_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert "healthcheck" in service or service["image"] == "everturn"  # the image has one
    assert "stop_grace_period" in service


def test_stores_are_well_when_they_take_connections_and_are_not_root() -> None:
    asked = SERVICES["postgres"]["healthcheck"]["test"]
    assert asked[:4] == ["CMD", "pg_isready", "--host", "127.0.0.1"]  # its first start has a socket
    assert SERVICES["valkey"]["command"][0] == "valkey-server"  # else the entry point stays root


def test_passwords_are_nowhere_written() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name or "://" in str(value):
                assert re.search(r"\$\{\w+_PASSWORD:\?", str(value)), name
    for line in (DEPLOY / "example.env").read_text().splitlines():
        assert re.fullmatch(r"(#.*|\w+=|)", line), line
    ignored = subprocess.run(["git", "check-ignore", "-q", "deploy/.env"], cwd=ROOT, check=False)
    assert ignored.returncode == 0


def test_the_service_waits_for_its_stores_and_they_for_nobody_outside() -> None:
    service = SERVICES["everturn"]
    stores = SERVICES.keys() - {"everturn"}
    assert service["depends_on"] == {name: {"condition": "service_healthy"} for name in stores}
    assert COMPOSE["networks"]["stores"]["internal"] is True
    for name in stores:
        assert "ports" not in SERVICES[name]
        assert SERVICES[name]["networks"] == ["stores"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    (port,) = service["ports"]
    assert port.startswith("${PUBLISHED:-127.0.0.1:")
    assert port.endswith(f":{DEFAULT_PORT}")
    assert service["environment"]["EVERTURN_AUTH"] == "${EVERTURN_AUTH:-on}"


def test_the_service_is_given_the_time_to_let_turns_end() -> None:
    service = SERVICES["everturn"]
    given = float(service["stop_grace_period"].removesuffix("s"))
    grace = float(service["environment"]["EVERTURN_SHUTDOWN_GRACE"])
    closing = 5 + 1 + 5  # connections, last events, the embedded Valkey
    assert given >= grace + closing


def test_settings_of_the_compose_file_are_settings() -> None:
    known = (ROOT / "docs/settings.md").read_text()
    for name in SERVICES["everturn"]["environment"]:
        assert f"`{name}`" in known, name
