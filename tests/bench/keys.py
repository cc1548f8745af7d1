"""What a key or a bearer token costs a request, in µs of CPU time: known, and looked at anew.

    python tests/bench/keys.py [--requests 20000]

The best of five runs each: of the key alone, and of all that stands before a route with `auth` on.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from everturn.checkpoints.sql.api_keys import ApiKeyTable
from everturn.checkpoints.sql.database import open_database
from everturn.server.access import keys
from everturn.server.access.keys import KeyCredentials, make_key
from everturn.server.access.owners import owner_rules
from everturn.server.api.http.authentication import Authentication, Gate
from everturn.server.api.http.scopes import scopes_by_path
from everturn.server.app import create_app
from everturn.server.projects.own_auth import own_auth
from everturn.server.settings import Settings
from tests.server.access.identity_provider import providing, tokens_of


async def best(call: Callable[[], Awaitable[Any]], requests: int) -> float:
    """Return the µs of one call."""
    runs = []
    for _ in range(5):
        began = process_time()
        for _ in range(requests):
            await call()
        runs.append(process_time() - began)
    return min(runs) / requests * 1e6


async def nothing(*_: Any) -> Any:
    """Be a route, a client that sends, one that reads."""


async def main(requests: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_database(None, Path(folder)) as database:
            new = make_key("bench", "ada", ["runs"], None)
            await ApiKeyTable(database).add(new.row)
            credentials = KeyCredentials(ApiKeyTable(database), lambda _: None)
            took = await best(lambda: credentials.caller(new.secret), requests)
            print(f"known key      {took:8.1f}")

            scope_of = scopes_by_path(open_metrics=False)
            app = create_app(Settings.read({"data_dir": folder}))
            app.state.gate = Gate(own_auth([credentials], owner_rules(), scope_of))
            sent = [(b"host", b"x"), (b"authorization", f"Bearer {new.secret}".encode())]
            scope = {"type": "http", "method": "GET", "query_string": b"", "app": app}
            asked = {**scope, "path": "/threads", "headers": sent}
            door = Authentication(nothing)
            took = await best(lambda: door({**asked}, nothing, nothing), requests)
            print(f"at the door    {took:8.1f}")

            keys._FRESH_SECONDS = 0.0
            credentials._known.clear()
            took = await best(lambda: credentials.caller(new.secret), requests // 20)
            print(f"read anew      {took:8.1f}")
    await tokens(requests)


async def tokens(requests: int) -> None:
    """Of a token of an identity provider on loopback, signed by RSA."""
    with providing() as provider:
        async with tokens_of(provider) as credentials:
            token = provider.token("rsa-1", scope="everturn:admin notes")
            took = await best(lambda: credentials.caller(token), requests)
            print(f"known token    {took:8.1f}")

            async def anew() -> None:
                credentials._known.clear()
                await credentials.caller(token)

            took = await best(anew, requests // 20)
            print(f"verified anew  {took:8.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    asyncio.run(main(parser.parse_args().requests))
