"""Compare this service with LangGraph's development server: `make compare`.

    python -m tests.compare [table|answers] [PROJECT]

`table` prints what each project of `tests/projects` can do on both servers. `answers` sends the
same requests to both and prints in what the answers differ; it fails on a difference that
`known.py` gives no reason for. Without an argument both are done.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.compare.answers import differences
from tests.compare.exchanges.all import answers_of
from tests.compare.known import reason_of, unused
from tests.compare.servers import ENVIRONMENT, SERVERS
from tests.compare.table import print_table


def compare_answers(folder: Path) -> int:
    """Print the differences of all answers; returns how many of them have no reason."""
    found = {}
    for name, serve in SERVERS.items():
        with serve("switches", folder / "answers") as url:
            found[name] = answers_of(url)
    new = known = 0
    for request, theirs in found["langgraph"].items():
        for difference in differences(theirs, found["everturn"].get(request)):
            line = f"{request} {difference}"
            if reason := reason_of(line):
                known += 1
                print(f"known  {line}\n       {reason}")
            else:
                new += 1
                print(f"NEW    {line}")
    for pattern in unused():
        print(f"unused {pattern}")
    print(f"{len(found['langgraph'])} requests, {known} known differences, {new} new ones")
    return new


def main() -> int:
    """Do what the arguments say."""
    what, project = (*sys.argv[1:], "", "")[:2]
    if ENVIRONMENT not in os.environ:
        print(f"{ENVIRONMENT} names no environment with langgraph-cli[inmem]", file=sys.stderr)
        return 2
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        if what in {"", "table"}:
            found += print_table(Path(folder), project)
        if what in {"", "answers"}:
            found += compare_answers(Path(folder))
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
