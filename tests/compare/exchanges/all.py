"""All requests that are sent to both servers: each route with right and with wrong input."""

from typing import Any

import httpx

from tests.compare.exchanges.assistants import assistants
from tests.compare.exchanges.crons import crons
from tests.compare.exchanges.runs import runs
from tests.compare.exchanges.server import Server
from tests.compare.exchanges.states import states
from tests.compare.exchanges.store import store
from tests.compare.exchanges.system import system
from tests.compare.exchanges.threads import threads
from tests.waiting import PATIENCE

PARTS = (system, assistants, threads, states, runs, crons, store)


def answers_of(url: str) -> dict[str, Any]:
    """Send all requests; returns the answers by name."""
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        server = Server(client)
        for part in PARTS:
            part(server)
    return server.answers
