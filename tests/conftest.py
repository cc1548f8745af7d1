"""What every test stands on: no network models, no settings of the developer's own, real stores."""

import asyncio
import gc
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from httpx._transports import default

from everturn.graph.models import provider
from everturn.server.environment import TRANSPORT
from everturn.server.observe.logs import configure_logs
from everturn.tools.kit.web import connections
from tests.checkpoints.redis.servers import answers, free_ports, redis_binary
from tests.checkpoints.redis.servers import serving as serving_redis
from tests.checkpoints.stores import drop_left_databases
from tests.provider import FakeProvider
from tests.service import Client, serving
from tests.slow import is_slow

provider.ALLOW_NETWORK_MODELS = False
connections.ALLOW_NETWORK = False
configure_logs("WARNING")

# Each client of a test would read the certificate authorities, for 25 ms, and meet none of them.
_AUTHORITIES = httpx.create_ssl_context()


def _trusting(
    verify: ssl.SSLContext | str | bool = True, cert: Any = None, trust_env: bool = True
) -> ssl.SSLContext:
    if verify is True and cert is None and not (trust_env and _CERTIFICATES & os.environ.keys()):
        return _AUTHORITIES
    return httpx.create_ssl_context(verify, cert, trust_env)


_CERTIFICATES = {"SSL_CERT_FILE", "SSL_CERT_DIR"}
setattr(default, "create_ssl_context", _trusting)  # noqa: B010 - imported there, not its own

hypothesis.settings.register_profile(
    "everturn",
    deadline=None,  # no test fails because the machine is slow
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,  # new examples are for those who can look into them
)
# The lowest versions are asked what they know, not what our code does with odd values.
hypothesis.settings.register_profile(
    "few", hypothesis.settings.get_profile("everturn"), max_examples=10
)
hypothesis.settings.load_profile("everturn")

_OURS = (
    "EVERTURN_",
    "OPENAI_",
    "OPENROUTER_",
    "LANGSMITH_",
    "LANGCHAIN_",
    "REDIS_URL",
    "DATABASE_URL",
    *TRANSPORT,
)
for _name in [name for name in os.environ if name.upper().startswith((*_OURS, "LOG_LEVEL"))]:
    del os.environ[_name]
# Who wants to see a service asked lends a `Web` of its own.
os.environ["EVERTURN_TOOLS_OFFLINE"] = "always"


# On the conventional port, or at TEST_REDIS_URL; where none answers, one of our own is started.
_started = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Find a Redis for the tests, in the first process: the others inherit its environment."""
    url = os.environ.setdefault("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
    binary = redis_binary()
    if hasattr(config, "workerinput") or answers(url) or binary is None:
        return
    server = _started.enter_context(serving_redis(binary, port=free_ports(1)[0]))
    os.environ["TEST_REDIS_URL"] = server.url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, which `make test-fast` leaves out."""
    for item in items:
        if isinstance(item, pytest.Function) and is_slow(item):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leave all that is loaded by now alone: what looks for garbage would look at it each time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """End the Redis that was started, and drop the databases that were lent to tests."""
    _started.close()
    asyncio.run(drop_left_databases())


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    """A model provider on loopback that does what a test tells it to.

    TEST_PROFILE=mistral makes it as strict as Mistral: `tests/graph/test_fallback.py` runs on all.
    """
    with FakeProvider(profile=os.environ.get("TEST_PROFILE", "openrouter")) as running:
        yield running
        assert running.keyless == []


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder of the test's own; short, for the sake of its socket."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one service with default settings, shared by tests that do not mind."""
    with serving(tmp_path_factory.mktemp("service") / "data") as running:
        yield running
