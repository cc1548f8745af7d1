"""A real language model behind a proxy that demands a key; skipped where there is none.

.ci/real-model && TEST_REAL_MODEL_PYTHON=.venv-real/bin/python python -m pytest tests/real
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints.redis.servers import free_ports
from tests.real.key_proxy import KeyProxy, serving_proxy
from tests.service import ROOT, Client, serving

KEY = "sk-real-model-0123456789"
MODEL = "smollm2"


class ModelServer:
    """llama.cpp's server as a process, on one port however often it is started."""

    def __init__(self, python: Path) -> None:
        self._python, self._port = python, free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and return once the model is loaded."""
        script = Path(__file__).with_name("model_server.py")
        self._process = subprocess.Popen(
            [self._python, script, str(self._port)],
            stdin=subprocess.PIPE,  # it ends with this one, however this one ends
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        assert self._process.stdout.readline().strip() == self.url

    def kill(self) -> None:
        """Take it away without a word."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    named = os.environ.get("TEST_REAL_MODEL_PYTHON")
    if not named:
        pytest.skip("a real model is asked only with TEST_REAL_MODEL_PYTHON: see .ci/real-model")
    server = ModelServer(ROOT / named)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def proxy(model_server: ModelServer) -> Iterator[tuple[KeyProxy, str]]:
    """The proxy and its address."""
    made = KeyProxy(model_server.url, KEY)
    with serving_proxy(made) as url:
        yield made, url


@pytest.fixture
def service(proxy: tuple[KeyProxy, str], data_dir: Path) -> Iterator[Client]:
    """A service with the real model as its only one."""
    settings = {"base_url": proxy[1], "openai_api_key": KEY, "models": MODEL}
    with serving(data_dir, **settings) as client:
        yield client
