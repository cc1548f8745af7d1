"""Look for what the service does not take: `python -m tests.hostile --examples 10000 --seed 1`.

Every kind of fault is shown once, with the smallest answer that was found for it.
"""

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--log", type=Path, default=Path("hostile.log"))
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    with options.log.open("wb") as log:  # before the log is opened: it writes to descriptor 2
        os.dup2(log.fileno(), 2)
    from everturn.server.observe.logs import configure_logs
    from tests.hostile.answers import scripts
    from tests.hostile.turns import DOORS, Rig, Wrong, rig

    configure_logs("INFO")
    found: Counter[str] = Counter()
    smallest: dict[str, tuple[int, str]] = {}
    slowest: list[tuple[float, str]] = []
    done, begun = 0, time.monotonic()

    def explore(running: Rig) -> None:
        @seed(options.seed)
        @settings(
            max_examples=options.examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            script=scripts,
            door=st.sampled_from(DOORS),
            choices=st.sampled_from([{}, {"offline_answer": False}, {"stream_policy": "buffer"}]),
        )
        def one(script, door, choices):  # type: ignore[no-untyped-def]
            nonlocal done
            done += 1
            start = time.monotonic()
            shown = f"{door} {choices} {[(b''.join(p for _, p in t.pieces), t.ending) for t in script]}"
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
                print(f"{done} examples, {rate:.1f}/s, {sum(found.values())} wrong", file=out, flush=True)

        one()

    with tempfile.TemporaryDirectory() as folder, rig(Path(folder) / "data", log_level="INFO") as running:
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
