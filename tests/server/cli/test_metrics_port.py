"""Metrics at a port of their own: once, whoever serves; the service's port has none then."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from everturn.server.cli import metrics_port
from everturn.server.cli.metrics_port import Probe, metrics_served
from everturn.server.errors import ShuttingDown
from everturn.server.settings import Settings
from tests.checkpoints.redis.servers import free_ports
from tests.service import Client, Process, Worker, killed, process
from tests.waiting import PATIENCE, eventually_sync

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
        beside = url.removesuffix("/metrics")
        assert httpx.get(f"{beside}/ok").json() == {"ok": True}
        assert httpx.get(f"{beside}/ready").json() == {"ready": True}
        assert client.get("/metrics").status_code == 404
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]
        taken = url.rpartition(":")[2].partition("/")[0]
        with process(data_dir.parent / "other", EVERTURN_METRICS_PORT=taken) as refused:
            assert refused.ended() == 1
        assert "EVERTURN_METRICS_PORT" in refused.log[-1]
        assert running.stop() == 0


class Unforked(Process):
    """Started with nothing loaded, as its workers are then."""

    forked = False


def test_several_workers_are_one(data_dir: Path) -> None:
    with killed(Unforked(data_dir, "--workers", "2", EVERTURN_METRICS_PORT="0")) as running:
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


def test_a_worker_answers_probes_there(data_dir: Path) -> None:
    with process(data_dir, "--workers", "2") as serving:
        serving.url()
        with killed(Worker(data_dir, EVERTURN_METRICS_PORT="0")) as worker:
            url = place(worker).removesuffix("/metrics")
            assert httpx.get(f"{url}/ok").json() == {"ok": True}
            assert httpx.get(f"{url}/ready").json() == {"ready": True}
            assert "everturn_runs_running 0.0" in httpx.get(f"{url}/metrics").text
            assert worker.stop() == 0


async def test_a_process_that_leaves_or_stands_still_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def leaves() -> dict[str, bool]:
        raise ShuttingDown("It is being stopped.")

    async def hangs() -> dict[str, bool]:
        await asyncio.sleep(3600)
        return {}

    (port,) = free_ports(1)
    settings = Settings.read({"data_dir": tmp_path, "metrics_port": port})
    probes: dict[str, Probe] = {"/ready": leaves, "/ok": hangs}
    with metrics_served(settings, CollectorRegistry(), probes):
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE
        ) as client:
            left = await client.get("/ready")
            monkeypatch.setattr(metrics_port, "_PROBE_SECONDS", 0.1)
            hung = await client.get("/ok")
            assert (await client.get("/metrics")).status_code == 200
    assert (left.status_code, left.json()) == (503, {"detail": "It is being stopped."})
    assert (hung.status_code, "event loop" in hung.text) == (503, True)
