"""A Prometheus of the machine's own, that scrapes a service as `deploy/observability` says."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.checkpoints.redis.servers import free_ports
from tests.deploy.queries import FOLDER, RULES
from tests.waiting import PATIENCE, eventually_sync


def installed(program: str) -> str:
    """Find a program; skips where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: the package `prometheus` has it")
    return found


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    client: httpx.Client

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """Return what an expression comes to now; an error of it is one of the test."""
        answer = self.client.get("/api/v1/query", params={"query": expr}).json()
        assert answer["status"] == "success", (expr, answer.get("error"))
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


@contextmanager
def scraping(folder: Path, service: str, key: str) -> Iterator[Prometheus]:
    """Start one with the example's configuration, but each second, and of all rules."""
    program, (port,) = installed("prometheus"), free_ports(1)
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(_each_second(folder, file)) for file in RULES]
    (scraped,) = config["scrape_configs"]
    scraped["static_configs"] = [{"targets": [service.removeprefix("http://")]}]
    (folder / "key").write_text(key)
    scraped["authorization"] = {"credentials_file": str(folder / "key")}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [
        program,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as running:
        try:
            eventually_sync(lambda: _is_ready(url) or running.poll() is not None)
            assert running.poll() is None, (folder / "log").read_text()
            with httpx.Client(base_url=url, timeout=PATIENCE) as client:
                yield Prometheus(client)
        finally:
            running.kill()


def _each_second(folder: Path, file: Path) -> Path:
    content = yaml.safe_load(file.read_text())
    for group in content["groups"]:
        group.pop("interval", None)
    copy = folder / file.name
    copy.write_text(yaml.safe_dump(content))
    return copy


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
