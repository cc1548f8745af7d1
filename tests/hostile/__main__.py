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
import traceback
from collections import Counter
from pathlib import Path
from random import Random


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--log", type=Path, default=Path("hostile.log"))
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    with options.log.open("wb") as log:  # before the log is opened: it writes to descriptor 2
        os.dup2(log.fileno(), 2)
    from everturn.server.observe.logs import configure_logs
    from tests.hostile.answers import script as script_of
    from tests.hostile.turns import CHOICES, DOORS, Rig, Wrong, rig

    configure_logs("INFO")
    found: Counter[str] = Counter()
    smallest: dict[str, tuple[int, str]] = {}
    slowest: list[tuple[float, str]] = []
    done, begun = 0, time.monotonic()

    def explore(running: Rig) -> None:
        numbers = range(options.examples) if options.only is None else [options.only]
        for number in numbers:
            one(running, number)

    def one(running: Rig, number: int) -> None:
        chance = Random(f"{options.seed} {number}")
        door, choices = chance.choice(DOORS), chance.choice(CHOICES)
        script = script_of(chance)
        nonlocal done
        done += 1
        start = time.monotonic()
        sent = [(b"".join(piece for _, piece in each.pieces), each.ending) for each in script]
        shown = re.sub(r"(.)\1{30,}", r"\1{..}", f"#{number} {door} {choices} {sent}")
        try:
            running.take(door, script, **choices)
        except Wrong as error:
            kind = re.sub(r"[0-9a-f]{8}-[0-9a-f-]+|\d+", "#", str(error))[:160]
            found[kind] += 1
            if kind not in smallest or len(shown) < smallest[kind][0]:
                smallest[kind] = (len(shown), shown)
                print(f"FOUND {error!s:.400}\n   {shown[:1500]}", file=out, flush=True)
        except Exception:
            print("RIG", traceback.format_exc(), shown[:1500], file=out, flush=True)
        slowest.append((time.monotonic() - start, shown[:800]))
        if slowest[-1][0] > 5:
            print(f"SLOW {slowest[-1][0]:.1f} {shown[:1500]}", file=out, flush=True)
        slowest.sort(reverse=True)
        del slowest[5:]
        if done % 500 == 0:
            rate = done / (time.monotonic() - begun)
            print(
                f"{done} examples, {rate:.1f}/s, {sum(found.values())} wrong", file=out, flush=True
            )

    with (
        tempfile.TemporaryDirectory() as folder,
        rig(Path(folder) / "data", log_level="INFO") as running,
    ):
        explore(running)
    print(f"seed {options.seed}: {done} examples, {sum(found.values())} wrong", file=out)
    for kind, number in found.most_common():
        print(f"{number:6} {kind}\n       {smallest[kind][1][:3000]}", file=out)
    for seconds, shown in slowest:
        print(f"slow {seconds:.1f} {shown[:300]}", file=out)
    events: Counter[str] = Counter()
    for line in options.log.read_text(errors="replace").splitlines():
        try:
            events[json.loads(line)["event"][:100]] += 1
        except (ValueError, KeyError, TypeError):
            events[f"NOT A LOG LINE {line[:200]}"] += 1
    for event, number in events.most_common(40):
        print(f"{number:6} {event}", file=out)
    out.flush()
    return bool(found)


sys.exit(main())
