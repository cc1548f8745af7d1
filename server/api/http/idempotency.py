"""The header `Idempotency-Key`: a request that may be sent again, and is answered once.

As the IETF's draft has it (draft-ietf-httpapi-idempotency-key-header): a structured field, so a
text in quotes; the bare words that most clients send are taken as well.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request

from everturn.server.access.caller import current_caller
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import IDEMPOTENCY_KEY, REPLAYED, FailedBefore
from everturn.server.api.http.strict_json import QUICK_BYTES
from everturn.server.errors import InvalidInput, RunCancelled, ShuttingDown, message_of
from everturn.server.runs.idempotency import IdempotencyKey, Kept, Repeated
from everturn.server.runs.run import Run
from everturn.server.runs.runs import Runs
from everturn.server.streams.feed import BEGINNING, Cursor, Event

MAX_KEY = 255
_KEY = re.compile(f"[!-~]{{1,{MAX_KEY}}}")
_ESCAPED = re.compile(r'\\(["\\])')

_Key = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        description=f"1 to {MAX_KEY} visible ASCII characters, such as a UUID. Sent again with the "
        f"same key, the same request is answered as before, with `{REPLAYED}: true`, and nothing "
        "is run twice; the run goes on when its client leaves. With another request it is a 422.",
    ),
]
_Client = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        description=f"1 to {MAX_KEY} visible ASCII characters that name the client, which counts "
        "the ids of its commands: the same id of the same client on the same thread is the same "
        f"command, answered as before with `{REPLAYED}: true`, and carried out once.",
    ),
]
_After = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        description="With a key that was sent before: the last event that was got; -1: none.",
    ),
]


async def _client(key: _Client = None) -> str | None:
    return read_key(key)


async def _key(request: Request, key: _Key = None) -> IdempotencyKey | None:
    key = read_key(key)
    if key is None:
        return None
    caller = current_caller()
    return IdempotencyKey(caller.identity if caller else "", key, await _fingerprint(request))


def read_key(key: str | None) -> str | None:
    """Read an `Idempotency-Key`; raises InvalidInput for what is none."""
    if key is None:
        return None
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = _ESCAPED.sub(r"\1", key[1:-1])
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"{IDEMPOTENCY_KEY}: must be 1 to {MAX_KEY} visible ASCII characters.")
    return key


async def _fingerprint(request: Request) -> str:
    """What tells a request from another one; how its JSON is written does not matter."""
    route, body = f"{request.method} {request.url.path}", await request.json()
    if len(await request.body()) <= QUICK_BYTES:
        return _digest(route, body)
    return await asyncio.to_thread(_digest, route, body)


def _digest(route: str, body: Any) -> str:
    written = orjson.dumps([route, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(written).hexdigest()


async def _after(last_event_id: _After = "-1") -> Cursor:
    after = Cursor.parse(last_event_id)
    if after is None:
        raise InvalidInput("Last-Event-ID: must be the id of an event of this run, or -1.")
    return after


KeyDep = Annotated[IdempotencyKey | None, Depends(_key)]
ClientDep = Annotated[str | None, Depends(_client)]
AfterDep = Annotated[Cursor, Depends(_after)]


async def succeeded(runs: Runs, before: Repeated, cancelled: RunCancelled) -> Kept:
    """Wait for the end of a run that was sent before; raises what it failed with, or `cancelled`.

    Also raises what `Runs.kept` does.
    """
    kept = await runs.kept(before)
    if kept.failure is not None:
        raise FailedBefore(kept.errors, kept.detail, kept.failure.get("error_id"))
    if kept.status != "success":
        raise cancelled
    return kept


def refuse_when_elsewhere(run: Run) -> None:
    """Have a client ask again for a run with a key that another process goes on with.

    Raises:
        ShuttingDown: sent again, its request finds it there.
    """
    if run.request.idempotent and run.goes_on_elsewhere:
        raise ShuttingDown("Another process goes on with this: ask again, with the same key.")


def replayed(started: Run | Repeated) -> dict[str, str]:
    """Return the header that says that a request was sent before."""
    return {REPLAYED: "true"} if isinstance(started, Repeated) else {}


async def events_again(runs: Runs, before: Repeated, after: Cursor) -> AsyncGenerator[list[Event]]:
    """Yield what a run streams, or streamed, after a place.

    Where it is not kept any more, the state in which it ended, or its error, as the events of it.
    """
    nothing = True
    async with aclosing(runs.follow_again(before, after)) as events:
        async for news in events:
            nothing = nothing and not news
            yield news
    if before.run or not nothing:
        return
    if after != BEGINNING and await runs.has_events(before.run_id):
        return  # it has them all
    about, failed = {"run_id": before.run_id, "attempt": 1}, False
    try:
        kept = await runs.kept(before)
        failed = kept.failure is not None
        state = await runs.kept_state(before, kept)
    except Exception as error:
        failed, kept = True, None
        state = dumps({"error": type(error).__name__, "message": message_of(error)})
    if kept and kept.failure:
        state = dumps(kept.failure)
    yield [
        Event(BEGINNING, "metadata", dumps(about)),
        Event(BEGINNING, "error" if failed else "values", state),
    ]
