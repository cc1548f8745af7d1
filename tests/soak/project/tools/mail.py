"""A tool that does something in the world, and a world that counts how often."""

import asyncio

from langchain_core.tools import tool
from langgraph.config import get_config

from everturn.tools.kit.current import idempotency_key
from tests.soak.journal import note


@tool
async def mail(to: str, milliseconds: int) -> str:
    """Send a mail to somebody; it takes some milliseconds."""
    about = get_config().get("metadata", {})
    attempt = int(about.get("run_attempt", 1))
    run = str(about.get("run_id")), attempt, to
    note(*run, str(idempotency_key()), "begin")
    await asyncio.sleep(milliseconds / 1000)
    note(*run, str(idempotency_key()), "end")
    return f"sent to {to}"
