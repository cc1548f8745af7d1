"""What the guard costs: requests through `Web`, beside the bare client in the same run.

    python tests/bench/web.py [--requests 500]

Prints milliseconds: a service on loopback asked over kept connections, a page fetched over a new
one with every check, and 1 MB of markup made readable.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import httpx2

from everturn.tools.kit.web import Web
from everturn.tools.providers.pages.readable import readable
from tests.tools.world import PUBLIC, Names, Reply, World, json_reply, settings

MARKUP = {
    "paragraphs": "<p>Hello <b>world</b>, some text.</p>\n" * 27_000,
    "unclosed lists": "<li>" * 250_000,
    "a million <": "<" * 1_000_000,
}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500)
    count = parser.parse_args().requests
    print(f"{'milliseconds':40}{'p50':>8}{'p95':>8}")
    with World() as world:
        world.at("/", json_reply({"a": 1}))
        world.at("/page", Reply(b"<p>hi", headers={"Content-Type": "text/html"}))
        web = Web(settings(world), network=Names(world, {"page.test": PUBLIC}))
        async with httpx2.AsyncClient(trust_env=False) as bare:
            await _times("a service, bare client", count, lambda: bare.get(f"{world.url}/"))
            await _times("a service, Web.ask", count, lambda: web.ask("S", f"{world.url}/", {}))
            close = {"Connection": "close"}
            await _times(
                "a page, bare client, new connection",
                count,
                lambda: bare.get(f"{world.url}/page", headers=close),
            )
            await _times("a page, Web.fetch", count, lambda: web.fetch("http://page.test/page"))
        await web.aclose()
    for name, markup in MARKUP.items():
        begun = time.perf_counter()
        readable(markup)
        print(f"{f'readable, 1 MB: {name}':40}{(time.perf_counter() - begun) * 1000:8.0f}")


async def _times(name: str, count: int, request: Callable[[], Awaitable[object]]) -> None:
    for _ in range(20):
        await request()
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        await request()
        times.append((time.perf_counter() - begun) * 1000)
    cuts = statistics.quantiles(times, n=20)
    print(f"{name:40}{statistics.median(times):8.2f}{cuts[-1]:8.2f}")


if __name__ == "__main__":
    asyncio.run(main())
