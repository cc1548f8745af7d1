"""Events and rows of the service, each as one line for people."""

from datetime import datetime
from typing import Any

SHORT = 100  # characters shown of a tool's arguments and of its result


def session_line(session: dict[str, Any], shown_id: str) -> str:
    """A session in the list, marked when it is the one on the screen."""
    title = session["title"] or "nothing said yet"
    ended = ", ended" if session["status"] == "ended" else ""
    here = ", this one" if session["session_id"] == shown_id else ""
    used = local_time(session["last_used_at"])
    return f"- `{session['session_id']}` {title} ({used}, turns: {session['turns']}{ended}{here})"


def fallback_line(data: dict[str, Any]) -> str:
    """One model failed; `to` is None when there is no other to ask."""
    failed = f"↪ {data['from']}: {readable(data['reason'])}"
    if data["to"] == data["from"]:
        return f"{failed}; asking it again"
    return f"{failed}; asking {data['to']}" if data["to"] else failed


def tool_line(data: dict[str, Any]) -> tuple[str, str]:
    """A tool's call or its result, with the style to show it in."""
    if data["status"] == "started":
        args = ", ".join(f"{name}={value!r}" for name, value in data["args"].items())
        return f"⚙ {data['name']}({shortened(args)})", "cyan"
    style = "red" if data["status"] == "error" else "dim"
    return f"  {data['name']} → {shortened(str(data['result']))}", style


def step_line(data: dict[str, Any]) -> tuple[str, str]:
    """A step of a plan that begins or has ended, with the style to show it in."""
    if data["status"] == "running":
        return f"▸ {data['id']}. {shortened(data['text'])}", "cyan"
    style = "dim" if data["status"] == "done" else "red"
    return f"  {data['id']}. {data['status']}: {shortened(str(data['result']))}", style


def call_line(call: dict[str, Any]) -> str:
    """A tool's call in full: a person decides on all of it."""
    args = ", ".join(f"{name}={value!r}" for name, value in call["args"].items())
    return f"? {call['name']}({args})"


def receipt(done: dict[str, Any]) -> str:
    """Which model answered, what it took and cost, and which were asked before."""
    route = done.get("route") or {}
    model, mode = done.get("model"), route.get("mode")
    parts = ["offline answer" if mode == "offline" else str(model)]
    if tokens := (done.get("usage") or {}).get("total_tokens"):
        parts.append(f"{tokens} tokens")
    if cost := done.get("cost"):
        parts.append(f"${cost:.6f}")
    tried = [attempt["model"] for attempt in route.get("tried") or ()]
    if mode == "cache":
        parts.append("kept from before")
    if mode == "retry":
        parts.append("asked again")
    elif tried:
        parts.append(f"after {', '.join(tried)}")
    return " · ".join(parts)


def readable(failure: str) -> str:
    """A class of failure in words: rate_limit is "rate limit"."""
    return failure.replace("_", " ")


def shortened(text: str) -> str:
    """The beginning of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def local_time(timestamp: str) -> str:
    """An ISO 8601 timestamp as the user's clock shows it."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M")
