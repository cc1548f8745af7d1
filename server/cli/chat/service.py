"""The service as a chat sees it: a handful of routes, and every failure in words.

httpx2 is there because the OpenAI client stands on it, and it reads server-sent events itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import quote

import httpx2

from everturn.server.cli.chat.sending import Event, Refused, events_of_turn

TIMEOUT = httpx2.Timeout(10, read=60)  # s; the service sends a heartbeat every 15


class ServiceError(Exception):
    """The service refused, or is out of reach; the text is for the user."""


class Service:
    """The routes of the service that a chat needs.

    Every method raises `ServiceError` when it cannot do what it is for.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        """Talk to the service at `url`, as who has `key`."""
        self.url = url if "://" in url else f"http://{url}"
        sent = {"Authorization": f"Bearer {key}"} if key else {}
        with self._explained():
            self._client = httpx2.Client(base_url=self.url, headers=sent, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def new_session(self) -> str:
        return str(self._call("POST", "/api/chat/session")["session_id"])

    def history(self, session_id: str) -> list[dict[str, Any]]:
        path = f"/api/chat/history/{quote(session_id, safe='')}"
        rows: list[dict[str, Any]] = self._call("GET", path)
        return rows

    def sessions(self) -> list[dict[str, Any]]:
        sessions: list[dict[str, Any]] = self._call("GET", "/api/chat/sessions")["sessions"]
        return sessions

    def stream(
        self, message: str, session_id: str | None, agent: str | None
    ) -> Generator[Event, None, None]:
        """The events of one turn, in a new session without an id; closing it ends the turn."""
        chosen = {"session_id": session_id, "agent": agent}
        body = {"message": message, **{name: value for name, value in chosen.items() if value}}
        return self._events("/api/chat/message/stream", body)

    def resume(
        self, session_id: str, decisions: list[dict[str, Any]]
    ) -> Generator[Event, None, None]:
        """The events of a turn that continues, with a decision on each call that waits."""
        path = f"/api/chat/session/{quote(session_id, safe='')}/resume/stream"
        return self._events(path, {"decisions": decisions})

    def waiting_calls(self, session_id: str) -> list[dict[str, Any]]:
        """The tool calls of a session that wait to be approved."""
        found = self._call("GET", f"/api/chat/session/{quote(session_id, safe='')}")
        calls: list[dict[str, Any]] = found.get("calls") or []
        return calls

    def _events(self, path: str, body: dict[str, Any]) -> Generator[Event, None, None]:
        with self._explained():
            try:
                yield from events_of_turn(self._client, path, body)
            except Refused as refused:
                _raise_for_problem(refused.response)

    def _call(self, method: str, path: str) -> Any:
        with self._explained():
            response = self._client.request(method, path)
            _raise_for_problem(response)
            return response.json()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the client's errors into words."""
        try:
            yield
        except httpx2.ConnectError as error:
            raise ServiceError(
                f"Nothing answers at {self.url}. Start it: make run, or everturn serve"
            ) from error
        except httpx2.TimeoutException as error:
            raise ServiceError(f"{self.url} does not answer any more.") from error
        except (httpx2.RemoteProtocolError, httpx2.ReadError) as error:
            raise ServiceError(
                f"What answers at {self.url} is no Everturn service, or it has just ended. Name "
                "the service with --url, or its folder with --data-dir."
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise ServiceError(f"{self.url}: {error}") from error


def _raise_for_problem(response: httpx2.Response) -> None:
    if response.is_success:
        return
    response.read()
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):  # not from the service: a proxy, another program
        detail = f"{response.url} answered {response.status_code} {response.reason_phrase}"
    if response.status_code == httpx2.codes.UNAUTHORIZED:
        detail = f"{detail} The chat sends what EVERTURN_API_KEY has."
    raise ServiceError(str(detail))
