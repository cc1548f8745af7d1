"""Fetching what a model chose: the guard, attempt by attempt, over real sockets."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from everturn.tools.kit.web import BadAnswer, Refused, Unreachable, Web
from everturn.tools.kit.web.addresses import Address
from tests.tools.world import PUBLIC, Names, Reply, World, settings
from tests.waiting import PATIENCE

HTML = {"Content-Type": "text/html; charset=UTF-8"}


@asynccontextmanager
async def fetching(
    world: World, table: dict[str, str | list[str]], **values: Any
) -> AsyncIterator[tuple[Web, Names]]:
    network = Names(world, table)
    web = Web(settings(world, **values), network=network)
    try:
        yield web, network
    finally:
        await web.aclose()


async def test_a_page(world: World) -> None:
    world.at("/a", Reply(b"<p>hi", headers=HTML))
    async with fetching(world, {"page.test": PUBLIC}) as (web, network):
        page = await web.fetch("http://page.test/a?b=c#d")
    assert (page.body, page.content_type, page.charset, page.cut) == (
        b"<p>hi",
        "text/html",
        "utf-8",
        False,
    )
    assert page.url.startswith("http://page.test/a?b=c")
    assert world.requests[0].headers["Host"] == "page.test"
    assert world.requests[0].query == {"b": "c"}
    assert network.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://page.test/",
        "gopher://page.test:70/_x",
        "data:text/html,hi",
        "javascript:1",
        "unix:///run/docker.sock",
        "page.test/a",
        "//page.test/a",
        "/a",
        "",
        "http://",
        "http:///a",
        "http://user@page.test/",
        "http://user:password@page.test/",
        "http://page.test@127.0.0.1/",
        "http://page test/",
        "http://[::1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://page.test/" + "a" * 2048,
        "http://page.test\\@127.0.0.1/",
        "http://page.test\x00.evil/",
    ],
)
async def test_addresses_that_are_refused_before_a_name_is_looked_up(
    world: World, url: str
) -> None:
    async with fetching(world, {"page.test": PUBLIC}) as (web, network):
        with pytest.raises(Refused):
            await web.fetch(url)
    assert network.looked_up == []
    assert network.dialled == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1./",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://１２７.０.０.１/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://inside.test/",
        "http://mixed.test/",
        "http://six.test/",
        "http://mapped.test/",
        "https://inside.test/",
        "http://page.test:22/",
        "http://page.test:6379/",
        "http://page.test:{port}/",
        "http://page.test:99999/",
    ],
)
async def test_what_leads_inside_is_refused_and_nothing_is_sent(world: World, url: str) -> None:
    table: dict[str, str | list[str]] = {
        "page.test": PUBLIC,
        "localhost": ["::1", "127.0.0.1"],
        "localhost.": ["::1", "127.0.0.1"],
        "127.0.0.1.": "127.0.0.1",
        "inside.test": "192.168.0.10",
        "mixed.test": [PUBLIC, "127.0.0.1"],
        "six.test": ["fd12::1"],
        "mapped.test": "::ffff:10.0.0.1",
    }
    async with fetching(world, table) as (web, network):
        with pytest.raises(Refused):
            await web.fetch(url.replace("{port}", str(world.port)))
    assert network.dialled == []
    assert world.requests == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://inside.test/",
        "http://[::1]/",
        "//169.254.169.254/latest/",
        "file:///etc/passwd",
        "http://user:password@page.test/",
        "http://page.test:6379/",
        "http://2130706433/",
    ],
)
async def test_redirects_are_checked_hop_by_hop(world: World, location: str) -> None:
    world.at("/", Reply(b"", 302, {"Location": "/second"}))
    world.at("/second", Reply(b"", 301, {"Location": location}))
    async with fetching(world, {"page.test": PUBLIC, "inside.test": "10.0.0.1"}) as (web, network):
        with pytest.raises((Refused, Unreachable)):
            await web.fetch("http://page.test/")
    assert {address for address, _ in network.dialled} == {PUBLIC}
    assert [request.path for request in world.requests] == ["/", "/second"]


async def test_redirects_are_followed_to_where_they_may_lead(world: World) -> None:
    world.at("/", Reply(b"", 302, {"Location": "http://other.test/there?x=1", "Set-Cookie": "a=b"}))
    world.at("/there", Reply(b"arrived", headers={"Content-Type": "text/plain"}))
    async with fetching(world, {"page.test": PUBLIC, "other.test": "8.8.8.8"}) as (web, network):
        page = await web.fetch("http://page.test/")
    assert (page.url, page.body) == ("http://other.test/there?x=1", b"arrived")
    assert world.requests[1].headers["Host"] == "other.test"
    assert "Cookie" not in world.requests[1].headers
    assert network.dialled == [(PUBLIC, 80), ("8.8.8.8", 80)]


async def test_redirects_in_a_circle_have_an_end(world: World) -> None:
    world.at("/", Reply(b"", 302, {"Location": "/"}))
    async with fetching(world, {"page.test": PUBLIC}) as (web, _):
        with pytest.raises(BadAnswer, match="more than 5 times"):
            await web.fetch("http://page.test/")
    assert len(world.requests) == 6


async def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked(
    world: World,
) -> None:
    """DNS rebinding: public when it is looked at, inside when it is looked up again."""

    class Rebinding(Names):
        async def resolve(self, host: str) -> list[Address]:
            found = await super().resolve(host)
            self.table[host] = "127.0.0.1"
            return found

    world.at("/", Reply(b"one", headers=HTML))
    network = Rebinding(world, {"page.test": PUBLIC})
    web = Web(settings(world), network=network)
    assert (await web.fetch("http://page.test/")).body == b"one"
    assert network.looked_up == ["page.test"]
    assert network.dialled == [(PUBLIC, 80)]
    with pytest.raises(Refused):
        await web.fetch("http://page.test/")
    assert network.dialled == [(PUBLIC, 80)]
    await web.aclose()


async def test_a_connection_to_a_service_never_serves_a_page(world: World) -> None:
    """The operator's SearXNG on this machine is open in the pool; no page may come through it."""
    world.at("/", Reply(b"1", headers=HTML))
    async with fetching(world, {}) as (web, network):
        await web.ask("Service", f"{world.url}/", {})
        assert len(network.dialled) == 1
        with pytest.raises(Refused):
            await web.fetch(f"{world.url}/")
    assert len(world.requests) == 1


async def test_networks_that_the_operator_opened(world: World) -> None:
    world.at("/", Reply(b"inside", headers=HTML))
    async with fetching(world, {}, fetch_networks="127.0.0.0/8") as (web, _):
        assert (await web.fetch(f"{world.url}/")).body == b"inside"
        with pytest.raises(Refused):
            await web.fetch("http://10.0.0.1/")


async def test_hosts_that_the_operator_named(world: World) -> None:
    world.at("/", Reply(b"", 302, {"Location": "http://other.test/"}))
    table: dict[str, str | list[str]] = {"page.test": PUBLIC, "other.test": PUBLIC}
    async with fetching(world, table, fetch_allow="page.test") as (web, network):
        with pytest.raises(Refused, match=r"operator.*other\.test"):
            await web.fetch("http://page.test/")
        assert network.looked_up == ["page.test"]


@pytest.mark.parametrize(
    ("kind", "fine"),
    [
        ("text/html", True),
        ("TEXT/Plain; charset=x", True),
        ("application/json", True),
        ("application/rss+xml", True),
        ("", True),
        ("image/png", False),
        ("application/octet-stream", False),
        ("application/pdf", False),
        ("nonsense", True),  # as no type at all: RFC 2045 reads it as text
    ],
)
async def test_only_text_is_read(world: World, kind: str, fine: bool) -> None:
    world.at("/", Reply(b"x", headers={"Content-Type": kind} if kind else {}))
    async with fetching(world, {"page.test": PUBLIC}) as (web, _):
        if fine:
            assert (await web.fetch("http://page.test/")).body == b"x"
        else:
            with pytest.raises(BadAnswer, match="only text"):
                await web.fetch("http://page.test/")


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
async def test_a_page_that_is_an_error(world: World, status: int) -> None:
    world.at("/", Reply(b"sorry", status, HTML))
    async with fetching(world, {"page.test": PUBLIC}) as (web, _):
        with pytest.raises(BadAnswer, match=str(status)):
            await web.fetch("http://page.test/")


async def test_a_long_page_is_cut(world: World) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"a" * 10_000

    world.at("/", Reply(endless(), headers=HTML))
    world.at("/exact", Reply(b"a" * 5000, headers=HTML))
    async with fetching(world, {"page.test": PUBLIC}, fetch_max_bytes=5000) as (web, _):
        page = await web.fetch("http://page.test/")
        assert (len(page.body), page.cut) == (5000, True)
        page = await web.fetch("http://page.test/exact")
        assert (len(page.body), page.cut) == (5000, False)


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
        f"-subj /CN={name} -addext subjectAltName=DNS:{name} -keyout {key} -out {certificate}"
    )
    subprocess.run(
        command.split(),
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    return certificate, key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_tls_is_of_the_name_though_the_connection_is_to_the_checked_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path, "page.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    names: list[str | None] = []
    noted: Callable[..., None] = lambda _, name, __: names.append(name)  # noqa: E731
    context.sni_callback = noted
    with World(context) as world:
        world.at("/", Reply(b"secret", headers=HTML))
        table: dict[str, str | list[str]] = {"page.test": PUBLIC, "other.test": PUBLIC}
        async with fetching(world, table) as (web, network):
            page = await web.fetch("https://page.test/")
            assert page.body == b"secret"
            assert names == ["page.test"]
            assert world.requests[0].headers["Host"] == "page.test"
            assert network.dialled == [(PUBLIC, 443)]
            with pytest.raises(Unreachable):  # the certificate is of another name
                await web.fetch("https://other.test/")
        assert len(world.requests) == 1
