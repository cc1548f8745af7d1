"""In how many rounds the runs of a thread are carried out in the order in which they arrived.

    python tests/bench/order.py [--rounds 100] [--runs 8] [--gap 10]

Each round posts runs to one thread by different doors, each on a connection of its own, with up to
`gap` milliseconds between two of them.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from everturn.server.observe.logs import configure_logs
from tests.server.runs.test_order import DOORS, TOY, arrived
from tests.service import serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--gap", type=float, default=10)
    asked = parser.parse_args()
    configure_logs("ERROR")
    right = 0
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "langgraph.json"
        config.write_text(TOY)
        with serving(Path(folder) / "data", config=config) as client:
            for _ in range(asked.rounds):
                doors = random.choices(DOORS, k=asked.runs)
                said = arrived(client, doors, asked.gap / 1000)
                right += said == [*map(str, range(asked.runs)), "last"]
    print(f"{right} of {asked.rounds} rounds of {asked.runs} runs in order")


if __name__ == "__main__":
    main()
