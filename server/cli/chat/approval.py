"""Asks a person on the terminal what to do with tool calls that wait: yes, no, or edited."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from everturn.server.cli.chat.lines import call_line
from everturn.server.cli.chat.screen import Screen

Decision = dict[str, Any]


def decide(calls: list[dict[str, Any]], screen: Screen) -> list[Decision]:
    """Ask about each call.

    Raises:
        KeyboardInterrupt, EOFError: Ctrl-C and Ctrl-D; all calls still wait.
    """
    return [_decide(call, screen) for call in calls]


def _decide(call: dict[str, Any], screen: Screen) -> Decision:
    screen.note(call_line(call), "yellow")
    while True:
        match input("  call it? y / n / edit › ").strip().lower():
            case "y" | "yes":
                return {"id": call["id"], "type": "approve"}
            case "n" | "no":
                why = input("  why not? (may be empty) › ").strip()
                return {"id": call["id"], "type": "reject", **({"message": why} if why else {})}
            case "e" | "edit":
                if (args := _edited(call["args"], screen)) is not None:
                    return {"id": call["id"], "type": "edit", "args": args}
            case _:
                screen.note("y calls it, n does not, edit changes its arguments first")


def _edited(args: dict[str, Any], screen: Screen) -> dict[str, Any] | None:
    """Let the arguments be changed, as JSON; `None` if what came is none."""
    before = json.dumps(args, ensure_ascii=False)
    screen.note(f"  now {before}")
    with _prefilled(before):
        line = input("  arguments › ").strip()
    try:
        edited = json.loads(line)
    except ValueError as error:
        screen.note(f"  That is not JSON: {error}", "red")
        return None
    if not isinstance(edited, dict):
        screen.note("  The arguments are a JSON object, such as " + before, "red")
        return None
    return edited


@contextlib.contextmanager
def _prefilled(text: str) -> Iterator[None]:
    """Put a text into the line that is asked for, where the terminal can edit it."""
    try:
        import readline
    except ImportError:  # Windows
        yield
        return
    readline.set_startup_hook(lambda: readline.insert_text(text))
    try:
        yield
    finally:
        readline.set_startup_hook(None)
