"""What deletes and copies."""

from collections.abc import Sequence

from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.calls import Operation, Scan, Threads
from everturn.checkpoints.redis.keyspace import text
from everturn.checkpoints.redis.reading import places
from everturn.checkpoints.redis.record import unpack_checkpoint

# Records read at once: without channels they are small, so the page needs no bound in bytes.
_RECORDS = 500
_NO_BOUND = 2**53


def thread_ids(threads: Threads) -> Operation[list[str]]:
    """All threads of the keyspace. It names none, so this alone has to scan."""
    indexes = yield Scan(threads.keyspace.pattern)
    found = (threads.keyspace.thread_id(index) for index in indexes)
    return sorted({thread_id for thread_id in found if thread_id is not None})


def delete_thread(threads: Threads, thread_id: str) -> Operation[None]:
    """Deletes both keys of a thread."""
    yield threads.call("delete", Address(str(thread_id)))


def delete_for_runs(
    threads: Threads, run_ids: Sequence[str], thread_id: str | None
) -> Operation[None]:
    """Deletes the checkpoints of runs and what only they needed.

    Which run a checkpoint belongs to stands in its metadata, which the server cannot read (it may
    be encrypted), so records are read and judged here: those of every thread, unless `thread_id`
    names one. A checkpoint that a surviving delta channel is rebuilt from stays.
    """
    _check_listed("run_ids", run_ids)
    if not run_ids:
        return
    targets = [str(thread_id)] if thread_id is not None else (yield from thread_ids(threads))
    for target in targets:
        doomed = yield from _checkpoints_of_runs(threads, Address(target), set(run_ids))
        if doomed:
            yield threads.call("prune", Address(target), "", *doomed)


def _checkpoints_of_runs(
    threads: Threads, address: Address, run_ids: set[str]
) -> Operation[list[bytes]]:
    names = list((yield from places(threads, address.thread_id)))
    found = []
    while names:
        asked, names = names[:_RECORDS], names[_RECORDS:]
        reply = yield threads.call("read", address, _NO_BOUND, "bare", *asked, use=False)
        sealed_key, _, chunks, entries = reply
        unpacker = threads.unpacker(address, sealed_key, chunks)
        for name, stored, *_ in entries:
            if unpack_checkpoint(unpacker, stored).metadata.get("run_id") in run_ids:
                found.append(name)
    return found


def prune(threads: Threads, thread_ids: Sequence[str], strategy: str) -> Operation[None]:
    """Deletes all but the newest checkpoint of each namespace, or ("delete") whole threads.

    What the delta channels of a kept checkpoint are rebuilt from is kept with it.
    """
    if strategy not in {"keep_latest", "delete"}:
        raise ValueError(f"Unknown strategy {strategy!r}: use 'keep_latest' or 'delete'.")
    _check_listed("thread_ids", thread_ids)
    for thread_id in thread_ids:
        if strategy == "delete":
            yield from delete_thread(threads, thread_id)
        else:
            yield threads.call("prune", Address(str(thread_id)), 1)


def _check_listed(name: str, ids: Sequence[str]) -> None:
    if isinstance(ids, str):  # a sequence of strings too: its letters would be taken for ids
        raise TypeError(f"{name} must be a list of ids, not the string {ids!r}.")


def copy_thread(threads: Threads, source: str, target: str, *, one_slot: bool) -> Operation[None]:
    """Copies a whole thread: one script, or DUMP and RESTORE where nodes differ (a cluster).

    Raises ValueError if the target exists: copying must not overwrite a conversation. It does not
    if the target is this copy already: the reply to an earlier try may have been lost. A source
    without checkpoints is not copied.
    """
    if source == target:
        return
    address = Address(str(target))
    if one_slot:
        call = threads.call("copy", address, text(str(source)))
        source_keys = threads.keyspace.thread(str(source))
        copied = yield call._replace(keys=(*call.keys, *source_keys))
    else:
        index, data, milliseconds = yield threads.call("dump", Address(str(source)))
        if data is None:
            return
        copied = yield threads.call(
            "restore", address, text(str(source)), index, data, milliseconds
        )
    if not copied:
        raise ValueError(f"Thread {target!r} has checkpoints already: delete it first.")
