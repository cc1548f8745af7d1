"""A specialist that is a graph of another LangGraph server: Everturn, LangGraph's own, or others.

It is asked as LangGraph's `RemoteGraph` asks, by a run without a thread. That class opens
connections of its own; these go through `Web`, with its limits of time and size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from everturn.graph.specialists.kit.remote import (
    Declined,
    call_from,
    calls_from,
    reported,
    revealed,
)
from everturn.graph.state import ModelCall
from everturn.graph.steps.delegation import FAILED, Report
from everturn.tools.kit.web import current_web

_MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class LangGraphServer:
    """A graph of another server."""

    name: str
    url: str
    headers: Mapping[str, SecretStr] = field(hash=False, repr=False)
    timeout: float
    graph: str

    async def ask(self, task: str, seconds: float, key: str, depth: int) -> Report:
        """See `Remote`. The run ends with its connection: when its time is over, or we are killed.

        So it has no idempotency key, with which a run would go on without anybody who waits for it.
        """
        seconds, headers = min(seconds, self.timeout), revealed(self.headers)
        body = {
            "assistant_id": self.graph,
            "input": {"messages": [{"role": "user", "content": task}]},
            "metadata": {"team_depth": depth},
            "config": {"metadata": {"team_depth": depth}},
            "on_disconnect": "cancel",
        }

        async def ask() -> Report:
            web = await current_web()
            address = f"{self.url}/runs/wait"
            state = await web.call(self.name, address, body, headers=headers, seconds=seconds)
            return _report(self.name, state)

        return await reported(self.name, seconds, ask)


def _report(name: str, state: Any) -> Report:
    """Read the final state of a run."""
    values = state if isinstance(state, dict) else {}
    if error := values.get("__error__"):
        said = error.get("message") if isinstance(error, dict) else error
        raise Declined(f"{name} failed: {str(said)[:_MAX_REASON]}")
    if values.get("__interrupt__"):
        raise Declined(f"{name} waits for a person")
    messages = values.get("messages")
    several = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    users = [i for i, m in enumerate(several) if m.get("type") == "human"]
    turn = several[users[-1] + 1 if users else 0 :]
    text = _text(turn[-1].get("content")).strip() if turn and turn[-1].get("type") == "ai" else ""
    if not text:
        raise Declined(f"{name} gave no answer in words")
    return Report(text, failed=text.startswith(FAILED), calls=_calls(turn))


def _calls(turn: list[dict[str, Any]]) -> list[ModelCall]:
    found: list[ModelCall] = []
    route: Any = None
    for message in turn:
        said = message.get("response_metadata")
        about = said if isinstance(said, dict) else {}
        if message.get("type") == "tool":
            found += calls_from(about.get("calls"))
        elif message.get("type") == "ai":
            route = about.get("route")
            model = route.get("model") if isinstance(route, dict) else about.get("model_name")
            found.append(call_from(model, message.get("usage_metadata"), about.get("cost")))
    return [*calls_from(route.get("tried") if isinstance(route, dict) else None), *found]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = (block.get("text") if isinstance(block, dict) else block for block in blocks)
    return "".join(text for text in texts if isinstance(text, str))
