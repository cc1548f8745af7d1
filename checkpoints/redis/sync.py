"""The synchronous driver: a call is made where it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol
from redis import Redis, RedisCluster
from redis.exceptions import NoScriptError

from everturn.checkpoints.redis.calls import Call, Operation, Scan, T
from everturn.checkpoints.redis.connect import check_sync_server, create_client
from everturn.checkpoints.redis.failures import CALL_FAILED, translate
from everturn.checkpoints.redis.listing import Steps
from everturn.checkpoints.redis.saver import ThreadSaver


class RedisSaver(ThreadSaver):
    """LangGraph's memory in plain Redis, Valkey or a Redis Cluster, for synchronous code.

    Its `a…` methods run the same in a worker thread; code that is asynchronous throughout is
    better served by `AsyncRedisSaver`. See `ThreadSaver` for the arguments and errors.
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
                f"RedisSaver needs a synchronous client of redis-py, not {type(client).__module__}."
                f"{type(client).__qualname__}; for a URL there is RedisSaver.from_url."
            )
        super().__init__(client, ttl=ttl, prefix=prefix, serde=serde, keep=keep)
        self._calls = _Calls(client)

    @classmethod
    @contextmanager
    def from_url(
        cls,
        url: str,
        *,
        ttl: int | None = None,
        prefix: str = "lg",
        serde: SerializerProtocol | None = None,
        keep: int | None = None,
    ) -> Iterator[Self]:
        """A saver with a client of its own; see `create_client` for URLs. Checks the server."""
        client = create_client(url)
        try:
            check_sync_server(client)
            yield cls(client, ttl=ttl, prefix=prefix, serde=serde, keep=keep)
        finally:
            client.close()

    @property
    def _one_slot(self) -> bool:
        return not isinstance(self._calls.client, RedisCluster)

    def _run(self, operation: Operation[T]) -> T:
        reply = None
        while True:
            try:
                wanted = operation.send(reply)
            except StopIteration as done:
                value: T = done.value
                return value
            reply = self._calls.make(wanted)

    async def _arun(self, operation: Operation[T]) -> T:
        return await asyncio.to_thread(self._run, operation)

    def _stream(self, steps: Steps) -> Iterator[CheckpointTuple]:
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
                reply = self._calls.make(step)

    async def _astream(self, steps: Steps) -> AsyncIterator[CheckpointTuple]:
        found = self._stream(steps)
        while (step := await asyncio.to_thread(next, found, None)) is not None:
            yield step


class _Calls:
    """Makes calls with a client. Shared by the clones of a saver."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self.client = client
        # redis-py leaves this one method untyped.
        self._execute: Callable[..., Any] = client.execute_command
        self._served = False

    def make(self, wanted: Call | Scan) -> Any:
        try:
            reply = self._scan(wanted) if isinstance(wanted, Scan) else self._evaluate(wanted)
        except CALL_FAILED as error:
            raise translate(error, served=self._served) from error
        self._served = True
        return reply

    def _evaluate(self, call: Call) -> Any:
        arguments = (len(call.keys), *call.keys, *call.args)
        try:
            return self._execute("EVALSHA", call.script.sha, *arguments)
        except NoScriptError:
            return self._execute("EVAL", call.script.source, *arguments)

    def _scan(self, wanted: Scan) -> list[str]:
        keys = self.client.scan_iter(match=wanted.pattern, count=1000)
        return [key.decode() for key in keys]
