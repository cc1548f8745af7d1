"""The asynchronous driver: calls made in one tick of the event loop leave in one pipeline."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Self, TypeAlias

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as NotAnswered
from structlog import get_logger

from everturn.checkpoints.away import patiently
from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.redis import answers
from everturn.checkpoints.redis.calls import Call, Operation, Scan, T
from everturn.checkpoints.redis.codec import Unserializable
from everturn.checkpoints.redis.connect import check_server, create_async_client
from everturn.checkpoints.redis.failures import CALL_FAILED, hangs, translate
from everturn.checkpoints.redis.listing import Steps
from everturn.checkpoints.redis.meter import Meter, received_bytes, sent_bytes
from everturn.checkpoints.redis.saver import ThreadSaver
from everturn.checkpoints.redis.stored import StoredSteps

log = get_logger(__name__)

# Pipelines at one time, each on a connection of its own: fewer than any sensible pool has.
_MAX_PIPELINES = 4
# A pipeline's bounds: enough calls to make the trip cheap, few enough not to keep the first one
# waiting; and an argument is at most a chunk, so this many are at most 32 MB.
_MAX_CALLS = 32
_MAX_ARGUMENTS = 8192
# Turns of the loop between a call and its pipeline. LangGraph stores the writes of a task and, two
# turns later, the checkpoint they lead to; a caller that is answered makes its next call within
# two turns as well.
_DELAY_TURNS = 3

_CHECKPOINTER = "__pregel_checkpointer"  # LangGraph's: what a node's run is stored with

_AWAY = (NotConnected, NotAnswered)
# A cluster client that looks for a node which is away closes the connections of all pipelines, and
# redis-py then finds no writer in one that is just about to write.
_CALL_FAILED = (*CALL_FAILED, AttributeError)
_Refusal: TypeAlias = tuple[Call, asyncio.Future[Any], Exception]


class AsyncRedisSaver(ThreadSaver):
    """LangGraph's memory in plain Redis, Valkey or a Redis Cluster.

    A saver belongs to the event loop it is used in, as its client does; its synchronous methods
    are for other threads than the loop's. See `ThreadSaver` for the arguments and errors.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        ttl: int | None = None,
        prefix: str = "lg",
        serde: SerializerProtocol | None = None,
        keep: int | None = None,
    ) -> None:
        if not isinstance(client, Redis | RedisCluster):
            raise TypeError(
                f"AsyncRedisSaver needs a client of redis.asyncio, not {type(client).__module__}."
                f"{type(client).__qualname__}; for a URL there is AsyncRedisSaver.from_url."
            )
        super().__init__(client, ttl=ttl, prefix=prefix, serde=serde, keep=keep)
        self._pipelines = _Pipelines(client)
        self._stored = StoredSteps()
        self.on_empty: Callable[[str], Awaitable[None]] | None = None
        """Called with a thread of which nothing is there; it may raise where that is a loss."""
        self.meter: Meter | None = None

    @classmethod
    @asynccontextmanager
    async def from_url(
        cls,
        url: str,
        *,
        ttl: int | None = None,
        prefix: str = "lg",
        serde: SerializerProtocol | None = None,
        keep: int | None = None,
    ) -> AsyncIterator[Self]:
        """A saver with a client of its own; see `create_client` for URLs. Checks the server."""
        client = create_async_client(url)
        try:
            await check_server(client)
            saver = cls(client, ttl=ttl, prefix=prefix, serde=serde, keep=keep)
            yield saver
            await saver._pipelines.drained()
        finally:
            with suppress(RedisError):  # a server that hangs: nothing waits for it any more
                await client.aclose()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest; None if there is none."""
        found = await super().aget_tuple(config)
        if found is None and self.on_empty is not None:
            place = config["configurable"]
            if not (place.get("checkpoint_ns") or place.get("checkpoint_id")):
                await self.on_empty(str(place["thread_id"]))
        return found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint; returns the config that names it."""
        try:
            return await super().aput(config, checkpoint, metadata, new_versions)
        finally:
            self._stored.add(checkpoint["id"])

    async def astored(self, config: RunnableConfig) -> None:
        """Wait until the checkpoint is stored that the node with this `config` began from.

        Only of a run that has put it itself; see `stored`.
        """
        step, saver = answers.Step.of(config), config.get("configurable", {}).get(_CHECKPOINTER)
        # LangGraph may run with a copy of a saver, which has its parts.
        if step is not None and getattr(saver, "_stored", None) is self._stored:
            await self._stored.wait(step.checkpoint_id)

    async def akeep_answer(self, config: RunnableConfig, call_id: str, answer: Any) -> None:
        """Keep what a tool call of the node with this `config` has answered; see `answers`.

        Raises StaleWriter: the thread was taken over, and the step with it. An answer that cannot
        be stored now is not kept: it is in the hands of the node still.
        """
        step = answers.Step.of(config)
        if step is None:
            return
        try:
            await self._arun(answers.keep(self._threads, step, call_id, answer))
        except (StoreUnavailable, Unserializable) as error:
            log.warning("tool_answer_not_kept", thread_id=step.address.thread_id, error=str(error))

    async def akept_answers(self, config: RunnableConfig) -> dict[str, Any]:
        """What is kept for the node with this `config`, which runs again, by the calls' ids."""
        step = answers.Step.of(config)
        return {} if step is None else await self._arun(answers.kept(self._threads, step))

    @property
    def _one_slot(self) -> bool:
        return not isinstance(self._pipelines.client, RedisCluster)

    async def _arun(self, operation: Operation[T]) -> T:
        reply = None
        while True:
            try:
                wanted = operation.send(reply)
            except StopIteration as done:
                value: T = done.value
                return value
            reply = await self._answer(wanted)

    async def _answer(self, wanted: Call | Scan) -> Any:
        now = asyncio.get_running_loop().time
        asked_at = now()
        # What is asked twice does no harm: an answer may have been lost.
        reply = await patiently(partial(self._pipelines.make, wanted))
        if self.meter is not None and isinstance(wanted, Call):
            sizes = sent_bytes(wanted), received_bytes(reply)
            self.meter.checkpoint_called(wanted.script.name, now() - asked_at, *sizes)
        return reply

    async def _astream(self, steps: Steps) -> AsyncIterator[CheckpointTuple]:
        reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration:
                return
            reply = None
            if isinstance(step, CheckpointTuple):
                yield step
            else:
                reply = await self._answer(step)

    def _run(self, operation: Operation[T]) -> T:
        return self._from_another_thread(lambda: self._arun(operation))

    def _stream(self, steps: Steps) -> Iterator[CheckpointTuple]:
        found = self._astream(steps)
        while (step := self._from_another_thread(lambda: anext(found, None))) is not None:
            yield step

    def _from_another_thread(self, start: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            return await start()

        loop = self._pipelines.loop
        if loop is None or not loop.is_running() or loop is _running_loop():
            raise RuntimeError(
                "A synchronous method of AsyncRedisSaver is for another thread than that of its "
                "event loop, which must be running: await the a… method, or use RedisSaver."
            )
        return asyncio.run_coroutine_threadsafe(run(), loop).result()


class _Pipelines:
    """Makes calls with a client. Shared by the clones of a saver.

    A super-step stores the writes of its tasks and then its checkpoint, and many threads run side
    by side: what they ask for between two turns of the loop costs one trip. While all pipelines are
    in use calls wait, and then leave together; there are never more waiting than there are callers.
    """

    def __init__(self, client: Redis | RedisCluster) -> None:
        self.client = client
        self.loop = _running_loop()
        self._served = False
        self._answered_at = 0.0  # when, by the loop's clock, the server last answered
        self._turns_left = 0
        self._waiting: deque[tuple[Call, asyncio.Future[Any]]] = deque()
        self._sending: dict[asyncio.Task[None], set[str]] = {}
        self._busy_threads: set[str] = set()

    def make(self, wanted: Call | Scan) -> Awaitable[Any]:
        """The reply to a call, to be awaited; raises StoreUnavailable or StoreMisconfigured."""
        loop = asyncio.get_running_loop()
        if loop is not self.loop:
            self._move_to(loop)
        if isinstance(wanted, Scan):
            return self._scan(wanted)
        future = loop.create_future()
        self._waiting.append((wanted, future))
        self._send_soon()
        return future

    async def drained(self) -> None:
        """Waits for what callers, since cancelled, have sent; connections have timeouts."""
        if self._sending:
            await asyncio.wait(self._sending)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts again in another loop: what a closed loop left will never be answered."""
        if self.loop and not self.loop.is_closed() and (self._waiting or self._sending):
            raise RuntimeError(
                "This AsyncRedisSaver is at work in another event loop: open one in each loop."
            )
        self.loop = loop
        self._answered_at = 0.0
        self._turns_left = 0
        self._waiting.clear()
        self._sending.clear()
        self._busy_threads.clear()

    def _send_soon(self) -> None:
        if not self._turns_left:
            self._turns_left = _DELAY_TURNS
            asyncio.get_running_loop().call_soon(self._count_down)

    def _count_down(self) -> None:
        self._turns_left -= 1
        if self._turns_left:
            asyncio.get_running_loop().call_soon(self._count_down)
        else:
            self._send_batches()

    def _send_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._sending) < _MAX_PIPELINES and (batch := self._next_batch()):
            task = loop.create_task(self._send_batch(batch))
            threads = {call.keys[0] for call, _ in batch}
            self._sending[task] = threads
            self._busy_threads |= threads
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._busy_threads -= self._sending.pop(task)
        if self._waiting:
            self._send_soon()
            # The callers of this batch have their answers and will call again: wait for them.
            self._turns_left = _DELAY_TURNS

    def _next_batch(self) -> list[tuple[Call, asyncio.Future[Any]]]:
        batch: list[tuple[Call, asyncio.Future[Any]]] = []
        staying: list[tuple[Call, asyncio.Future[Any]]] = []
        arguments = 0
        while self._waiting and len(batch) < _MAX_CALLS and arguments < _MAX_ARGUMENTS:
            call, future = self._waiting.popleft()
            if future.done():  # its caller was cancelled
                continue
            # Pipelines may overtake each other; the calls of one thread must not.
            if call.keys[0] in self._busy_threads:
                staying.append((call, future))
            else:
                batch.append((call, future))
                arguments += len(call.args)
        self._waiting.extendleft(reversed(staying))
        return batch

    async def _send_batch(self, batch: list[tuple[Call, asyncio.Future[Any]]]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            replies = await self._send([call for call, _ in batch])
            if any(not isinstance(reply, Exception) for reply in replies):
                self._answered_at = loop.time()
            elif self._answered_at < started and self._one_node and hangs(replies[0]):
                self._give_up(replies[0])
            refused: dict[str, list[_Refusal]] = {}
            for (call, future), reply in zip(batch, replies, strict=True):
                if isinstance(reply, Exception):
                    # Of one node all in a row: the pool may have no more connections.
                    row = "" if self._one_node else call.keys[0]
                    refused.setdefault(row, []).append((call, future, reply))
                else:
                    self._answer(future, reply)
            await asyncio.gather(*map(self._retry_in_order, refused.values()))
        except Exception as error:  # not the server's: a client of a closed loop, say
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        finally:
            for _, future in batch:  # the loop is closing: no caller may wait for ever
                future.cancel()

    def _give_up(self, error: Exception) -> None:
        """Fails the calls that wait: the server was silent for as long as an answer may take."""
        while self._waiting:
            _, future = self._waiting.popleft()
            self._answer(future, error)

    async def _send(self, calls: list[Call]) -> list[Any]:
        """The replies to calls, or their errors."""
        if len(calls) == 1:
            return [await self._try(*_evalsha(calls[0]))]
        try:
            # Not a transaction: each call is atomic and the calls have nothing to do with each
            # other. Not pipeline.evalsha(), which redis-py refuses on a cluster.
            async with self.client.pipeline(transaction=False) as pipeline:
                for call in calls:
                    pipeline.execute_command(*_evalsha(call))
                replies = await pipeline.execute(raise_on_error=False)
        except _CALL_FAILED as error:
            # A node of a cluster that does not even greet fails the calls to all nodes.
            said = NotConnected(*error.args) if hangs(error) and not self._one_node else error
            return [_as_disconnected(said)] * len(calls)
        # After a silence redis-py closes the connection, and says that of the calls that follow.
        silence = next(filter(hangs, replies), None)
        return [silence if silence and isinstance(each, _AWAY) else each for each in replies]

    def _answer(self, future: asyncio.Future[Any], reply: Any) -> None:
        if future.done():
            return
        if isinstance(reply, Exception):
            future.set_exception(translate(reply, served=self._served))
        else:
            self._served = True
            future.set_result(reply)

    async def _retry_in_order(self, refused: list[_Refusal]) -> None:
        """Retries the refused calls of one thread, or of one node, in order.

        A try with a node that is away takes seconds, so after the first one that shows it the
        others get the same error at once. Their own may be that a script is missing, which is
        nobody's fault.
        """
        away: Exception | None = None
        for call, future, error in refused:
            reply = away or await self._retry(call, error)
            away = reply if isinstance(reply, _AWAY) else None
            self._answer(future, reply)

    async def _retry(self, call: Call, reply: Any) -> Any:
        """Makes a call again, by itself, that a fresh server or a changed cluster refused."""
        if isinstance(reply, NotConnected) and not hangs(reply) and not self._one_node:
            reply = await self._try(*_evalsha(call))
        if isinstance(reply, NoScriptError):  # a replica that was promoted has none either
            _, _, *arguments = _evalsha(call)
            reply = await self._try("EVAL", call.script.source, *arguments)
        if isinstance(reply, ReadOnlyError) and isinstance(self.client, Redis):
            # The next connection asks anew where the primary is.
            await self.client.connection_pool.disconnect(inuse_connections=False)
        return reply

    async def _try(self, *command: Any) -> Any:
        """The reply to a command, or its error."""
        try:
            return await self.client.execute_command(*command)
        except _CALL_FAILED as error:
            return _as_disconnected(error)

    @property
    def _one_node(self) -> bool:
        return not isinstance(self.client, RedisCluster)

    async def _scan(self, wanted: Scan) -> list[str]:
        try:
            keys = self.client.scan_iter(match=wanted.pattern, count=1000)
            return [key.decode() async for key in keys]
        except CALL_FAILED as error:
            raise translate(error, served=self._served) from error


def _as_disconnected(error: Exception) -> Exception:
    return NotConnected("the connection was closed") if type(error) is AttributeError else error


def _evalsha(call: Call) -> tuple[Any, ...]:
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
