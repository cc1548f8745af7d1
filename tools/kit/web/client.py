"""All outgoing HTTP of tools: services that the settings name, and pages that a caller names."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import orjson
from structlog import get_logger

from everturn.tools.kit.web.addresses import MAX_LENGTH, Rules
from everturn.tools.kit.web.breaker import Breaker
from everturn.tools.kit.web.errors import BadAnswer, Refused, Unreachable
from everturn.tools.kit.web.settings import WebSettings

if TYPE_CHECKING:  # a quarter of a second, which a service that sends no request need not spend
    import httpx2

    from everturn.tools.kit.web.connections import Network

log = get_logger(__name__)

T = TypeVar("T")

_MAX_REDIRECTS = 5
_MAX_JSON = 2_000_000  # bytes, unpacked
_JSON = "application/json"
_PACKED = frozenset({"identity", "gzip", "deflate"})
_TEXTS = ("text/", _JSON, "application/xml", "application/xhtml+xml")


@dataclass(frozen=True, slots=True)
class Page:
    """What an address answered with."""

    url: str
    """Where it came from in the end."""
    content_type: str
    """In lower case and without parameters, such as `text/html`."""
    charset: str | None
    """As the header names it."""
    body: bytes
    cut: bool
    """There was more than may be read."""


class _Clients(NamedTuple):
    services: "httpx2.AsyncClient"
    pages: "httpx2.AsyncClient"


class Web:
    """Outgoing requests under limits of time and size; its connections belong to one event loop.

    Nothing is loaded or opened before the first request. Services and pages have pools of their
    own, so that no page comes through a connection that the rules for pages would refuse.
    """

    def __init__(
        self, settings: WebSettings, *, network: "Network | None" = None, idle: int = 20
    ) -> None:
        """Take another `network` than this machine's; keep `idle` connections to services open."""
        self.settings = settings
        self.breaker = Breaker()
        self._rules = Rules.of(settings)
        self._network = network
        self._idle = idle
        self._clients: _Clients | None = None
        self._making = asyncio.Lock()

    async def ask(self, service: str, url: str, params: Mapping[str, str | int | float]) -> Any:
        """Return the JSON that a service answers to GET; its `url` comes from settings.

        Raises:
            Unreachable: it cannot be reached, does not answer in time, or did not of late.
            BadAnswer: it answered with an error, with too much, or with no JSON.
        """
        with self.breaker.watching(service):
            return await self.read(service, url, params)

    async def read(
        self, service: str, url: str, params: Mapping[str, str | int | float] | None = None
    ) -> Any:
        """As `ask`, for a caller that itself pauses after a failure: no circuit opens."""
        client = (await self._open()).services
        return await _within(
            self.settings.web_timeout, service, lambda: _read_json(client, service, url, params)
        )

    async def fetch(self, url: str) -> Page:
        """Return the page at an address that a model or a client may have chosen.

        Raises:
            Refused: it, or what it redirects to, is not a public page.
            Unreachable: it cannot be reached, or not in time.
            BadAnswer: it answered with an error, or with something other than text.
        """
        client = (await self._open()).pages
        return await _within(
            self.settings.fetch_timeout, "The page", lambda: self._page(client, url)
        )

    async def check(self, url: str) -> None:
        """Raise Refused for an address that may not be asked, as far as its text shows."""
        checked = await asyncio.to_thread(self._checked, url)  # the first time, it loads the client
        try:
            address = ip_address(checked.host)
        except ValueError:
            return  # where a name leads is seen when it is asked
        port = checked.port or {"http": 80, "https": 443}[checked.scheme]
        self._rules.check_addresses(checked.host, [address], port)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body to an address that a client may have chosen; redirects are not followed.

        Raises:
            Refused: it is not a public address.
            Unreachable: it cannot be reached, or not in time.
            BadAnswer: it did not take the body.
        """
        client = (await self._open()).pages
        request = client.build_request("POST", self._checked(url), content=body, headers=headers)

        async def exchange() -> None:
            response = await client.send(request, stream=True)
            async with aclosing(response):
                if not response.is_success:
                    raise BadAnswer(f"The address answered {response.status_code}.")

        await _within(self.settings.web_timeout, "The address", exchange)

    async def call(
        self,
        service: str,
        url: str,
        body: Any = None,
        *,
        headers: Mapping[str, str],
        seconds: float,
        public: bool = False,
    ) -> Any:
        """Return the JSON with which a service answers a POST of JSON, or GET without a `body`.

        A POST is sent once, as it may do something; redirects are not followed. What settings name
        may be on this machine or in its network; an address that came from elsewhere, such as
        from an answer, must be `public`.

        Raises:
            Refused: it must be a public address, and is none.
            Unreachable: it cannot be reached, or not within `seconds`.
            BadAnswer: it answered with an error, with too much, or with no JSON.
        """
        clients = await self._open()
        client = clients.pages if public else clients.services
        request = client.build_request(
            "GET" if body is None else "POST",
            self._checked(url) if public else url,
            content=None if body is None else orjson.dumps(body),
            headers={"Accept": _JSON, "Content-Type": _JSON, **headers},
        )
        send = partial(_json_of, client, service, request)
        return await _within(seconds, service, send, repeat=body is None)

    async def aclose(self) -> None:
        """Close the connections, if there ever were any."""
        if self._clients is not None:
            for client in self._clients:
                await client.aclose()
            self._clients = None

    async def _open(self) -> _Clients:
        async with self._making:
            if self._clients is None:
                self._clients = await asyncio.to_thread(self._make)
        return self._clients

    def _make(self) -> _Clients:
        import httpx2

        from everturn.tools.kit.web.connections import Internet, Transport

        network = self._network or Internet()
        ssl = httpx2.create_ssl_context()
        headers = {"User-Agent": self.settings.user_agent, "Accept-Encoding": "gzip, deflate"}
        timeout = httpx2.Timeout(None, connect=self.settings.web_connect_timeout)

        def client(transport: httpx2.AsyncHTTPTransport) -> httpx2.AsyncClient:
            return httpx2.AsyncClient(
                transport=transport,
                headers=headers,
                timeout=timeout,
                cookies=_no_cookies(),
                trust_env=False,
            )

        return _Clients(
            client(Transport(network, None, ssl, self._idle)),
            client(Transport(network, self._rules.check_addresses, ssl, 0)),
        )

    async def _page(self, client: "httpx2.AsyncClient", url: str) -> Page:
        request = client.build_request("GET", self._checked(url))
        for _ in range(_MAX_REDIRECTS + 1):
            response = await client.send(request, stream=True)
            async with aclosing(response):
                if response.next_request is None:
                    return await _read_page(response, self.settings.fetch_max_bytes)
                request = response.next_request
                self._checked(str(request.url))
        raise BadAnswer(f"The page redirects more than {_MAX_REDIRECTS} times.")

    def _checked(self, address: str) -> "httpx2.URL":
        """Return an address that may be asked, as far as its text shows."""
        import httpx2

        try:
            url = httpx2.URL(address[: MAX_LENGTH + 1])
        except httpx2.InvalidURL:
            raise Refused("That is no address of a page.") from None
        if len(address) > MAX_LENGTH:
            raise Refused(f"The address is longer than {MAX_LENGTH} characters.")
        if url.scheme not in {"http", "https"}:
            raise Refused("The address must begin with https:// or http://.")
        if url.userinfo:
            raise Refused("The address must not hold a user or a password.")
        self._rules.check_host(url.raw_host.decode("ascii"))
        return url


@asynccontextmanager
async def open_web(settings: WebSettings) -> AsyncIterator[Web]:
    """Make the `Web` of one event loop, and close its connections at the end."""
    web = Web(settings)
    try:
        yield web
    finally:
        await web.aclose()


async def _within(
    seconds: float, who: str, exchange: Callable[[], Awaitable[T]], *, repeat: bool = True
) -> T:
    """Carry out an exchange, once more where the connection fails, and name what went wrong."""
    import httpx2

    try:
        async with asyncio.timeout(seconds):
            try:
                return await exchange()
            except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
                if not repeat:
                    raise
                log.info("request_repeated", service=who, error=_described(error))
                return await exchange()
    except TimeoutError:
        raise Unreachable(f"{who} did not answer within {seconds:g} s") from None
    except httpx2.TransportError as error:
        # What went wrong below may name addresses inside; the log has it.
        log.info("request_failed", service=who, error=_described(error))
        reached = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        what = "broke off the connection" if reached else "could not be reached"
        raise Unreachable(f"{who} {what}") from None
    except httpx2.DecodingError:
        raise BadAnswer(f"{who} sent what cannot be unpacked") from None


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


async def _read_json(
    client: "httpx2.AsyncClient",
    service: str,
    url: str,
    params: Mapping[str, str | int | float] | None,
) -> Any:
    request = client.build_request("GET", url, params=params, headers={"Accept": _JSON})
    return await _json_of(client, service, request)


async def _json_of(client: "httpx2.AsyncClient", service: str, request: "httpx2.Request") -> Any:
    async with aclosing(await client.send(request, stream=True)) as response:
        if not response.is_success:
            raise BadAnswer(
                f"{service} answered with status {response.status_code}",
                status=response.status_code,
                retry_after=_retry_after(response.headers.get("retry-after", "")),
            )
        body, cut = await _read(response, _MAX_JSON)
    if cut:
        raise BadAnswer(f"{service} sent more than {_MAX_JSON:,} bytes")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadAnswer(f"{service} sent no JSON") from None


async def _read_page(response: "httpx2.Response", limit: int) -> Page:
    if not response.is_success:
        status = response.status_code
        raise BadAnswer(f"The page answered with status {status}.", status=status)
    kind = Message()
    kind["Content-Type"] = response.headers.get("content-type") or "text/html"
    content_type = kind.get_content_type()
    if not content_type.startswith(_TEXTS) and not content_type.endswith(("+json", "+xml")):
        raise BadAnswer(f"The page is {content_type}, and only text is read.")
    body, cut = await _read(response, limit)
    charset = kind.get_content_charset()
    return Page(str(response.url), content_type, charset, body, cut)


async def _read(response: "httpx2.Response", limit: int) -> tuple[bytes, bool]:
    """Return at most `limit` bytes, unpacked, and whether there were more.

    The client unpacks piece by piece, so that a small answer cannot become a large one in memory.
    Answers packed more than once, which no server has a need for, are not unpacked at all.
    """
    if response.headers.get("content-encoding", "identity").lower() not in _PACKED:
        raise BadAnswer("The answer is packed in a way that was not asked for.")
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            body += piece[: limit + 1 - len(body)]
            if len(body) > limit:
                return bytes(body[:limit]), True
    return bytes(body), False


def _retry_after(value: str) -> float | None:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3)."""
    if value.isdecimal():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _no_cookies() -> CookieJar:
    """A jar that keeps nothing: what one caller's page set is no business of another's."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
