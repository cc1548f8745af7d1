"""A start may block the event loop: nobody waits for it yet, and the log names nothing of it."""

from pathlib import Path

from tests.service import process

PROJECT = """
import time
from contextlib import asynccontextmanager
from fastapi import FastAPI
from langgraph.graph import START, StateGraph

@asynccontextmanager
async def lifespan(app):
    time.sleep(1)
    yield

app = FastAPI(lifespan=lifespan)
graph = StateGraph(dict).add_node("n", lambda state: {}).add_edge(START, "n").compile()
"""


def test_what_blocks_before_it_serves_is_no_warning(tmp_path: Path) -> None:
    (tmp_path / "slow_start.py").write_text(PROJECT)
    config = tmp_path / "langgraph.json"
    config.write_text(
        '{"graphs": {"a": "./slow_start.py:graph"}, "http": {"app": "./slow_start.py:app"}}'
    )
    with process(
        tmp_path / "data", EVERTURN_CONFIG=str(config), EVERTURN_BLOCKING_WARNING="0.1"
    ) as running:
        running.url()
        running.stop()
    assert not [line for line in running.log if "event_loop_blocked" in line and "lifespan" in line]
