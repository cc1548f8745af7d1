"""The keys that clients send with their requests: each finds the run of the first such request."""

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.group_commit import Row
from everturn.checkpoints.sql.runs import UNFINISHED
from everturn.checkpoints.sql.tables import idempotency_keys, runs

_INSERT = insert(idempotency_keys)
_OF_RUN = idempotency_keys.c.run_id == bindparam("this")
_ANSWER = update(idempotency_keys).where(_OF_RUN).values(answer=bindparam("kept"))
_RELEASE = delete(idempotency_keys).where(_OF_RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key, and the run that was started with it."""

    caller: str
    key: str
    fingerprint: str
    run_id: str
    thread_id: str
    temporary: bool
    answer: bytes | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


_COLUMNS = [idempotency_keys.c[each.name] for each in fields(KeyRow)]


def key_taken(key: KeyRow) -> Row:
    """Write a key with its run; the commit fails where another request was faster."""
    return Row(_INSERT, {each.name: getattr(key, each.name) for each in fields(key)})


def answer_kept(run_id: str, answer: bytes) -> Row:
    """Keep what a run came to, within the commit of its end."""
    return Row(_ANSWER, {"this": run_id, "kept": answer})


def key_released(run_id: str) -> Row:
    """Forget the key of a run that did nothing, within the commit of its end."""
    return Row(_RELEASE, {"this": run_id})


class KeyTable:
    """The table `idempotency_keys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, caller: str, key: str, since: datetime) -> KeyRow | None:
        """Read a caller's key that was not sent before a moment; an older one is deleted."""
        this = (idempotency_keys.c.caller == caller) & (idempotency_keys.c.key == key)
        query = select(*_COLUMNS).where(this)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        if row is None:
            return None
        found = KeyRow(**row)
        if found.created_at >= since:
            return found
        await self._delete([found])
        return None

    async def answer(self, run_id: str) -> bytes | None:
        """Read what a run came to; None before its end, or where it is not kept."""
        query = select(idempotency_keys.c.answer).where(idempotency_keys.c.run_id == run_id)
        return await self._database.read(lambda c: c.scalar(query))

    async def delete_before(self, moment: datetime, at_once: int) -> int:
        """Delete the oldest of the keys that are older; returns how many it were."""
        return await self._delete_some(idempotency_keys.c.created_at < moment, at_once)

    async def delete_of(self, caller: str, at_once: int) -> int:
        """Delete some of a caller's keys; returns how many it were."""
        return await self._delete_some(idempotency_keys.c.caller == caller, at_once)

    async def _delete_some(self, wanted: ColumnElement[bool], at_once: int) -> int:
        query = select(*_COLUMNS).where(wanted).order_by(idempotency_keys.c.created_at)
        found = await self._database.read(
            lambda c: [KeyRow(**row) for row in c.execute(query.limit(at_once)).mappings()]
        )
        await self._delete(found)
        return len(found)

    async def _delete(self, keys: list[KeyRow]) -> None:
        """Delete keys, and the rows of runs that were kept for them alone."""
        if not keys:
            return
        ended = runs.c.run_id.in_([key.run_id for key in keys if key.temporary])
        rows = delete(runs).where(ended, runs.c.status.not_in(UNFINISHED))
        theirs = idempotency_keys.c.run_id.in_([key.run_id for key in keys])

        def work(connection: Connection) -> None:
            connection.execute(rows)
            connection.execute(delete(idempotency_keys).where(theirs))

        await self._database.write(work)
