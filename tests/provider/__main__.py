"""The fake provider as a process, to try the service by hand and to measure it from outside.

python -m tests.provider --port 9000 --script deepseek/deepseek-chat-v3-0324:free=429,cut,ok
python -m tests.provider --port 9000 --chaos 0.3
python -m tests.provider --port 9000 --profile mistral
python -m tests.provider --port 9000 --first-token 0.3 --between 0.25
"""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace

from tests.provider import EVERY_FAULT, KEY, FakeProvider, Fault, chaos, echo
from tests.provider.profiles import NAMES
from tests.provider.script import Step


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=9000, help="0 chooses one")
    parser.add_argument("--profile", default="openrouter", choices=NAMES, help="which provider")
    parser.add_argument("--key", default=KEY, help="the only key that is accepted")
    parser.add_argument(
        "--script",
        action="append",
        default=[],
        metavar="MODEL=STEP,STEP",
        help="a model's answers, the last one stays; a STEP is ok or one of "
        + ", ".join(map(str, EVERY_FAULT)),
    )
    parser.add_argument("--chaos", type=float, default=0.0, metavar="SHARE", help="0.3 fails 30 %%")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first-token", type=float, default=0.0, help="seconds before it")
    parser.add_argument("--between", type=float, default=0.0, help="seconds between two pieces")
    options = parser.parse_args()

    provider = FakeProvider(options.port, key=options.key, profile=options.profile)
    if options.first_token or options.between:
        provider.script("*", paced(options.first_token, options.between))
    if options.chaos:
        provider.script("*", chaos(options.chaos, 429, 500, "stall", "cut", seed=options.seed))
    for line in options.script:
        model, _, steps = line.rpartition("=")
        provider.script(model, *map(step, steps.split(",")))
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's thread, which inherits it
    with provider:
        print(provider.url, flush=True)
        signal.sigwait(ends)


def paced(first_token: float, between: float) -> Step:
    """An echo that takes its time."""
    return lambda request: replace(echo(request), first_token=first_token, between=between)


def step(word: str) -> Step:
    """A step of the script from a word of the command line."""
    if word == "ok":
        return echo
    for kind in EVERY_FAULT:
        if str(kind) == word:
            return Fault(kind)
    raise SystemExit(f"no such step: {word}")


if __name__ == "__main__":
    main()
