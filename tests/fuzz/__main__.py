"""`make fuzz`: schemathesis asks every route of `/openapi.json` what it can think of.

It runs against a service of its own, as a process, and checks each answer: no 5xx, and status,
content type, headers and body as the document says. It prints the seed, which makes the same
requests again, and how to repeat each request that was answered wrongly.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.checkpoints.stores import postgres_database
from tests.service import ROOT, process

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


def fuzz(
    url: str,
    *,
    seed: int,
    examples: int,
    phases: str = "coverage,fuzzing",
    headers: Mapping[str, str] | None = None,
) -> int:
    """Ask a service; `examples` is how many requests of each operation are made up at random.

    The phase `coverage` adds what the document itself suggests: limits, types, missing parts,
    other methods. `headers` go with each request, such as a caller's key. Returns 0 where every
    answer was right.
    """
    headers = headers or {}
    options = {
        "seed": seed,
        "phases": phases,
        "max-examples": examples,
        "checks": ",".join(CHECKS),
        "request-timeout": 60,
        "generation-database": "none",
        "warnings": "off",
    }
    flags = [
        "--continue-on-failure",
        "--no-shrink",
        "--no-color",
    ]
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", *flags),
            *(f"--{name}={value}" for name, value in options.items()),
            *(f"--header={name}: {value}" for name, value in headers.items()),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            "FUZZED_URL": url,
            "FUZZED_HEADERS": json.dumps(dict(headers)),
        },
        check=False,
    ).returncode


async def _main() -> int:
    asked = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    asked.add_argument("--seed", type=int, default=random.randrange(2**32))
    asked.add_argument("--examples", type=int, default=60, help="of each operation, at random")
    asked.add_argument("--postgres", action="store_true", help="on PostgreSQL, not SQLite")
    asked.add_argument("--url", help="of a service that runs, in place of one of its own")
    asked.add_argument(
        "--header", action="append", default=[], metavar="NAME:VALUE", help="sent with each request"
    )
    choices = asked.parse_args()
    how: dict[str, Any] = {"seed": choices.seed, "examples": choices.examples}
    said = (header.partition(":") for header in choices.header)
    how["headers"] = {name.strip(): value.strip() for name, _, value in said}
    if choices.url:
        return fuzz(choices.url, **how)
    async with AsyncExitStack() as stack:
        environment = {}
        if choices.postgres:
            database = await stack.enter_async_context(postgres_database())
            environment["DATABASE_URL"] = database.render_as_string(hide_password=False)
        folder = stack.enter_context(TemporaryDirectory())
        running = stack.enter_context(process(Path(folder) / "data", **environment))
        return fuzz(running.url(), **how)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
