"""A turn as it is sent: once, with a key, and again with the same one where the connection is cut.

The service runs it once. What came before the cut is not sent again, and a turn that is left is
cancelled, since the service would go on with it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Generator
from typing import Any
from uuid import uuid4

import httpx2

PATIENCE = 60.0
"""Seconds without a word from the service; longer than another process needs to go on."""
_PAUSE = 0.5
_LAST = ("done", "error")
_GOES_ON = ("shutting-down", "turn-taken-over")
"""The problems of a turn that another process goes on with."""

Event = tuple[str, dict[str, Any]]


class Refused(Exception):
    """The service refused, and says why in its response, which has been read."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def events_of_turn(
    client: httpx2.Client, path: str, body: dict[str, Any]
) -> Generator[Event, None, None]:
    """Yield the events of one turn; closed before the last one, the turn is cancelled.

    Raises:
        Refused: it is not run.
        httpx2.HTTPError: the service is out of reach, also after some time.
    """
    sent = _Sent()
    try:
        while True:
            try:
                yield from sent.once(client, path, body)
            except (httpx2.TransportError, Refused):
                if not sent.may_be_sent_again:
                    raise
            if sent.ended or not sent.may_be_sent_again:
                return
            time.sleep(_PAUSE)
    except (GeneratorExit, KeyboardInterrupt):
        if sent.place and not sent.ended:
            with contextlib.suppress(httpx2.HTTPError):
                client.post(f"{sent.place}/cancel")
        raise


class _Sent:
    """One turn, and how much of it has come."""

    def __init__(self) -> None:
        self.ended = False
        self.place: str | None = None
        """Where its run is; None before the service has taken it."""
        self._headers = {"Idempotency-Key": str(uuid4())}
        self._heard_at = time.monotonic()
        self._final = False

    @property
    def may_be_sent_again(self) -> bool:
        """Whether the service has taken it, and may come back."""
        waits = time.monotonic() - self._heard_at < PATIENCE
        return self.place is not None and waits and not self._final

    def once(
        self, client: httpx2.Client, path: str, body: dict[str, Any]
    ) -> Generator[Event, None, None]:
        """Send it, and yield what had not come yet."""
        with client.stream("POST", path, json=body, headers=self._headers) as response:
            if not response.is_success:
                response.read()
                self._final = response.status_code != httpx2.codes.SERVICE_UNAVAILABLE
                raise Refused(response)
            self.place = response.headers.get("Content-Location")
            for event in httpx2.EventSource(response):
                if not event.data:  # an id alone: where to go on, from a service that ends
                    continue
                self._heard_at = time.monotonic()
                data = json.loads(event.data)
                if event.event == "error" and data.get("type") in _GOES_ON:
                    return
                if event.id:
                    self._headers["Last-Event-ID"] = event.id
                self.ended = event.event in _LAST
                yield event.event, data
                if self.ended:
                    return
