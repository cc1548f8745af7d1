"""The connections of clients: how many, how fast and how large, and until when.

uvicorn speaks HTTP on each of them. What is added here are bounds: a client that sends or reads too
slowly, sends too large a head, or is one too many does not take from the others. Time is counted in
looks, one a second: a service that was held up itself takes it out on no client.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass
from errno import EMFILE, ENFILE
from functools import partial
from typing import Any, cast

from structlog import get_logger
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from everturn.server.api.http.hang_up import HANG_UP
from everturn.server.api.http.problems import Problem, problem_of_status, problem_response
from everturn.server.api.http.sse import DROPPED

log = get_logger(__name__)

MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 200
HEAD_SECONDS = 10
"""For the head of a request, from the connection or from its first byte on."""
MIN_BYTES_A_SECOND = 16_384
"""Of a body: so many bytes give it another second."""
MAX_REQUESTS = 1000
"""On one connection, which then ends."""
MAX_PIPELINED = 16
"""Requests that wait on one connection for the answer to one before them."""
MAX_UNSENT_BYTES = 268_435_456
"""Of all answers that wait for their clients; beyond it the slowest are dropped at once."""
_MIN_READ_BYTES = 16_384
"""A client that takes less in its time has stopped reading."""
_KEPT_FILES = 256
"""Descriptors that connections leave to stores, providers and files."""

_LOOKS_FOR_FILES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the settings say; seconds, and numbers of connections."""

    send_timeout: float
    request_timeout: float
    connections: int
    connections_per_client: int
    proxies: Container[str] = ()
    """Addresses that bring the connections of many clients."""


class Connections:
    """All connections of the service."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._all: set[Connection] = set()
        self._of_client: Counter[str] = Counter()
        self._full = False
        self._out_of_files = 0
        self.leaving = False

    @property
    def open(self) -> int:
        """How many there are that end by themselves: not sockets, which uvicorn ends."""
        return sum(not each.is_socket for each in self._all)

    @property
    def busy(self) -> int:
        """How many there are whose answer is under way."""
        return sum(each.is_busy for each in self._all)

    def leave(self) -> None:
        """Let each end with its next answer, or when it has been idle for a second or two.

        The answer says so; a client that asked meanwhile would else not know what became of it.
        """
        self.leaving = True
        for each in self._all:
            if each.cycle and not each.cycle.response_started:
                each.cycle.keep_alive = False

    def hang_up(self) -> None:
        """End those whose answer has begun, and would not end by itself."""
        for each in list(self._all):
            if each.is_busy and each.cycle.response_started:
                each.was_dropped = True  # its client is to come back, and has not left
                each.hang_up()

    def protocol(self, **how: Any) -> "Connection":
        """Make uvicorn's protocol for one connection."""
        return Connection(self, **how)

    def add(self, connection: "Connection") -> Problem | None:
        """Count a connection; what is answered on it where it is one too many."""
        self._all.add(connection)
        self._of_client[connection.address] += 1
        if len(self._all) > self.limits.connections:
            self._log_full()
            return problem_of_status(
                503,
                "The service has as many connections as it takes: come back in a moment, or see "
                "EVERTURN_MAX_CONNECTIONS.",
            )
        self._full = False
        too_many = self._of_client[connection.address] > self.limits.connections_per_client
        if too_many and connection.address not in self.limits.proxies:
            return problem_of_status(
                429,
                "This client has as many connections as one may have: close some, or see "
                "EVERTURN_MAX_CONNECTIONS_PER_CLIENT.",
            )
        return None

    def remove(self, connection: "Connection") -> None:
        """Count a connection no more."""
        if connection in self._all:
            self._all.remove(connection)
            self._of_client[connection.address] -= 1
            if not self._of_client[connection.address]:
                del self._of_client[connection.address]

    async def watch(self) -> None:
        """Look at all connections once a second. Never ends."""
        while True:
            await asyncio.sleep(1)
            dropped = sum(each.look() for each in list(self._all)) + self._make_room()
            if dropped:
                log.info("slow_readers_dropped", connections=dropped)
            self._look_for_files()

    def _make_room(self) -> int:
        """Let those go who keep the most waiting, where all together keep too much."""
        unsent = {each: each.unsent for each in self._all if each.unsent}
        total, dropped = sum(unsent.values()), 0
        for each in sorted(unsent, key=lambda each: each.silent, reverse=True):
            if total <= MAX_UNSENT_BYTES or not each.silent:
                break
            total -= unsent[each]
            each.drop()
            dropped += 1
        return dropped

    def _log_full(self) -> None:
        if not self._full:
            self._full = True
            log.warning(
                "too_many_connections",
                connections=self.limits.connections,
                advice="see EVERTURN_MAX_CONNECTIONS, and the limit of open files (ulimit -n)",
            )

    def _look_for_files(self) -> None:
        """Log once that there are no descriptors left, and once that there are again.

        The event loop meanwhile leaves those who connect waiting, or hangs up.
        """
        if not _has_files():
            if not self._out_of_files:
                log.warning("out_of_file_descriptors", advice="raise the limit (ulimit -n)")
            self._out_of_files = _LOOKS_FOR_FILES
        elif self._out_of_files:  # for a moment there may be one
            self._out_of_files -= 1
            if not self._out_of_files:
                log.info("file_descriptors_again")


def _has_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in {EMFILE, ENFILE}
    return True


def bounded(connections: int) -> int:
    """Bound a number of connections by the descriptors that this process may open.

    The limit is raised as far as the system lets it.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A turn takes a connection to its provider beside that of its client.
    wanted = 2 * connections + _KEPT_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    return max(1, (soft - min(_KEPT_FILES, soft // 2)) // 2)


class _Refused(Exception):
    """The parser need not go on."""


class _Counted:
    """A transport that counts what is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.bytes = 0
        self._transport = transport
        self._write = transport.write

    def write(self, data: bytes) -> None:
        self.bytes += len(data)
        self._write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Socket(WebSocketsSansIOProtocol):
    """uvicorn's protocol for a WebSocket, which says when it is over."""

    def __init__(self, over: Callable[[], None], **how: Any) -> None:
        super().__init__(**how)
        self._over = over

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._over()
        super().connection_lost(exc)


class Connection(HttpToolsProtocol):
    """One connection, within its bounds."""

    def __init__(self, all_of_them: Connections, **how: Any) -> None:
        super().__init__(**how)
        self.was_dropped = False
        """It was ended because its client did not read."""
        self.is_socket = False
        self.address = ""
        self._was_idle = False
        self.silent = 0
        """Looks at which its client had taken nothing of what waits."""
        self._all = all_of_them
        self._limits = all_of_them.limits
        self._refusal: Problem | None = None
        self._flaw: Problem | None = None
        self._arriving = True
        self._in_head = True
        self._received = 0
        self._without_body = 0
        """Bytes behind the head, since the last that came with a part of the body."""
        self._has_body = False
        """Of the data that is read now, some is."""
        self._looks = 0
        self._requests = 0
        """That began on it."""
        self._deaf = False
        """Whatever else comes is not read: the connection ends with an answer."""
        self._taken: int | None = None
        """Bytes that had left for the client when it last made way for more."""

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def look(self) -> bool:
        """Look at it, once a second; whether its client was dropped."""
        if left := self.unsent:
            return self._look_at_reader(left)
        self.silent, self._taken = 0, None
        if self._arriving and not self._deaf and not self.flow.read_paused:
            self._look_at_sender()
        idle = not (self._arriving or self.is_busy or self.is_socket)
        if idle and self._was_idle and self._all.leaving:
            self.transport.close()
        self._was_idle = idle
        return False

    def _look_at_reader(self, left: int) -> bool:
        taken = self._written.bytes - left
        if self._taken is None or taken - self._taken >= _MIN_READ_BYTES:
            self.silent, self._taken = 0, taken
            return False
        self.silent += 1
        if self.silent < self._limits.send_timeout:
            return False
        self.drop()
        return True

    @property
    def is_busy(self) -> bool:
        """Whether its client waits for an answer, or the rest of one."""
        return self.cycle is not None and not self.cycle.response_complete

    def hang_up(self) -> None:
        """End it in the middle of an answer, once what is written of that is sent."""
        if self.cycle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def drop(self) -> None:
        """End it: its client has stopped reading."""
        self.was_dropped = True
        self.transport.abort()

    def _look_at_sender(self) -> None:
        self._looks += 1
        if self._in_head:
            limit = min(2 if self._refusal else HEAD_SECONDS, self._limits.request_timeout)
        else:
            limit = self._limits.request_timeout + self._received / MIN_BYTES_A_SECOND
        if self._looks <= limit:
            return
        if self._received:
            self._end_with(
                problem_of_status(408, "The request came too slowly: see EVERTURN_REQUEST_TIMEOUT.")
            )
        else:
            self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse."""
        self._written = _Counted(transport)
        super().connection_made(cast("asyncio.Transport", self._written))
        self.address = self.client[0] if self.client else ""
        self._refusal = self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._all.remove(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to another protocol; it is counted, and its reader looked at."""
        self._arriving, self.is_socket = False, True
        made = partial(_Socket, partial(self._all.remove, self))
        self.ws_protocol_class = made  # type: ignore[assignment]  # whatever makes one
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        if self._deaf:
            return
        if not self._arriving:
            self._begin()
        began, self._has_body = self._requests, False
        super().data_received(data)
        # Of data in which a request began, some may be of the one before.
        size = len(data) if began == self._requests else 1
        self._received += size
        # Behind the head, extensions of chunks and trailers have no end of their own.
        self._without_body = 0 if self._has_body else self._without_body + size
        if (self._received if self._in_head else self._without_body) > MAX_HEAD_BYTES:
            self._end_with(_TOO_LARGE)

    def _begin(self) -> None:
        self._arriving = self._in_head = True
        self._received = self._looks = self._without_body = 0

    def on_message_begin(self) -> None:
        """Begin with a request."""
        if self._deaf:
            raise _Refused
        self._begin()
        self._requests += 1
        super().on_message_begin()
        scope = cast("dict[str, Any]", self.scope)
        scope[DROPPED] = lambda: self.was_dropped
        scope[HANG_UP] = self.hang_up

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; not a trailer, which would pass for one that was there from the start."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._has_body = True
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Answer it, if its head is within bounds."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._flaw = _TOO_LARGE
            raise _Refused
        if self._refusal and self.parser and self.parser.should_upgrade():
            self._flaw = self._refusal
            raise _Refused
        super().on_headers_complete()
        self._in_head, self._looks = False, 0
        if self.cycle is None:  # a WebSocket
            return
        last = self._requests >= MAX_REQUESTS or len(self.pipeline) >= MAX_PIPELINED
        if last or self._refusal or self._all.leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The whole request is there."""
        super().on_message_complete()
        self._arriving = False
        if self.cycle and not self.cycle.keep_alive:
            self._deaf = True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        refusal: Any = problem_response(self._refusal) if self._refusal else None
        super()._start_asgi_task(cycle, refusal or app)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser could not read, or need not."""
        if not self._deaf:
            self._end_with(self._flaw or _UNREADABLE)

    def _end_with(self, problem: Problem) -> None:
        """Answer the request that comes in with a problem, where that can be; then hang up."""
        self._deaf = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            earlier = self._in_head or bool(self.pipeline)
            if earlier and not self.pipeline:
                cycle.keep_alive = False  # the answer under way is the last one
                return
            if earlier or cycle.response_started:
                self.transport.abort()
                return
            cycle.disconnected = True  # for its app the client has left
            cycle.message_event.set()
        elif cycle is not None and not self._in_head:  # it has its answer, and goes on sending
            self.transport.close()
            return
        answer = problem_response(problem)
        head = [*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close")]
        lines = b"".join(b"%s: %s\r\n" % header for header in head)
        self.transport.write(STATUS_LINE[problem.status] + lines + b"\r\n" + bytes(answer.body))
        self.transport.close()


_TOO_LARGE = problem_of_status(
    431, f"The head of a request may have {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers."
)
_UNREADABLE = problem_of_status(400, "The request is no HTTP/1.1 (RFC 9112).")
