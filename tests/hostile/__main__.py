"""Look for what the service does not take: `python -m tests.hostile --examples 10000 --seed 1`.

Each kind of fault is shown with the smallest answer that was found for it. An example is known by
its seed and its number: `--only` sends it again.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TextIO

from everturn.server.observe.logs import configure_logs
from tests.hostile.answers import script as script_of
from tests.hostile.turns import CHOICES, DOORS, Rig, Wrong, rig

_EVERY = 500
_SLOW = 10.0
"""Seconds: twice what a turn has."""
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]+|\d+")
_REPEATED = re.compile(r"(.)\1{30,}")


class Search:
    """What was sent, and what was found wrong."""

    def __init__(self, seed: int, out: TextIO) -> None:
        self._seed, self._out = seed, out
        self._begun = time.monotonic()
        self.done = 0
        self.found: Counter[str] = Counter()
        self.smallest: dict[str, str] = {}

    def send(self, running: Rig, number: int) -> None:
        """Send one example, and note what does not hold."""
        chance, start = Random(f"{self._seed} {number}"), time.monotonic()
        door, choices = chance.choice(DOORS), chance.choice(CHOICES)
        script = script_of(chance)
        sent = [(b"".join(piece for _, piece in each.pieces), each.ending) for each in script]
        shown = _REPEATED.sub(r"\1{..}", f"#{number} {door} {choices} {sent}")[:3_000]
        try:
            running.take(door, script, **choices)
        except Wrong as error:
            kind = _IDS.sub("#", str(error))[:160]
            self.found[kind] += 1
            self.smallest[kind] = min(self.smallest.get(kind, shown), shown, key=len)
            self._say(f"FOUND {error!s:.400}\n   {shown[:1500]}")
        if (seconds := time.monotonic() - start) > _SLOW:
            self._say(f"SLOW {seconds:.1f} s {shown[:1500]}")
        self.done += 1
        if self.done % _EVERY == 0:
            self.tell()

    def tell(self) -> None:
        """Say how far it is."""
        rate = self.done / (time.monotonic() - self._begun)
        wrong = self.found.total()
        self._say(f"seed {self._seed}: {self.done} examples, {rate:.1f} a second, {wrong} wrong")

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def main() -> int:
    """Send the examples; return 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one example")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="of the service")
    options = parser.parse_args()
    search = Search(options.seed, sys.stdout)
    with options.log.open("wb") as log:
        os.dup2(log.fileno(), 2)
    configure_logs("INFO")
    numbers = range(options.examples) if options.only is None else [options.only]
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder) / "data") as running:
        for number in numbers:
            search.send(running, number)
    search.tell()
    for kind, count in search.found.most_common():
        print(f"{count:6} {kind}\n       {search.smallest[kind]}")
    not_lines = sum(not _is_log_line(line) for line in options.log.read_text().splitlines())
    print(f"{not_lines} lines of the log are none")
    return int(bool(search.found or not_lines))


def _is_log_line(line: str) -> bool:
    try:
        return "event" in json.loads(line)
    except ValueError:
        return False


sys.exit(main())
