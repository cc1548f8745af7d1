"""Asking the services of settings, over real sockets: what goes wrong, and within what bounds."""

import asyncio
import gzip
import threading
import tracemalloc
import zlib
from collections.abc import Iterator

import httpcore2
import pytest
from structlog.testing import capture_logs

from everturn.tools.kit.web import BadAnswer, Refused, Unreachable, Web, open_web
from everturn.tools.kit.web.addresses import Address
from tests.tools.world import Names, Reply, Request, World, json_reply, settings

BOMB = 50_000_000  # bytes, unpacked


async def ask(web: Web, path: str = "/", **params: str | float) -> object:
    return await web.ask("Service", f"{web.settings.wttr_url}".removesuffix("/wttr") + path, params)


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


async def test_an_answer(web: Web, world: World) -> None:
    world.at("/", json_reply({"a": ["서울", 1.5, None]}))
    assert await ask(web, "/", name="서울 & 부산", count=3) == {"a": ["서울", 1.5, None]}
    (request,) = world.requests
    assert request.query == {"name": "서울 & 부산", "count": "3"}
    assert request.headers["User-Agent"].startswith("Everturn")
    assert request.headers["Accept"] == "application/json"


async def test_connections_are_used_again(web: Web, world: World) -> None:
    world.at("/", json_reply(1))
    for _ in range(5):
        await ask(web)
    assert world.connections == 1


async def test_cookies_are_not_kept(web: Web, world: World) -> None:
    world.at("/", json_reply(1, Set_Cookie="who=me; Path=/"))
    await ask(web)
    await ask(web)
    assert "Cookie" not in world.requests[1].headers


async def test_a_proxy_of_the_system_is_not_asked(
    web: Web, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    world.at("/", json_reply(1))
    assert await ask(web) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"{nope"), "no JSON"),
        (Reply(b"[" * 100_000), "no JSON"),
        (Reply(b"<html>"), "no JSON"),
        (Reply(b'"\xff"'), "no JSON"),
        (Reply(b""), "no JSON"),
        (Reply(b"1" * 2_000_001), "more than 2,000,000 bytes"),
        (Reply(b"{}", 500), "status 500"),
        (Reply(b"{}", 503), "status 503"),
        (Reply(b"{}", 429), "status 429"),
        (Reply(b"{}", 400), "status 400"),
        (Reply(b"{}", 302, {"Location": "/elsewhere"}), "status 302"),
        (Reply(b"not gzip", 200, {"Content-Encoding": "gzip"}), "unpacked"),
        (
            Reply(
                gzip.compress(gzip.compress(b"1", mtime=0), mtime=0),
                200,
                {"Content-Encoding": "gzip, gzip"},
            ),
            "asked",
        ),
        (Reply(b"1", 200, {"Content-Encoding": "br"}), "asked"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_answers(web: Web, world: World, reply: Reply, reason: str) -> None:
    world.at("/", reply)
    with pytest.raises(BadAnswer, match=reason):
        await ask(web)
    assert len(world.requests) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_packed_answers_are_unpacked_and_bombs_are_not(
    web: Web, world: World, encoding: str
) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    world.at("/", Reply(pack(b'{"a": 1}'), headers={"Content-Encoding": encoding}))
    assert await ask(web) == {"a": 1}
    world.at("/", Reply(pack(b"0" * BOMB), headers={"Content-Encoding": encoding}))
    tracemalloc.start()
    with pytest.raises(BadAnswer, match="more than"):
        await ask(web)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < BOMB / 5


async def test_an_endless_answer_ends_at_its_limit(web: Web, world: World) -> None:
    world.at("/", Reply(endless(b"0" * 65_536)))
    with pytest.raises(BadAnswer, match="more than"):
        await ask(web)


@pytest.mark.parametrize("where", ["before", "headers", "body"])
async def test_a_slow_answer_has_an_end(world: World, where: str) -> None:
    def drip() -> Iterator[bytes]:
        while not world.over.wait(0.05):
            yield b" "

    world.at("/", world.silence if where == "before" else Reply(drip()))
    if where == "headers":
        world.at("/", Reply(b"", headers={"X": "y" * 60_000, "Content-Length": "10"}))
    async with open_web(settings(world, web_timeout=0.4)) as web:
        with pytest.raises(Unreachable, match=r"within 0\.4 s"):
            await ask(web)


async def test_a_connection_that_breaks_is_tried_once_more(web: Web, world: World) -> None:
    left = iter([True, False])
    world.at("/", lambda request: world.hang_up(request) if next(left) else json_reply("back"))
    assert await ask(web) == "back"
    assert len(world.requests) == 2


async def test_and_not_a_third_time(web: Web, world: World) -> None:
    world.at("/", world.hang_up)
    with pytest.raises(Unreachable, match="broke off"):
        await ask(web)
    assert len(world.requests) == 2


async def call(web: Web, world: World, body: object = None, **more: bool) -> object:
    headers = {"Authorization": "Bearer k"}
    return await web.call("Far", f"{world.url}/rpc", body, headers=headers, seconds=30, **more)


async def test_a_call_posts_json_and_reads_json(web: Web, world: World) -> None:
    world.at("/rpc", json_reply({"a": 1}))
    assert await call(web, world, {"q": "서울"}) == {"a": 1}
    assert world.bodies == ['{"q":"서울"}'.encode()]
    assert world.requests[0].headers["Content-Type"] == "application/json"
    assert world.requests[0].headers["Authorization"] == "Bearer k"


async def test_a_call_that_may_have_done_something_is_not_made_again(
    web: Web, world: World
) -> None:
    world.at("/rpc", world.hang_up)
    with pytest.raises(Unreachable, match="broke off"):
        await call(web, world, {})
    assert len(world.requests) == 1


async def test_a_call_follows_no_redirect(web: Web, world: World) -> None:
    world.at("/rpc", Reply(b"", 307, {"Location": "/other"}))
    with pytest.raises(BadAnswer, match="status 307"):
        await call(web, world, {})
    assert len(world.requests) == 1


async def test_a_call_to_an_address_from_elsewhere_must_be_public(web: Web, world: World) -> None:
    with pytest.raises(Refused):
        await call(web, world, {}, public=True)
    assert world.requests == []


async def test_what_stands_in_an_error_is_fit_for_a_model() -> None:
    async with open_web(settings()) as web:
        with capture_logs() as logs, pytest.raises(Unreachable) as error:
            await ask(web, apikey="hunter2")
    assert str(error.value) == "Service could not be reached"
    assert "hunter2" not in str(logs)


async def test_a_service_that_failed_is_left_alone_for_a_while(web: Web, world: World) -> None:
    world.at("/", json_reply({}, 429, Retry_After="120"))
    with pytest.raises(BadAnswer, match="429"):
        await ask(web)
    with pytest.raises(Unreachable, match="again in 120 s"):
        await ask(web)
    assert len(world.requests) == 1


async def test_a_name_that_is_not_found_in_time() -> None:
    """The resolver hangs, as it does on a machine whose network is down."""

    class Hanging(Names):
        async def resolve(self, host: str) -> list[Address]:
            self.looked_up.append(host)
            await asyncio.Event().wait()
            return []

    network = Hanging(None, {})
    web = Web(
        settings(wttr_url="http://weather.test/wttr", web_connect_timeout=0.3), network=network
    )
    with pytest.raises(Unreachable, match="could not be reached"):
        await ask(web)
    assert network.looked_up == ["weather.test"]
    with pytest.raises(Unreachable, match="asked again"):
        await ask(web)
    assert network.looked_up == ["weather.test"]
    await web.aclose()


async def test_the_first_address_that_answers_is_taken(world: World) -> None:
    class SlowOver6(Names):
        async def dial(self, address: Address, port: int) -> httpcore2.AsyncNetworkStream:
            if address.version == 6:
                await asyncio.Event().wait()
            return await super().dial(address, port)

    network = SlowOver6(world, {"two.test": ["2606:4700::1", "2606:4700::2", "93.184.215.14"]})
    web = Web(settings(wttr_url="http://two.test/wttr"), network=network)
    world.at("/", json_reply(1))
    assert await ask(web) == 1
    assert network.dialled == [("93.184.215.14", 80)]
    await web.aclose()


async def test_many_at_once(web: Web, world: World) -> None:
    together = threading.Barrier(20)

    def answer(request: Request) -> Reply:
        together.wait(20)
        return json_reply(request.query["n"])

    world.at("/", answer)
    assert await asyncio.gather(*(ask(web, n=n) for n in range(20))) == [str(n) for n in range(20)]


async def test_nothing_is_opened_before_it_is_needed_and_closing_twice_is_fine() -> None:
    async with open_web(settings()) as web:
        assert web._clients is None
    await web.aclose()
