"""Crons: runs that begin by the clock.

    next due? -> sleep until then, or until a cron changes -> create its run -> move it on

Every process keeps the time. A due run has a key, its cron and its moment, so that it is created
once: by whichever process is first, and by another one should that die before it moves the cron on.
What was due while no process lived begins once, as soon as one does.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from langchain_core.utils.uuid import uuid7
from structlog import get_logger

from everturn.checkpoints.confidential import split_request
from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.shared.peers import Message, Peers
from everturn.checkpoints.sql.crons import Cron, CronTable, Filter, SortBy, SortOrder
from everturn.server.access.access import Access, Action
from everturn.server.access.caller import Caller, acting_as, current_caller
from everturn.server.errors import AnswerGone, CronNotFound, InvalidInput, ThreadNotFound
from everturn.server.observe.audit import audit
from everturn.server.runs.idempotency import IdempotencyKey
from everturn.server.runs.reading import Assistants
from everturn.server.runs.request import CRON_DOOR, RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.runs import Runs
from everturn.server.runs.thread_rows import Threads

log = get_logger(__name__)

_MAX_SLEEP = 60.0
"""Seconds after which the clock is looked at again: it may have been set, or slept."""
_AWAY_SLEEP = 1.0
"""Seconds after which a database that is away is asked again."""
_AT_ONCE = 100

_WRITTEN = {"subgraphs": "stream_subgraphs", "resumable": "stream_resumable"}
"""Names of a run's row, and how clients write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronRequest:
    """A cron as a client asks for it."""

    schedule: str
    run: RunRequest
    timezone: str | None = None
    end_time: datetime | None = None
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] | None = None


class Crons:
    """Keeps crons, and begins their runs."""

    def __init__(
        self,
        table: CronTable,
        runs: Runs,
        assistants: Assistants,
        threads: Threads,
        peers: Peers,
        access: Access,
    ) -> None:
        self._table = table
        self._runs = runs
        self._assistants = assistants
        self._threads = threads
        self._peers = peers
        self._access = access
        self._changed = asyncio.Event()
        peers.subscribe(self._received)

    async def create(self, asked: CronRequest) -> Cron:
        """Keep a cron from now on.

        Raises:
            AssistantNotFound, ThreadNotFound: whom it should run, or on which thread.
            InvalidInput: the schedule, its time zone, or the webhook; or what `admitted` raises.
        """
        await self._runs.check_webhook(asked.run.webhook)
        assistant = await self._assistants.resolve(asked.run.assistant_id)
        thread_id, now = asked.run.thread_id, datetime.now(UTC)
        following = _following(asked.schedule, asked.timezone, asked.end_time)
        if thread_id and not await self._may_run_on(thread_id):
            raise ThreadNotFound("Thread or assistant not found.")
        caller = current_caller()
        cron_id = str(uuid7())
        payload = _payload(await self._runs.admitted(asked.run, assistant))
        value: dict[str, Any] = {
            "payload": payload,
            "schedule": asked.schedule,
            "cron_id": UUID(cron_id),
            "thread_id": UUID(thread_id) if thread_id else None,
            "user_id": caller.identity if caller else None,
            "end_time": asked.end_time,
            "metadata": dict(asked.run.metadata),
        }
        await self._access.allowed("crons", "create", value)
        cron = Cron(
            cron_id=cron_id,
            assistant_id=assistant.assistant_id,
            thread_id=thread_id,
            schedule=asked.schedule,
            timezone=asked.timezone,
            metadata=value["metadata"] or {},
            caller=dict(caller) if caller else None,
            enabled=asked.enabled,
            on_run_completed=asked.on_run_completed or (None if thread_id else "delete"),
            end_time=asked.end_time,
            next_run_date=following,
            created_at=now,
            updated_at=now,
            **self._table.divided(payload),
        )
        await self._table.create(cron)
        await self._publish()
        return cron

    async def get(self, cron_id: str) -> Cron:
        """Return a cron; raises CronNotFound, also where it is somebody else's."""
        return await self._allowed("read", cron_id, {})

    async def _allowed(self, action: Action, cron_id: str, value: dict[str, Any]) -> Cron:
        value["cron_id"] = UUID(cron_id)
        allowed = await self._access.allowed("crons", action, value)
        cron = _found(await self._table.get(cron_id), cron_id)
        return _found(cron if allowed.fits(cron.metadata) else None, cron_id)

    async def _may_run_on(self, thread_id: str) -> bool:
        value = {"thread_id": UUID(thread_id)}
        allowed = await self._access.allowed("threads", "read", value)
        thread = await self._threads.get(thread_id)
        return thread is not None and allowed.fits(thread.metadata)

    async def change(self, cron_id: str, columns: dict[str, Any], run: Mapping[str, Any]) -> Cron:
        """Change a cron, and what it asks of its runs from now on.

        Args:
            cron_id: of the cron.
            columns: of its row, as they will be.
            run: fields of the runs' request, as they will be.

        Raises:
            CronNotFound: there is none.
            InvalidInput: the schedule, its time zone, or the webhook.
        """
        value = {**columns, "payload": dict(run)}
        cron = await self._allowed("update", cron_id, value)
        if self._access.on and value.get("metadata") is not None:
            columns = {**columns, "metadata": _ruled(cron, columns, value["metadata"])}
        if given := run.get("input"):
            assistant = await self._assistants.resolve(cron.assistant_id)
            asked = RunRequest(assistant_id=cron.assistant_id, input=given)
            run = {**run, "input": (await self._runs.admitted(asked, assistant)).input}
        values = {**columns, **self._table.divided({**self._table.whole_payload(cron), **run})}
        if self._access.on and run:  # nobody has another's runs do what they want
            caller = current_caller()
            values["caller"] = dict(caller) if caller else None
        terms = (
            values.get(name, getattr(cron, name)) for name in ("schedule", "timezone", "end_time")
        )
        values["next_run_date"] = _following(*terms)
        await self._runs.check_webhook(run.get("webhook"))
        changed = _found(await self._table.change(cron_id, values), cron_id)
        await self._publish()
        return changed

    async def delete(self, cron_id: str) -> None:
        """Delete a cron; the runs that it began go on. Raises CronNotFound."""
        await self._allowed("delete", cron_id, {})
        if not await self._table.delete(cron_id):
            _found(None, cron_id)
        audit("cron.deleted", target=cron_id)

    async def search(
        self,
        wanted: Filter,
        *,
        limit: int,
        offset: int,
        sort_by: SortBy,
        sort_order: SortOrder,
        without: Collection[str] = (),
    ) -> list[Cron]:
        """Return one page of the crons that fit; columns `without` which are not read.

        Raises:
            ListTooLarge: the page is too large for one list.
        """
        wanted = await self._allowed_filter(wanted, limit, offset)
        return await self._table.search(
            wanted,
            limit=limit,
            offset=offset,
            sort_by=sort_by,
            sort_order=sort_order,
            without=without,
        )

    async def count(self, wanted: Filter) -> int:
        """Count the crons that fit."""
        return await self._table.count(await self._allowed_filter(wanted, 0, 0))

    async def _allowed_filter(self, wanted: Filter, limit: int, offset: int) -> Filter:
        value: dict[str, Any] = {
            "assistant_id": wanted.assistant_id and UUID(wanted.assistant_id),
            "thread_id": wanted.thread_id and UUID(wanted.thread_id),
            "limit": limit,
            "offset": offset,
            "metadata": dict(wanted.metadata),
        }
        allowed = await self._access.allowed("crons", "search", value)
        return replace(wanted, metadata=value["metadata"] or {}, allowed=allowed)

    async def keep_time(self) -> None:
        """Begin runs as they become due. Never ends."""
        while True:
            self._changed.clear()
            try:
                await self._begin_due()
                due = await self._table.next_due()
            except StoreUnavailable as error:  # what is due is due still
                log.warning("crons_wait", error=str(error))
                due = datetime.now(UTC) + timedelta(seconds=_AWAY_SLEEP)
            except Exception:
                log.exception("crons_not_kept")
                due = None
            left = _MAX_SLEEP if due is None else (due - datetime.now(UTC)).total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(left, _MAX_SLEEP))):
                    await self._changed.wait()

    async def _begin_due(self) -> None:
        for cron in await self._table.due(datetime.now(UTC), _AT_ONCE):
            try:
                following = _following(cron.schedule, cron.timezone, cron.end_time)
            except InvalidInput as error:  # its time zone is gone: it must not hold up the others
                log.warning("cron_ended", cron_id=cron.cron_id, error=str(error))
                following = None
            await self._begin(cron)
            await self._table.move_on(cron, following)

    async def _begin(self, cron: Cron) -> None:
        """Create a due run, unless that was done; a run that cannot be is passed over.

        Raises:
            StoreUnavailable: it is due still.
        """
        about = {
            "metadata": {**cron.metadata, "cron_id": cron.cron_id},
            "on_completion": cron.on_run_completed or "delete",
            "door": CRON_DOOR,
        }
        try:
            asked = {**self._table.whole_payload(cron), **about}
            request = RunRequest.of_kwargs(cron.thread_id, cron.assistant_id, asked)
            with acting_as(Caller(cron.caller) if cron.caller else None):
                run = await self._runs.create(request, bounded=False, key=_key(cron))
                if not isinstance(run, Run):  # another process did
                    return
                await self._runs.acknowledge(run)
        except StoreUnavailable:
            raise
        except AnswerGone:  # it has even ended
            return
        except Exception:
            log.exception("cron_run_not_begun", cron_id=cron.cron_id)
        else:
            log.info("cron_run_begun", cron_id=cron.cron_id, run_id=run.row.run_id)

    async def _publish(self) -> None:
        self._changed.set()
        await self._peers.publish({"crons": True})

    def _received(self, message: Message) -> None:
        if "crons" in message:
            self._changed.set()


def _key(cron: Cron) -> IdempotencyKey:
    """The key of a cron's due run; no client can send it."""
    return IdempotencyKey(f"cron {cron.cron_id}", str(cron.next_run_date), "")


def _following(schedule: str, timezone: str | None, end: datetime | None) -> datetime | None:
    """When a cron's next run is due after now; `None` where its end comes first."""
    try:
        zone = ZoneInfo(timezone or "UTC")
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            f"timezone: there is no {timezone!r}; write an IANA name such as Europe/Berlin"
        ) from None
    try:
        following = next(CronSim(schedule, datetime.now(zone))).astimezone(UTC)
    except (CronSimError, StopIteration) as error:
        reason = f": {error}" if str(error) else ""
        raise InvalidInput(
            f"schedule: {schedule!r} is no schedule of cron{reason}. It has five fields, minute, "
            "hour, day of month, month and day of week: 30 8 * * 1-5"
        ) from None
    return None if end is not None and following > end else following


def _payload(run: RunRequest) -> dict[str, Any]:
    """What a run's request is made of again."""
    return {
        **run.kwargs(),
        "assistant_id": run.assistant_id,
        "multitask_strategy": run.multitask_strategy,
        "webhook": run.webhook,
    }


def payload_as_json(cron: Cron) -> dict[str, Any]:
    """Return what is asked of a cron's runs, as its client wrote it; defaults are left out."""
    silent = _payload(RunRequest(assistant_id="", thread_id=cron.thread_id))
    payload = split_request(cron.payload).shown  # an earlier version kept its secrets there
    said = {
        _WRITTEN.get(name, name): value
        for name, value in payload.items()
        if value != silent.get(name) and name != "temporary"
    }
    config = said.get("config", {})
    configurable = {**config.get("configurable", {}), "cron_id": cron.cron_id}
    terms = {
        "metadata": cron.metadata or None,
        "schedule": cron.schedule,
        "timezone": cron.timezone,
        "end_time": cron.end_time,
        "enabled": None if cron.enabled else False,
        "on_run_completed": None if cron.on_run_completed == "delete" else cron.on_run_completed,
    }
    return {
        "input": payload.get("input"),
        **said,
        "config": {**config, "configurable": configurable},
        "assistant_id": cron.assistant_id,
        **{name: value for name, value in terms.items() if value is not None},
    }


def _ruled(cron: Cron, columns: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cron's metadata as a rule leaves it.

    What a client says replaces all but whose the cron is; what only the rule says is added.
    """
    if columns.get("metadata") is None:
        return {**cron.metadata, **metadata}
    return {**{key: cron.metadata[key] for key in ("owner",) if key in cron.metadata}, **metadata}


def _found(cron: Cron | None, cron_id: str) -> Cron:
    if cron is None:
        raise CronNotFound(f"The cron {cron_id!r} was not found.")
    return cron
