"""Kill, stall and starve the service, and look whether it keeps its promises: `make soak`.

    python -m tests.soak [RIG …] [--trials N] [--seed S] [--only N] [--beside N]

Without a rig all are run. A trial is known by its rig, its seed and its number: `--only` has it
again. The exit code is 1 where a promise was broken.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.soak.figures import Figures, print_table
from tests.soak.rigs import RIGS, Options


def main() -> int:
    """Run the rigs and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rigs", nargs="*", metavar="RIG", help=f"of {', '.join(RIGS)}")
    parser.add_argument("--trials", type=int, help="of each rig, in place of its own number")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", type=int, help="the number of one trial")
    parser.add_argument("--beside", type=int, default=3, help="trials that wait side by side")
    parser.add_argument("--lanes", type=int, default=2, help="of the rig `deaths`: processes")
    parser.add_argument("--fault", action="append", help="of the rig `faults`: only this one")
    parser.add_argument("--seconds", type=float, help="of the rigs `faults` and `rolling`")
    parser.add_argument("--keep", type=Path, help="a folder for logs and journals")
    chosen = parser.parse_args()
    if unknown := set(chosen.rigs) - RIGS.keys():
        parser.error(f"there is no rig {min(unknown)}")
    figures: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="ev-") as name:
        for rig in chosen.rigs or RIGS:
            trials, run = RIGS[rig]
            numbers = range(chosen.trials or trials) if chosen.only is None else [chosen.only]
            seeds = [f"{rig} {chosen.seed} {number}" for number in numbers]
            folder = (chosen.keep or Path(name)) / rig
            counted = Figures(rig)
            options = Options(
                folder, seeds, chosen.beside, chosen.lanes, chosen.fault, chosen.seconds
            )
            _run(run, options, counted)
            figures.append(counted)
            print(f"{rig}: {counted.trials} trials, {counted.broken.total()} broken", flush=True)
    return min(print_table(figures), 1)


def _run(run: Callable[[Options, Figures], object], options: Options, figures: Figures) -> None:
    made = run(options, figures)
    if asyncio.iscoroutine(made):
        asyncio.run(made)


if __name__ == "__main__":
    sys.exit(main())
