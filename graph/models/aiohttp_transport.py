"""aiohttp below httpx2's client: a stream is read in a third of the CPU time.

httpx2's own transport parses HTTP in Python and sets a timeout for each piece; aiohttp parses it in
C. Everything above stays httpx2's: headers, redirects, cookies, and its errors.
"""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx2
from typing_extensions import override
from yarl import URL

_MAX_CONNECTIONS = 1000  # as many as openai's own client opens
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Connections to a provider that no proxy stands before; they belong to one event loop.

    Reading has no deadline of its own: the caller's count. It calls a request's `trace`, as
    httpx2's transport does, when it opens a connection.
    """

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._session: aiohttp.ClientSession | None = None

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._session is None:
            self._session = _session(self._trusted)
        url, extensions = request.url, request.extensions
        if url.userinfo:  # it is in a header by now
            url = url.copy_with(username=None, password=None)
        with _errors_of_httpx2():
            response = await self._session.request(
                request.method,
                URL(str(url), encoded=True),
                headers=request.headers.multi_items(),
                data=request.content,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=extensions.get("timeout", {}).get("connect")
                ),
                trace_request_ctx=extensions.get("trace"),
            )
        return httpx2.Response(
            response.status, headers=response.raw_headers, stream=_Body(response), request=request
        )

    @override
    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Body(httpx2.AsyncByteStream):
    """The bytes of a response as they come; closed before its end, it closes its connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx2():
            while piece := await self._response.content.readany():
                yield piece

    async def aclose(self) -> None:
        self._response.close()


def _session(trusted: ssl.SSLContext) -> aiohttp.ClientSession:
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(_trace_connection)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=_MAX_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_NO_TIMEOUT,
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        trace_configs=[tracing],
    )


async def _trace_connection(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
    if trace := context.trace_request_ctx:
        await trace("connection.connect_tcp.started", {})


@contextmanager
def _errors_of_httpx2() -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError) as error:
        cause = error.__cause__ or error  # aiohttp's own certificate error lacks what was wrong
        raise httpx2.ConnectError(str(cause)) from cause
    except OSError as error:  # aiohttp.ClientOSError is one
        raise httpx2.ReadError(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx2.RemoteProtocolError(str(error)) from error
