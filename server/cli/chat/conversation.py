"""Lines go in, answers come out: one question, or the loop, its commands, and one turn of it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Iterator
from typing import Any

from everturn.server.cli.chat.approval import decide
from everturn.server.cli.chat.lines import (
    call_line,
    fallback_line,
    receipt,
    session_line,
    step_line,
    tool_line,
)
from everturn.server.cli.chat.screen import Screen, open_screen
from everturn.server.cli.chat.sending import Event
from everturn.server.cli.chat.service import Service, ServiceError

HELP = """\
- `/new` starts a new session
- `/history` shows what was said in this one
- `/sessions` lists the newest sessions
- `/approve` decides on tool calls that wait
- `/help` shows this
- `/quit` or Ctrl-D leaves; Ctrl-C stops an answer"""


def chat(
    url: str,
    message: str | None = None,
    *,
    key: str | None = None,
    session_id: str | None,
    agent: str | None,
    plain: bool,
) -> int:
    """Ask the service once, or talk with it until the input ends.

    Args:
        url: the service's root, such as http://127.0.0.1:2024.
        message: the one question; `-` reads it from stdin, None talks.
        key: says who asks, where the service wants to know.
        session_id: the conversation to continue; None starts one.
        agent: the graph that answers, by its name in langgraph.json; None leaves it to the service.
        plain: no Markdown and no colours, also on a terminal.

    Returns:
        The exit status: 0; 1 when the chat could not start, the one question got no answer or,
        with input from a pipe, any line of it failed.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - once imported, it gives input() line editing and history
    try:
        screen = open_screen(plain=plain)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"The chat needs {error.name}: pip install rich (or use --plain)\n")
        return 1
    try:
        with Service(url, key) as service:
            conversation = Conversation(service, screen, agent, session_id)
            if message is None:
                conversation.begin()
                return converse(conversation, screen)
            conversation.answer(_question(message))
            return 0
    except ServiceError as error:
        screen.note(str(error), "red")
        return 1
    except BrokenPipeError:  # the reader of our output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1


def _question(message: str) -> str:
    if message == "-":
        message = sys.stdin.read()
    if not message.strip():
        raise ServiceError('The question is empty. Ask one: everturn chat "Hello"')
    return message.strip()


def converse(conversation: Conversation, screen: Screen) -> int:
    """Read lines and answer them; returns the exit status."""
    interactive = sys.stdin.isatty()
    failed = False
    while True:
        try:
            line = input("› " if interactive and sys.stdout.isatty() else "").strip()
            if line == "/quit":
                break
            if line.startswith("/"):
                conversation.command(line)
            elif line:
                conversation.answer(line)
        except EOFError:
            break
        except ServiceError as error:
            screen.note(str(error), "red")
            failed = True
        except KeyboardInterrupt:
            if not interactive:
                raise
            screen.note("\nstopped; /quit or Ctrl-D leaves")
    return int(failed and not interactive)


class Conversation:
    """One session after the other with one service, shown on one screen."""

    def __init__(
        self, service: Service, screen: Screen, agent: str | None, session_id: str | None
    ) -> None:
        self._service = service
        self._screen = screen
        self._agent = agent
        self._session_id = session_id
        """None: the next message starts one."""

    def begin(self) -> None:
        """Say where the conversation goes on, or start one.

        Raises:
            ServiceError: there never was a session of this id.
        """
        service, screen, session_id = self._service, self._screen, self._session_id
        turns = len(service.history(session_id)) if session_id else 0
        self._session_id = session_id or service.new_session()
        where = f"{self._agent} at {service.url}" if self._agent else service.url
        screen.note(f"{where} · session {self._session_id} · /help")
        if turns:
            screen.note(f"turns so far: {turns}, /history shows them")
        with contextlib.suppress(ServiceError):  # expired, but its history is there
            if session_id and service.waiting_calls(session_id):
                screen.note("tool calls wait for you: /approve", "yellow")

    def command(self, line: str) -> None:
        """Run the command of a line that starts with a slash."""
        match line.split(maxsplit=1)[0]:
            case "/new":
                self._session_id = self._service.new_session()
                self._screen.note(f"session {self._session_id}")
            case "/history":
                for row in self._service.history(self._session):
                    self._screen.note(f"› {row['user_message']}", "bold")
                    self._show(row["assistant_message"])
            case "/sessions":
                here = self._session
                lines = [session_line(each, here) for each in self._service.sessions()]
                self._show("\n".join(lines) or "No sessions.")
            case "/approve":
                if calls := self._service.waiting_calls(self._session):
                    self._decide(calls)
                else:
                    self._screen.note("No tool call waits.")
            case "/help":
                self._show(HELP)
            case unknown:
                self._screen.note(f"There is no {unknown}; /help says what there is.", "yellow")

    def answer(self, message: str) -> None:
        """Send a message and show what comes back; an interrupt closes the stream.

        Raises:
            ServiceError: no answer came, or not all of it.
        """
        self._follow(self._service.stream(message, self._session_id, self._agent))

    def _follow(self, events: Generator[Event, None, None]) -> None:
        """Show a turn to its end; where tools wait to be approved, ask, and continue."""
        with self._screen.turn(), contextlib.closing(events):
            done, calls = self._show_events(events)
        if calls:
            self._decide(calls)
        else:
            self._screen.note(receipt(done))

    def _decide(self, calls: list[dict[str, Any]]) -> None:
        if not sys.stdin.isatty():
            for call in calls:
                self._screen.note(call_line(call), "yellow")
            raise ServiceError(
                "A person must approve this, at a terminal: "
                f"everturn chat --session {self._session_id}"
            )
        try:
            decisions = decide(calls, self._screen)
        except (KeyboardInterrupt, EOFError):
            self._screen.note("\nstill waiting; /approve asks again, a message gives it up")
            return
        self._follow(self._service.resume(self._session, decisions))

    @property
    def _session(self) -> str:
        assert self._session_id is not None  # noqa: S101 - it has begun
        return self._session_id

    def _show_events(self, events: Iterator[Event]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Show a turn as it happens; returns its last event, `done`, and what waits."""
        message_id = None
        calls: list[dict[str, Any]] = []
        for name, data in events:
            match name:
                case "metadata":
                    self._session_id = data["session_id"]
                case "message":
                    if data["message_id"] != message_id:
                        self._screen.finish()
                        message_id = data["message_id"]
                    self._screen.say(data["content"])
                case "approval":
                    calls = data["calls"]
                case "error":
                    raise ServiceError(data["detail"])
                case "done":
                    return data, calls
                case _:
                    self._note(name, data)
        raise ServiceError("The answer broke off. What was saved of it: /history")

    def _note(self, name: str, data: dict[str, Any]) -> None:
        """Show what happens beside the words."""
        screen = self._screen
        match name:
            case "tool":
                screen.finish()
                screen.note(*tool_line(data))
            case "step":
                screen.finish()
                screen.note(*step_line(data))
            case "reset":
                screen.take_back()
                screen.note(f"↩ took back {data['chars']} characters", "yellow")
            case "fallback" | "retry":
                screen.note(fallback_line(data), "yellow")

    def _show(self, markdown: str) -> None:
        self._screen.say(markdown)
        self._screen.finish()
