"""A service with callers of its own, by the rules of owners; any number of them.

Only `callers` knows how somebody signs in: with keys of the service, `new` would make one.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.auth.exceptions import HTTPException

from everturn.server.access.owners import owner_rules
from everturn.server.projects.auth import ProjectAuth
from tests.server.access.project import user_of
from tests.service import ROOT, serving

PROJECT = ROOT / "tests" / "projects" / "owners" / "langgraph.json"

REFUSED: dict[str, dict[str, str]] = {
    "nothing": {},
    "empty": {"Authorization": ""},
    "no token": {"Authorization": "Bearer"},
    "unknown": {"Authorization": "Bearer somebody"},
    "another scheme": {"Authorization": "Basic YWRhOmFkYQ=="},
    "forged": {"langgraph_auth_user": "user-1", "X-User": "user-1"},
}
"""What lets nobody in, as headers."""


async def _authenticate(authorization: str | None) -> dict[str, Any]:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme != "Bearer" or not token.startswith(("user-", "admin-")):
        raise HTTPException(status_code=401, detail="Say who you are.")
    return {"identity": token, "permissions": ["admin"] if token.startswith("admin-") else ["runs"]}


AUTH = ProjectAuth(
    authenticate=_authenticate,
    takes=frozenset({"authorization"}),
    handlers=owner_rules(),
    by_owner=True,
)


@contextmanager
def served_by_owner(data_dir: Path, config: Path = PROJECT, **settings: Any) -> Iterator[str]:
    """Serve a project to callers of the service's own; yields its address."""
    with pytest.MonkeyPatch.context() as patched, ExitStack() as serves:
        # So that a client knows soon that it waits.
        patched.setattr("everturn.server.api.agent_server.run_answers.SILENT_SECONDS", 0.05)
        with pytest.MonkeyPatch.context() as starting:
            starting.setattr("everturn.server.loading.load_auth", lambda project: AUTH)
            client = serves.enter_context(serving(data_dir, config=config, **settings))
        yield str(client.base_url)


@dataclass(frozen=True, slots=True)
class Who:
    """A caller."""

    identity: str
    client: httpx.Client

    @property
    def headers(self) -> dict[str, str]:
        """What they sign in with."""
        return {"Authorization": f"Bearer {self.identity}"}


class Callers:
    """Makes callers, each of whom has nothing yet."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: list[Any] = []

    def new(self, *, admin: bool = False) -> Who:
        """A new one."""
        identity = f"{'admin' if admin else 'user'}-{uuid4()}"
        opened = user_of(self.url, identity)
        self._clients.append(opened)
        return Who(identity, opened.__enter__())

    def close(self) -> None:
        """Close their connections."""
        for opened in self._clients:
            opened.__exit__(None, None, None)


@pytest.fixture(scope="module")
def by_owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service by the rules of owners."""
    with served_by_owner(tmp_path_factory.mktemp("owners") / "data") as url:
        yield url


@pytest.fixture
def callers(by_owner: str) -> Iterator[Callers]:
    made = Callers(by_owner)
    yield made
    made.close()
