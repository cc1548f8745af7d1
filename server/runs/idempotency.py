"""Requests that may be sent again: one key, one run, one answer.

    key -> sent before? -> no: written in the commit of the run's row, and only then is it started
                        -> yes: the run of then, as it goes on or as it ended

What a run came to is kept with its key, in the commit of its end, until the key expires. A run on
a thread leaves its state there; what was said in a chat, the state of a thread of its own and every
error are kept here. A run that failed before it had its thread did nothing: it releases its key.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import orjson

from everturn.checkpoints.confidential import Safe
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.idempotency import (
    KeyRow,
    KeyTable,
    answer_kept,
    key_released,
    key_taken,
)
from everturn.checkpoints.sql.runs import RunRow, RunStatus
from everturn.server.errors import AnswerGone, KeyReused
from everturn.server.runs.run import Run, text_of
from everturn.server.streams.feed import Dumps
from everturn.server.turns.outcome import spoken

TOO_LARGE = "it was too large to be kept"
MAX_ANSWER_BYTES = 1_048_576
"""Of one answer that is kept; a larger one is answered once."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key of a request."""

    caller: str
    """Whose it is: the keys of others are other keys."""
    key: str
    fingerprint: str
    """The same for the same request alone."""

    def part(self, number: int) -> "IdempotencyKey":
        """The key of one of several runs that a request starts; no client can send it."""
        return IdempotencyKey(self.caller, f"{self.key} {number}", self.fingerprint)


@dataclass(frozen=True, slots=True)
class Repeated:
    """The run of an earlier request with the same key."""

    key: KeyRow
    row: RunRow | None
    """None where it has ended and was deleted, but for what is kept with its key."""
    run: Run | None
    """Where it is under way in this process."""

    @property
    def run_id(self) -> str:
        """Of the run."""
        return self.key.run_id

    @property
    def thread_id(self) -> str | None:
        """The thread that is there after the run; None for one of its own."""
        return None if self.key.temporary else self.key.thread_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an ended run came to."""

    status: RunStatus
    graph: str
    failure: Mapping[str, str] | None
    """As LangGraph's clients read it; None where it did not fail."""
    errors: list[str]
    """The class of its error, and those above it."""
    detail: str
    """The text of its error."""
    spoken: Mapping[str, Any] | None
    """Of a chat's turn, what was said; see `turns.outcome`."""
    too_large: bool
    """Its state was not kept."""
    state: bytes | None = None
    """JSON; None where it lies on a thread."""


class Keys:
    """Knows the keys that were sent."""

    def __init__(self, table: KeyTable, dumps: Dumps, lifetime: float, safe: Safe) -> None:
        """Keep keys for `lifetime` seconds; what runs came to is encrypted by `safe`."""
        self._table = table
        self._dumps = dumps
        self._lifetime = timedelta(seconds=lifetime)
        self._safe = safe
        # As long as a request is in it.
        self._held = WeakValueDictionary[tuple[str, str], asyncio.Lock]()

    @asynccontextmanager
    async def hold(self, key: IdempotencyKey) -> AsyncIterator[None]:
        """Let one request after the other go on, of those with this key."""
        async with self._held.setdefault((key.caller, key.key), asyncio.Lock()):
            yield

    async def find(self, key: IdempotencyKey) -> KeyRow | None:
        """Return the key as it was sent before; None where it was not.

        Raises:
            KeyReused: it was sent with another request.
        """
        since = datetime.now(UTC) - self._lifetime
        found = await self._table.find(key.caller, key.key, since)
        if found and found.fingerprint != key.fingerprint:
            raise KeyReused(
                "Idempotency-Key: it was sent before with another request. A new request needs a "
                "new key; the same request is answered as before."
            )
        return found

    def taken(self, key: IdempotencyKey, run: RunRow) -> Row:
        """The row of a new key, for the commit of its run's row."""
        temporary = bool(run.kwargs.get("temporary"))
        return key_taken(
            KeyRow(
                caller=key.caller,
                key=key.key,
                fingerprint=key.fingerprint,
                run_id=run.run_id,
                thread_id=run.thread_id,
                temporary=temporary,
            )
        )

    def ended(self, run: Run) -> list[Row]:
        """What is committed with a run's end: its answer, or that its key is free again."""
        if not run.request.idempotent:
            return []
        if releases_key(run):
            return [key_released(run.row.run_id)]
        return [answer_kept(run.row.run_id, self._safe.encrypt(self._written(run)))]

    def lost(self, row: RunRow, failure: Mapping[str, str]) -> Row:
        """What is committed with the end of a run that cannot go on: its answer is its failure."""
        about = {
            "status": "error",
            "graph": str(row.metadata.get("graph_id", "")),
            "failure": failure,
            "errors": [failure["error"], *(each.__name__ for each in Exception.__mro__)],
            "detail": failure["message"],
            "spoken": None,
            "too_large": False,
        }
        return answer_kept(row.run_id, self._safe.encrypt(self._dumps(about) + b"\n"))

    def _written(self, run: Run) -> bytes:
        """An answer as two lines of JSON: what is known of it, and its state."""
        error, chat = run.error, run.request.history and run.request.interactive
        state = b"" if run.request.lasting else self._dumps(run.final_state)
        about = {
            "status": run.status,
            "graph": run.assistant.graph_id,
            "failure": run.failure if error else None,
            "errors": [each.__name__ for each in type(error).__mro__] if error else [],
            "detail": text_of(error) if error else "",
            "spoken": spoken(run.outcome) if chat and run.outcome and not error else None,
            "too_large": False,
        }
        written = self._dumps(about) + b"\n" + state
        if len(written) > MAX_ANSWER_BYTES:
            return self._dumps({**about, "spoken": None, "too_large": True}) + b"\n"
        return written

    async def answer(self, run_id: str) -> Kept | None:
        """Return what a run with a key came to; None before its end, or where it is not kept."""
        kept = await self._table.answer(run_id)
        return self.read(kept) if kept else None

    def read(self, kept: bytes) -> Kept:
        """Read what was kept.

        Raises:
            StoreMisconfigured: it is encrypted with another key.
        """
        about, _, state = self._safe.decrypt(kept).partition(b"\n")
        return Kept(**orjson.loads(about), state=state or None)

    async def sweep(self) -> None:
        """Delete the keys that have expired, and what was kept with them."""
        while True:
            before = datetime.now(UTC) - self._lifetime
            if await self._table.delete_before(before, _AT_ONCE) < _AT_ONCE:
                return

    async def forget(self, caller: str) -> None:
        """Delete all keys of a caller, and what was kept with them."""
        while await self._table.delete_of(caller, _AT_ONCE) == _AT_ONCE:
            pass


def releases_key(run: Run) -> bool:
    """Say whether a run failed before it did anything: sent again, it is run."""
    return run.error is not None and not run.held


def answer_gone(run_id: str, why: str) -> AnswerGone:
    """Say that an answer cannot be given again."""
    return AnswerGone(
        f"The run {run_id} of this Idempotency-Key was carried out, and {why}: its answer cannot "
        "be given again. To run it anew, send it with another key."
    )
