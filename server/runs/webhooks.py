"""Telling somebody else's service that a run has ended: standardwebhooks.com says how.

    row in the commit of the run's end -> claimed -> sent -> delivered, or again later, or dead

Every process sends what is due; the database gives each to one of them. A receiver gets each at
least once, always under the same `webhook-id`.
"""

import asyncio
import base64
import hashlib
import hmac
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from structlog import get_logger

from everturn.checkpoints.cancelling import cancelled
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.webhooks import Claimed, Filter, WebhookTable
from everturn.server.errors import InvalidInput, message_of
from everturn.server.runs.webhook_policy import WebhookPolicy

log = get_logger(__name__)

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[None]]
"""Send a body to an address, which anybody may have chosen; raises where it did not arrive."""

Check = Callable[[str], Awaitable[None]]
"""Raise where an address may not be called, as far as its text tells."""

PAUSES = (1, 10, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after each attempt that failed; after one more, in three days, it is a dead letter."""
_JITTER = 0.2
"""Of a pause: what failed together is not sent again together."""

MAX_BODY = 1_048_576
"""Bytes; a larger body goes without the parts that make it so."""
_LEFT_OUT = ("values", "kwargs", "metadata")
"""What a body can go without, in this order."""
_MAX_ERROR = 500  # characters

_AT_ONCE = 64
_ATTEMPT_SECONDS = 20.0
_LEASE = 30.0
"""Seconds after which another process makes an attempt, if this one does not say how it went."""
_MAX_SLEEP = 60.0
"""Seconds after which the clock is looked at again: it may have been set, or slept."""


class Webhooks:
    """Keeps what is to be sent, and sends it."""

    def __init__(
        self,
        table: WebhookTable,
        post: Post,
        check: Check,
        secret: str | None = None,
        policy: WebhookPolicy | None = None,
        sent: Callable[[str], None] = lambda status: None,
    ) -> None:
        """Sign with `secret`, where there is one: `whsec_` and Base64, or any text.

        Whoever counts is `sent` what became of each attempt: delivered, failed or dead.
        """
        self._count = sent
        self._table = table
        self._post, self._check = post, check
        self._policy = policy or WebhookPolicy()
        self._key = _key(secret) if secret else None
        self._sending: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def check(self, url: str) -> None:
        """Refuse an address that may not be called; where its name leads is seen when it is.

        Raises:
            InvalidInput: saying why.
        """
        self._policy.check(url)
        try:
            await self._check(url)
        except Exception as error:
            raise InvalidInput(f"webhook: {error}") from error

    def row(
        self,
        url: str,
        payload: Mapping[str, Any],
        dumps: Callable[[Any], bytes],
        metadata: Mapping[str, Any],
        *,
        wait: float = 0,
    ) -> list[Row]:
        """What is written with a run's end, so that it is reported; nothing where none is sent.

        Args:
            url: where to.
            payload: what is sent.
            dumps: makes JSON of it.
            metadata: whose the run is.
            wait: seconds before it is sent.
        """
        if self._policy.disabled:
            return []
        body = _body(payload, dumps)
        run_id, thread_id = payload["run_id"], payload["thread_id"]
        return [self._table.created(run_id, thread_id, url, body, metadata, wait=wait)]

    def look(self) -> None:
        """Send what has become due: a row was committed, or is to be sent again."""
        self._changed.set()

    async def forget(self, run_id: str) -> None:
        """Report the end of a run no more."""
        await self._table.delete(Filter(run_id=run_id))

    async def adopt(self, alive: Collection[str]) -> None:
        """Send what processes were sending that are not alive any more."""
        await self._table.release(alive)
        self.look()

    async def deliver(self) -> None:
        """Send what becomes due. Never ends."""
        while not self._policy.disabled:
            self._changed.clear()
            try:
                left = await self._send_due()
            except Exception as error:
                log.warning("webhooks_not_sent", error=str(error))
                left = _MAX_SLEEP
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(left, _MAX_SLEEP))):
                    await self._changed.wait()
        await asyncio.Event().wait()

    async def close(self, grace: float = 2.0) -> None:
        """Let those go out that are on their way, or due; others send the rest."""
        with suppress(Exception):
            if not self._policy.disabled:
                await self._send_due()
        if self._sending:
            await asyncio.wait(self._sending, timeout=grace)
        await cancelled(*self._sending)

    async def _send_due(self) -> float:
        """Begin to send what is due, as far as there is room; seconds until there may be more."""
        room = _AT_ONCE - len(self._sending)
        due = await self._table.next_due()
        left = _MAX_SLEEP if due is None else (due - datetime.now(UTC)).total_seconds()
        if left > 0 or not room:
            return left if room else _MAX_SLEEP  # who makes room looks again
        for claimed in await self._table.claim(room, _LEASE):
            sending = asyncio.create_task(self._send(claimed), name=f"webhook {claimed.run_id}")
            self._sending.add(sending)
            sending.add_done_callback(self._sent)
        return 0.0

    def _sent(self, sending: asyncio.Task[None]) -> None:
        if len(self._sending) == _AT_ONCE:
            self._changed.set()
        self._sending.discard(sending)

    async def _send(self, claimed: Claimed) -> None:
        url = claimed.url
        try:
            url, body = self._table.whole(claimed)
            self._policy.check(url)
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                await self._post(url, body, self._headers(claimed.run_id, body))
        except asyncio.CancelledError:
            self._table.left(claimed)
            raise
        except Exception as error:
            # Of the address only so much is shown as clients are shown: there are tokens in it.
            self._failed(
                claimed, message_of(error).replace(url, claimed.url) or "It took too long."
            )
        else:
            self._table.delivered(claimed)
            self._count("delivered")

    def _failed(self, claimed: Claimed, text: str) -> None:
        again, reason = _next_attempt(claimed.attempts), text[:_MAX_ERROR]
        log.warning(
            "webhook_failed" if again else "webhook_dead",
            run_id=claimed.run_id,
            url=claimed.url,
            attempt=claimed.attempts,
            error=reason,
        )
        self._count("failed" if again else "dead")
        written = self._table.failed(claimed, reason, again)
        written.add_done_callback(lambda _: self._changed.set())  # it is due at another time now

    def _headers(self, about: str, body: bytes) -> dict[str, str]:
        own = {"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"}
        said = {k: v for k, v in self._policy.headers.items() if k.lower() not in own}
        headers = {**said, "Content-Type": "application/json", "webhook-id": f"msg_{about}"}
        headers["webhook-timestamp"] = str(int(time.time()))
        if self._key is not None:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            digest = hmac.new(self._key, signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers


def _body(payload: Mapping[str, Any], dumps: Callable[[Any], bytes]) -> bytes:
    """Make JSON of a payload, without the parts that are too large; those are null."""
    body = dumps(payload)
    left_out: list[str] = []
    for name in _LEFT_OUT:
        if len(body) <= MAX_BODY:
            break
        left_out.append(name)
        body = dumps({**payload, **dict.fromkeys(left_out), "left_out": left_out})
    return body


def _next_attempt(attempts: int) -> datetime | None:
    """When to send what failed so often; `None` is never."""
    if attempts > len(PAUSES):
        return None
    pause = PAUSES[attempts - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)
    return datetime.now(UTC) + timedelta(seconds=pause)


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()
