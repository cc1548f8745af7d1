"""Metrics at a port of their own: once, whoever serves; the service's port has none then."""

import json
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service import Client, Process, process
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock


def turns(url: str) -> float:
    families = text_string_to_metric_families(httpx.get(url).text)
    samples = (each for family in families for each in family.samples)
    return sum(each.value for each in samples if each.name == "chat_requests_total")


def place(running: Process) -> str:
    return str(json.loads(running.says('"metrics_ready"'))["url"])


def test_one_process(data_dir: Path) -> None:
    with (
        process(data_dir, EVERTURN_METRICS_PORT="0") as running,
        Client(running.url()) as client,
    ):
        url = place(running)
        assert url.startswith("http://127.0.0.1:")
        assert turns(url) == 0
        client.ask("Hello")
        assert turns(url) == 1
        assert client.get("/metrics").status_code == 404
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]
        taken = url.rpartition(":")[2].partition("/")[0]
        with process(data_dir.parent / "other", EVERTURN_METRICS_PORT=taken) as refused:
            assert refused.ended() == 1
        assert "EVERTURN_METRICS_PORT" in refused.log[-1]
        assert running.stop() == 0


def test_several_workers_are_one(data_dir: Path) -> None:
    with process(data_dir, "--workers", "2", EVERTURN_METRICS_PORT="0") as running:
        service = running.url()
        url = place(running)
        assert sum('"metrics_ready"' in line for line in running.log) == 1
        for _ in range(6):
            with Client(service) as client:  # a connection each, so that both workers are asked
                client.ask("Hello")
                assert client.get("/metrics").status_code == 404
        assert turns(url) == 6

        def figure(name: str) -> float:
            lines = httpx.get(url).text.splitlines()
            return sum(float(line.split()[1]) for line in lines if line.startswith(name))

        eventually_sync(lambda: figure("everturn_open_files ") > 0)  # nobody asked the workers
        eventually_sync(lambda: figure("everturn_processes{") == 2)
        assert running.stop() == 0
