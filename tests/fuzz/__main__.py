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
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.checkpoints.stores import new_postgres_database
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
    makers_headers: Mapping[str, str] | None = None,
    refused: int | None = None,
) -> int:
    """Ask a service; `examples` is how many requests of each operation are made up at random.

    The phase `coverage` adds what the document itself suggests: limits, types, missing parts,
    other methods. Returns 0 where every answer was right.

    Args:
        url: of the service.
        seed: the same one makes the same requests.
        examples: requests of each operation that are made up at random.
        phases: of schemathesis.
        headers: go with each request, such as a caller's key.
        makers_headers: of who makes what the requests name, where that is someone else.
        refused: the status of every answer, but for what needs no key. None: what the document says
            is enough.
    """
    headers = headers or {}
    checks = CHECKS if refused is None else (*CHECKS, "is_refused")
    options = {
        "seed": seed,
        "phases": phases,
        "max-examples": examples,
        "checks": ",".join(checks),
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
            "FUZZED_MAKERS_HEADERS": json.dumps(dict(makers_headers or headers)),
            "FUZZED_REFUSED": str(refused or ""),
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
    asked.add_argument(
        "--maker-header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="sent instead where the things are made that the requests name",
    )
    asked.add_argument(
        "--refused",
        type=int,
        metavar="STATUS",
        help="of every answer, but for what needs no key: 401 without one, 403 without the scope",
    )
    choices = asked.parse_args()
    how: dict[str, Any] = {
        "seed": choices.seed,
        "examples": choices.examples,
        "headers": _headers(choices.header),
        "makers_headers": _headers(choices.maker_header),
        "refused": choices.refused,
    }
    if choices.url:
        return fuzz(choices.url, **how)
    async with AsyncExitStack() as stack:
        environment = {}
        if choices.postgres:
            database = await stack.enter_async_context(new_postgres_database())
            environment["DATABASE_URL"] = database.render_as_string(hide_password=False)
        folder = stack.enter_context(TemporaryDirectory())
        running = stack.enter_context(process(Path(folder) / "data", **environment))
        return fuzz(running.url(), **how)


def _headers(lines: Sequence[str]) -> dict[str, str]:
    said = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in said}


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
