"""MCP servers as sources of tools that come and go by themselves.

Each server has one task, which opens its session, keeps it and closes it: a session must be left
in the task that entered it. The task never ends by itself. A server that is down is tried again,
later each time; one that a call finds dead, at once.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urljoin

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from structlog import get_logger

from everturn.tools.kit.health import Health
from everturn.tools.kit.mcp.settings import McpServer, McpSettings

if TYPE_CHECKING:  # a second that a service without servers need not wait
    from httpx import AsyncClient
    from mcp import ClientSession

log = get_logger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
"""Seconds before a server is tried again, doubled each time, half of it by chance."""
_PING_SECONDS = 15.0
"""Between pings."""
_PONG_SECONDS = 5.0
"""For the answer to a ping."""
_WATCH_SECONDS = 2.0
"""Between looks, while a call waits, at whether a server still listens at its address."""
_MAX_DESCRIPTION = 1024
"""Characters: what a server says of its tools goes into every prompt."""
_MAX_TOOLS = 128
"""Of one server: all of them go into every prompt, and OpenAI takes no more."""


class McpNotInstalled(Exception):
    """Servers are named, but the packages that speak to them are not installed."""


class McpServerLost(ToolException):
    """The server went away while a call waited for it."""


@asynccontextmanager
async def open_mcp(settings: McpSettings) -> AsyncIterator[Sequence["McpSource"]]:
    """Connect to all servers in the background, and end them at the end.

    Raises:
        McpNotInstalled: says what to install.
    """
    if not settings.mcp_servers:
        yield ()
        return
    try:
        import langchain_mcp_adapters  # noqa: F401 - asked for here, where one can still say so
    except ImportError:
        raise McpNotInstalled(
            "EVERTURN_MCP_SERVERS names servers: pip install 'everturn[mcp]' to speak to them "
            "(in a clone: .venv/bin/pip install -e '.[mcp]')."
        ) from None
    sources = [
        McpSource(name, server, settings.mcp_timeout)
        for name, server in settings.mcp_servers.items()
    ]
    tasks = [asyncio.create_task(source.keep(), name=source.name) for source in sources]
    try:
        yield sources
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=settings.mcp_timeout)


class McpSource:
    """The tools of one server; see `ToolSource`."""

    def __init__(self, name: str, server: McpServer, timeout: float) -> None:
        self._server_name = name
        self._server = server
        self._timeout = timeout
        self._tools: Sequence[BaseTool] = ()
        self._health = Health("down", "not connected yet")
        self._news = asyncio.Event()
        self._lost = False
        self._client: AsyncClient | None = None
        self._left = asyncio.Event()
        self._left.set()
        self._calls = 0

    @property
    def name(self) -> str:
        """Names the source to people."""
        return f"mcp:{self._server_name}"

    def tools(self) -> Sequence[BaseTool]:
        """Return the tools of the server, while it is there."""
        return self._tools

    def health(self) -> Health:
        """Say whether the server is there, and if not, why."""
        return self._health

    def misses(self, name: str) -> bool:
        """Say whether a tool may be of this server, which is down."""
        return self._health.status == "down" and name.startswith(f"{self._server_name}_")

    async def keep(self) -> None:
        """Stay connected. Never ends; `health` reports a server's failure."""
        wait = _FIRST_WAIT
        while True:
            try:
                async with self._session() as session:
                    await self._list(session)
                    wait = _FIRST_WAIT
                    await self._stay(session)
            except Exception as error:  # also the groups that a transport's tasks fail with
                self._gone(_reason(error))
            if not self._lost:
                await asyncio.sleep(wait * random.uniform(0.5, 1))
                wait = min(2 * wait, _LONGEST_WAIT)
            self._lost = False

    @asynccontextmanager
    async def _session(self) -> AsyncIterator["ClientSession"]:
        from mcp import ClientSession

        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._timeout):
                reading, writing = await self._transport(stack)
                session = await stack.enter_async_context(
                    ClientSession(reading, writing, message_handler=self._receive)
                )
                await session.initialize()
            self._left = asyncio.Event()
            try:
                yield session
            finally:
                self._left.set()

    async def _transport(self, stack: AsyncExitStack) -> tuple[Any, Any]:
        server = self._server
        if server.url is not None:
            from httpx import AsyncClient, Timeout
            from mcp.client.streamable_http import streamable_http_client

            # Of reading: a server may be silent for long; pings and calls have limits of their own.
            patience = Timeout(self._timeout, read=None)
            client = AsyncClient(headers=_revealed(server.headers), timeout=patience)
            self._client = await stack.enter_async_context(client)
            reading, writing, _ = await stack.enter_async_context(
                streamable_http_client(str(server.url), http_client=client)
            )
            return reading, writing
        from mcp.client.stdio import StdioServerParameters, stdio_client

        # What a server says on stderr is its own affair, and may be any amount.
        silence: TextIO = stack.enter_context(open(os.devnull, "w"))  # noqa: ASYNC230, PTH123, SIM115
        started = StdioServerParameters(
            command=server.command or "",
            args=server.args,
            env=_revealed(server.env),
            cwd=server.cwd,
        )
        return await stack.enter_async_context(stdio_client(started, silence))

    async def _list(self, session: "ClientSession") -> None:
        from langchain_mcp_adapters.tools import load_mcp_tools

        async with asyncio.timeout(self._timeout):
            tools = await load_mcp_tools(
                session,
                tool_interceptors=[self._call],
                server_name=self._server_name,
                tool_name_prefix=True,
            )
        if len(tools) > _MAX_TOOLS:
            log.warning("mcp_tools_left_out", server=self._server_name, tools=len(tools))
        for tool in (tools := tools[:_MAX_TOOLS]):
            tool.description = tool.description[:_MAX_DESCRIPTION]
            if isinstance(tool, StructuredTool) and tool.coroutine is not None:
                tool.coroutine = _as_text(tool.coroutine)
        self._tools, self._health = tuple(tools), Health()
        log.info("mcp_connected", server=self._server_name, tools=[tool.name for tool in tools])

    async def _stay(self, session: "ClientSession") -> None:
        """Return when a call has found the server dead; raise when a ping does.

        While calls wait it may be too busy to answer a ping: most servers run a tool on their one
        thread. Those calls watch it themselves.
        """
        while not self._lost:
            self._news.clear()
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                if self._calls:
                    continue
                async with asyncio.timeout(_PONG_SECONDS):
                    await session.send_ping()
            else:
                if not self._lost:
                    await self._list(session)
        self._gone("the connection was lost")

    async def _receive(self, message: Any) -> None:
        from mcp.types import ServerNotification, ToolListChangedNotification

        if isinstance(message, ServerNotification) and isinstance(
            message.root, ToolListChangedNotification
        ):
            self._news.set()

    async def _call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Carry out a call; a server that is gone is an error that the model may read."""
        from anyio import BrokenResourceError, ClosedResourceError
        from mcp import McpError

        calling = asyncio.ensure_future(handler(request))
        self._calls += 1
        try:
            await self._watch(calling)
            return await calling
        except (McpError, BrokenResourceError, ClosedResourceError, OSError) as error:
            if isinstance(error, McpError) and not _is_closed(error):
                raise ToolException(f"The server refused the call: {error}"[:500]) from error
            self._lost = True
            self._news.set()
            raise McpServerLost("The tool's server went away. Do without it.") from error
        finally:
            self._calls -= 1
            calling.cancel()

    async def _watch(self, calling: asyncio.Future[Any]) -> None:
        """Return when a call is done; raise when its session ends, or its server has gone."""
        if self._left.is_set():
            raise ConnectionError("there is no session")
        ends = [asyncio.ensure_future(self._left.wait()), asyncio.ensure_future(self._deserted())]
        try:
            await asyncio.wait({calling, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                raise ConnectionError("the session has ended, or the server no longer listens")
        finally:
            for end in ends:
                end.cancel()

    async def _deserted(self) -> None:
        """Return when the server no longer listens; over stdio its session ends instead.

        Over HTTP a call to a server that is gone is never answered, not even with an error. What a
        server that is there answers here, or whether it has the time to, says nothing.
        """
        from httpx import ConnectError, ConnectTimeout, TransportError

        if self._client is None:
            await self._left.wait()
        while self._client is not None:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                # Not the path of the protocol: servers start a session for each request there.
                await self._client.head(urljoin(str(self._server.url), "/"), timeout=_PONG_SECONDS)
            except (ConnectError, ConnectTimeout):
                return
            except TransportError:
                continue

    def _gone(self, reason: str) -> None:
        if self._tools or self._health.reason != reason:
            log.warning("mcp_not_connected", server=self._server_name, reason=reason)
        self._tools, self._health = (), Health("down", reason)


def _as_text(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Join what is all text: not every provider takes a tool's result in parts."""

    @wraps(call)
    async def joined(*args: Any, **kwargs: Any) -> Any:
        content, artifact = await call(*args, **kwargs)
        if isinstance(content, list) and all(
            isinstance(part, dict) and part.get("type") == "text" for part in content
        ):
            content = "\n".join(part["text"] for part in content)
        return content, artifact

    return joined


def _is_closed(error: Any) -> bool:
    from mcp.types import CONNECTION_CLOSED

    return bool(error.error.code == CONNECTION_CLOSED)


def _reason(error: BaseException) -> str:
    """The class of an error; its text may hold an address with a key in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, FileNotFoundError):
        return "its program is not there"
    return f"{type(error).__name__}"


def _revealed(secrets: Mapping[str, Any]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in secrets.items()}
