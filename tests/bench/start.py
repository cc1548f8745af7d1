"""What starting costs: `everturn serve` until it answers, beside importing the same packages.

    python tests/bench/start.py [--starts 7]

Prints seconds (the median) and the resident memory of the idle service, without the Valkey's,
beside that of a process that has only done the imports.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from tests.service import ROOT, process

IMPORTS = """
import langchain_core.language_models, langchain_core.messages, langchain_core.tools
import langgraph.graph, langgraph.prebuilt, fastapi, uvicorn, uvloop, httptools, redis.asyncio
import sqlalchemy.ext.asyncio, sse_starlette, structlog, prometheus_client
import pydantic_settings, orjson
import os, psutil
print(psutil.Process().memory_info().rss, flush=True)
"""
MEGABYTE = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=7)
    starts = parser.parse_args().starts
    importing, serving, first = [], [], []
    for _ in range(starts):
        importing.append(_import_only())
        with tempfile.TemporaryDirectory() as folder:
            first.append(_serve(Path(folder) / "data"))
            serving.append(_serve(Path(folder) / "data"))
    print(f"{'':34}{'seconds':>9}{'MiB':>8}")
    for name, runs in (
        ("imports alone", importing),
        ("ready, with data", serving),
        ("ready, new data folder", first),
    ):
        seconds = statistics.median(run[0] for run in runs)
        megabytes = statistics.median(run[1] for run in runs) / MEGABYTE
        print(f"{name:34}{seconds:9.2f}{megabytes:8.1f}")


def _import_only() -> tuple[float, float]:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return time.perf_counter() - begun, float(done.stdout)


def _serve(data_dir: Path) -> tuple[float, float]:
    begun = time.perf_counter()
    with process(data_dir) as running:
        httpx.get(running.url() + "/ok").raise_for_status()
        seconds = time.perf_counter() - begun
        memory = psutil.Process(running.popen.pid).memory_info().rss
        running.stop()
    return seconds, float(memory)


if __name__ == "__main__":
    os.environ.pop("LOG_LEVEL", None)
    main()
