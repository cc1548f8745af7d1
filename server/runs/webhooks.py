"""Telling somebody else's service that a run has ended: standardwebhooks.com says how.

A webhook is sent after the run's end is stored, up to three times, and goes with its process.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from structlog import get_logger

from everturn.server.errors import InvalidInput
from everturn.server.runs.webhook_policy import WebhookPolicy

log = get_logger(__name__)

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[None]]
"""Send a body to an address, which anybody may have chosen; raises where it did not arrive."""

Check = Callable[[str], Awaitable[None]]
"""Raise where an address may not be called, as far as its text tells."""

_PAUSES = (0.0, 1.0, 10.0)  # seconds before each try


class Webhooks:
    """Sends them, in tasks of its own."""

    def __init__(
        self,
        post: Post,
        check: Check,
        secret: str | None = None,
        policy: WebhookPolicy | None = None,
    ) -> None:
        """Sign with `secret`, where there is one: `whsec_` and Base64, or any text."""
        self._post, self._check = post, check
        self._policy = policy or WebhookPolicy()
        self._key = _key(secret) if secret else None
        self._sending: set[asyncio.Task[None]] = set()

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

    def send(self, url: str, about: str, body: bytes, gone: Callable[[], bool]) -> None:
        """Have a body sent.

        Args:
            url: where to.
            about: identifies the message, for who gets it twice.
            body: what is sent.
            gone: whether its thread was deleted meanwhile: then it is not sent any more.
        """
        if self._policy.disabled:
            return
        sending = asyncio.create_task(self._send(url, about, body, gone), name=f"webhook {about}")
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def close(self, grace: float = 2.0) -> None:
        """Let those go out that are on their way; give up the others."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=grace)
        for sending in list(self._sending):
            sending.cancel()

    async def _send(self, url: str, about: str, body: bytes, gone: Callable[[], bool]) -> None:
        host = urlsplit(url).hostname
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            if gone():
                return
            try:
                await self._post(url, body, self._headers(about, body))
            except Exception as error:
                log.warning("webhook_failed", run_id=about, host=host, error=str(error))
            else:
                return

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


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()
