"""`everturn export` and `everturn forget`: what is kept of a session or of a user.

A running service is asked; where none runs, one is opened for it, which listens nowhere.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx2

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.local.data_dir import published_address
from everturn.server.cli.config import load_settings
from everturn.server.cli.stores import revealed
from everturn.server.environment import WrongSetting
from everturn.server.errors import ConfigError
from everturn.server.observe.logs import configure_logs
from everturn.server.settings import Settings

_TIMEOUT = httpx2.Timeout(10, read=600)  # seconds; a thread may have much to delete


class Refused(Exception):
    """The service does not do it; its words say why."""


def export_session(
    named: Mapping[str, str], session_id: str, output: str | None, *, markdown: bool
) -> int:
    """Write a session's finished turns to a file or to standard output; returns the exit code."""
    path = f"/api/chat/session/{quote(session_id, safe='')}/export"
    return _run(_export(named, path, {"format": "markdown" if markdown else "json"}, output))


def export_user(named: Mapping[str, str], user: str, output: str | None) -> int:
    """Write all that is kept of a user, one JSON object a line; returns the exit code."""
    return _run(_export(named, "/api/users/export", {"user": user}, output))


def forget_user(named: Mapping[str, str], user: str) -> int:
    """Delete all that is kept of a user, and say how much it was; returns the exit code."""
    return _run(_forget(named, user))


async def _export(
    named: Mapping[str, str], path: str, query: Mapping[str, str], output: str | None
) -> None:
    async with (
        _client(load_settings(named)) as client,
        client.stream("GET", path, params=dict(query)) as answer,
    ):
        await _check(answer)
        with _written_to(output) as file:
            async for piece in answer.aiter_bytes():
                file.write(piece)


async def _forget(named: Mapping[str, str], user: str) -> None:
    async with _client(load_settings(named)) as client:
        answer = await client.delete("/api/users", params={"user": user})
        await _check(answer)
        counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in answer.json().items())
        print(f"Deleted: {counts}.")


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service that runs, or of one that is opened as long."""
    if url := published_address(settings.stores.data_dir):
        key = revealed(settings.access.api_key)
        sent = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx2.AsyncClient(base_url=url, headers=sent, timeout=_TIMEOUT) as client:
            yield client
        return
    from everturn.server.api.http.in_process import IN_PROCESS
    from everturn.server.app import create_app

    app = create_app(settings, listens=False)

    async def from_within(scope: Any, receive: Any, send: Any) -> None:
        """Who can open the stores needs no key."""
        await app({**scope, IN_PROCESS: True}, receive, send)

    async with app.router.lifespan_context(app):
        inside = httpx2.ASGITransport(app=from_within)
        async with httpx2.AsyncClient(transport=inside, base_url="http://localhost") as client:
            yield client


async def _check(answer: httpx2.Response) -> None:
    if not answer.is_success:
        await answer.aread()
        try:
            reason = str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            reason = f"the service answered {answer.status_code}"
        if answer.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
            reason += " The key that this command sends is EVERTURN_API_KEY."
        raise Refused(reason)


@contextmanager
def _written_to(output: str | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    try:
        with Path(output).open("xb") as file:
            yield file
    except OSError as error:
        raise Refused(f"cannot write {output} ({error.strerror}): name another file") from error


def _run(work: Any) -> int:
    configure_logs("ERROR")
    try:
        asyncio.run(work)
    except (WrongSetting, ConfigError, CheckpointsError, Refused) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    except httpx2.HTTPError as error:
        print(f"everturn: the service cannot be reached: {error}", file=sys.stderr)
        return 1
    return 0
