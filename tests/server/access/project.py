"""The test project with `auth`, served, and clients of its users."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import ROOT, serving
from tests.waiting import PATIENCE

PROJECT = ROOT / "tests" / "projects" / "auth" / "langgraph.json"


def headers(user: str) -> dict[str, str]:
    """Return what a user sends along."""
    return {"Authorization": f"Bearer {user}"}


@contextmanager
def user_of(url: str, user: str | None) -> Iterator[httpx.Client]:
    """A client of one user; of nobody for None."""
    sent = headers(user) if user else {}
    with httpx.Client(base_url=url, headers=sent, timeout=PATIENCE) as client:
        yield client


@contextmanager
def served(data_dir: Path, config: Path = PROJECT, **settings: Any) -> Iterator[str]:
    """Serve a project in this process; yields its address."""
    with serving(data_dir, config=config, **settings) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the project."""
    return tmp_path_factory.mktemp("auth") / "data"


@pytest.fixture(scope="module")
def url(data: Path) -> Iterator[str]:
    """The address of the project, served once for the tests of a file."""
    with served(data) as address:
        yield address


@pytest.fixture(scope="module")
def alice(url: str) -> Iterator[httpx.Client]:
    with user_of(url, "alice") as client:
        yield client


@pytest.fixture(scope="module")
def bob(url: str) -> Iterator[httpx.Client]:
    with user_of(url, "bob") as client:
        yield client
