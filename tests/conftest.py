"""What every test stands on: no network models, no settings of the developer's own, real stores."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from graph.models import provider
from server.logs import configure_logs
from tests.provider import FakeProvider
from tests.service import Client, serving

provider.ALLOW_NETWORK_MODELS = False
configure_logs("WARNING")

hypothesis.settings.register_profile("everturn", deadline=None)  # no test fails on a time
hypothesis.settings.load_profile("everturn")

_OURS = (
    "EVERTURN_",
    "OPENAI_",
    "OPENROUTER_",
    "LANGSMITH_",
    "LANGCHAIN_",
    "REDIS_URL",
    "DATABASE_URL",
)
for _name in [name for name in os.environ if name.startswith((*_OURS, "LOG_LEVEL"))]:
    del os.environ[_name]


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    """A model provider on loopback that does what a test tells it to."""
    with FakeProvider() as running:
        yield running


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder of the test's own; short, for the sake of its socket."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one service with default settings, shared by tests that do not mind."""
    with serving(tmp_path_factory.mktemp("service") / "data") as running:
        yield running
