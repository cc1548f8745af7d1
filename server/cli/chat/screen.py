"""What a chat shows: Markdown on a terminal, plain text everywhere else.

A model can fail after half an answer, and then the half is taken back. A terminal erases it; a
pipe, where nothing can be erased, gets whole messages only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown
    from rich.segment import Segment

# A model's text may hold escape sequences, which could retitle, clear or script the terminal.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
FRAMES_PER_SECOND = 12


class Screen(Protocol):
    """Where the messages of a conversation appear, piece by piece."""

    def turn(self) -> AbstractContextManager[None]:
        """Show that an answer is waited for, while the block runs.

        At its end the message is finished; after an exception it is broken off: a terminal shows
        as much as came, a pipe gets none of it.
        """
        ...

    def say(self, text: str) -> None:
        """Add a piece to the message that is being written."""
        ...

    def finish(self) -> None:
        """End the message: it is whole and stays."""
        ...

    def take_back(self) -> None:
        """Remove the message that is being written."""
        ...

    def note(self, text: str, style: str = "dim") -> None:
        """Show a line about the conversation; `style` is a colour, or dim."""
        ...


def open_screen(*, plain: bool) -> Screen:
    """The best screen that stdout can be.

    Raises:
        ModuleNotFoundError: stdout is a terminal, `plain` is false, and rich is not installed.
    """
    if plain or not sys.stdout.isatty():
        return PlainScreen()
    return TerminalScreen()


class PlainScreen:
    """Text as it comes on a terminal, whole messages into a pipe; notes go to stderr."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._message = ""

    @contextmanager
    def turn(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.take_back()
            raise
        self.finish()

    def say(self, text: str) -> None:
        text = CONTROL.sub("", text)
        self._message += text
        if self._live:
            print(text, end="", flush=True)

    def finish(self) -> None:
        if self._message:
            print("" if self._live else self._message, flush=True)
        self._message = ""

    def take_back(self) -> None:
        if self._message and self._live:
            print(flush=True)
        self._message = ""

    def note(self, text: str, style: str = "dim") -> None:
        print(CONTROL.sub("", text), file=sys.stderr, flush=True)


class TerminalScreen:
    """Rendered Markdown, redrawn in place as it grows, so that a message can be taken back.

    A message that outgrows the window is printed for good, block by finished block, and scrolls
    away; only its last block is still redrawn.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.spinner import Spinner

        self._console = Console(highlight=False)
        self._waiting = Spinner("dots", style="dim")
        self._message = ""

    @contextmanager
    def turn(self) -> Iterator[None]:
        from rich.live import Live

        with Live(
            self, console=self._console, transient=True, refresh_per_second=FRAMES_PER_SECOND
        ):
            try:
                yield
            finally:
                self.finish()

    def say(self, text: str) -> None:
        self._message += CONTROL.sub("", text)
        height = self._console.size.height
        if "\n" in text and len(self._lines(self._console.options)) >= height:
            done, self._message = split_blocks(self._message)
            self._print(done)

    def finish(self) -> None:
        done, self._message = self._message, ""
        self._print(done)

    def take_back(self) -> None:
        self._message = ""

    def note(self, text: str, style: str = "dim") -> None:
        self._console.print(CONTROL.sub("", text), style=style, markup=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What is redrawn: the end of the message, or a sign of waiting."""
        from rich.segment import Segment

        if not self._message.strip():
            yield self._waiting
            return
        for line in self._lines(options)[1 - options.size.height :]:
            yield from line
            yield Segment.line()

    def _lines(self, options: ConsoleOptions) -> list[list[Segment]]:
        return self._console.render_lines(as_markdown(self._message), options, pad=False)

    def _print(self, markdown: str) -> None:
        if markdown.strip():
            self._console.print(as_markdown(markdown))


def as_markdown(text: str) -> Markdown:
    """Rendered, with the addresses of links in sight: the text of a link is the model's word."""
    from rich.markdown import Markdown

    return Markdown(text, hyperlinks=False)


def split_blocks(markdown: str) -> tuple[str, str]:
    """Split at the start of the last block: what is before it cannot change as more text comes."""
    tokens = as_markdown(markdown).parsed
    starts = [token.map[0] for token in tokens if token.map and not token.level]
    lines = markdown.splitlines(keepends=True)
    last = starts[-1] if starts else 0
    return "".join(lines[:last]), "".join(lines[last:])
