"""A service that asks for its own keys, and any number of callers who have one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.server.access.own_keys import bearer, key_in
from tests.service import ROOT, serving
from tests.waiting import PATIENCE

PROJECT = ROOT / "tests" / "projects" / "owners" / "langgraph.json"

REFUSED: dict[str, dict[str, str]] = {
    "nothing": {},
    "empty": {"Authorization": ""},
    "no token": {"Authorization": "Bearer"},
    "unknown": {"Authorization": "Bearer somebody"},
    "a wrong key": {"Authorization": f"Bearer evt_{'0' * 16}_{'0' * 48}"},
    "another scheme": {"Authorization": "Basic YWRhOmFkYQ=="},
    "forged": {"langgraph_auth_user": "user-1", "X-User": "user-1"},
}
"""What lets nobody in, as headers."""


@contextmanager
def served_by_owner(data_dir: Path, config: Path = PROJECT, **settings: Any) -> Iterator[str]:
    """Serve a project to those who have a key; yields its address."""
    with pytest.MonkeyPatch.context() as patched:
        # So that a client knows soon that it waits.
        patched.setattr("everturn.server.api.agent_server.run_answers.SILENT_SECONDS", 0.05)
        with serving(data_dir, config=config, auth="on", **settings) as client:
            yield str(client.base_url)


@dataclass(frozen=True, slots=True)
class Who:
    """A caller."""

    identity: str
    client: httpx.Client
    headers: dict[str, str]
    """What they sign in with."""


class Callers:
    """Makes callers, each of whom has nothing yet."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url = url
        self._data_dir = data_dir
        self._clients = ExitStack()

    def new(self, *, admin: bool = False, identity: str | None = None) -> Who:
        """A new one."""
        identity = identity or f"{'admin' if admin else 'user'}-{uuid4()}"
        sent = bearer(key_in(self._data_dir, identity, ["admin"] if admin else ["runs"]))
        client = httpx.Client(base_url=self.url, headers=sent, timeout=PATIENCE)
        return Who(identity, self._clients.enter_context(client), sent)

    def close(self) -> None:
        """Close their connections."""
        self._clients.close()


@pytest.fixture(scope="module")
def data_of_owners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a service by the rules of owners."""
    return tmp_path_factory.mktemp("owners") / "data"


@pytest.fixture(scope="module")
def by_owner(data_of_owners: Path) -> Iterator[str]:
    """Its address."""
    with served_by_owner(data_of_owners) as url:
        yield url


@pytest.fixture
def callers(by_owner: str, data_of_owners: Path) -> Iterator[Callers]:
    made = Callers(by_owner, data_of_owners)
    yield made
    made.close()
