"""A process in a pseudo-terminal, and what a person in front of it would see."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Self

from tests.waiting import PATIENCE

# So that ^C is a signal to the program: the terminal becomes the one that controls it, and whether
# the tests ignore the signal, as a shell's background jobs do, is not inherited.
TAKE_CONTROL = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


class Terminal:
    """Runs a Python program in a window of 80 × 24."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_CONTROL + program, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(slave)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.output = ""
        self._read_up_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def until(self, text: str) -> None:
        """Wait for the text, behind what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.output.find(text, self._read_up_to)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} not in {self.output[self._read_up_to :]!r}")
        self._read_up_to = found + len(text)

    def send(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Read to the end; returns the exit status."""
        while self._read(time.monotonic() + PATIENCE):
            pass
        return self.process.wait(PATIENCE)

    def shown(self) -> str:
        """The lines as they stand, after all that was erased and overwritten."""
        lines, row, column = [""], 0, 0
        for part in re.split(r"(\x1b\[[?\d;]*[A-Za-z]|[\r\n])", self.output):
            match part:
                case "\r":
                    column = 0
                case "\n":
                    row += 1
                    lines += [""] * (row == len(lines))
                case "\x1b[2K":
                    lines[row] = ""
                case _ if re.fullmatch(r"\x1b\[\d*A", part):
                    row -= int(part[2:-1] or 1)
                case _ if not part.startswith("\x1b"):
                    line = lines[row].ljust(column)
                    lines[row] = line[:column] + part + line[column + len(part) :]
                    column += len(part)
        return "\n".join(line.rstrip() for line in lines)

    def _read(self, deadline: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux reports that the other side has closed
            return False
        self.output += self._decoder.decode(data)
        return bool(data)
