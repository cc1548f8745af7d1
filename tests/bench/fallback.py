"""Falling back, beside others that one can install: chaos, recovery and the price of no fault.

    python tests/bench/fallback.py [--peers /path/to/python] [--seeds 3] [--quick] [--profile NAME]

Three models of a fake provider, over real HTTP. In the chaos each fails 30 % of its calls (429,
500, stall, cut) and 300 requests come, 30 side by side, with 10 s each; right is the whole text of
one model and nothing else on the screen. Recovery is the first call after the first model has
died, and the second. Peers run in the environment of `--peers` (langchain, langchain-openai and
pydantic-ai-slim[openai] installed there); one that cannot start is named as left out. Each
measurement is a process of its own; deadlines of those that take any are in
`fallback_contestants.py`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.fallback_contestants import CONTESTANTS, FIRST_TOKEN, HEDGE, STALL
from tests.provider import FakeProvider, Fault, chaos
from tests.provider.profiles import NAMES
from tests.provider.script import Step

HERE = Path(__file__).parent
OURS = ("everturn", "everturn hedged")
WAYS = ("invoke", "stream")
DOWN: dict[str, Step] = {
    "reset": Fault("reset"),
    "429": Fault(429),
    "500": Fault(500),
    "stall": Fault("stall", after=0),
    "401": Fault(401),
}


@dataclass(frozen=True)
class Bench:
    """Runs a contestant against a provider that turns bad once it is ready."""

    peers: str
    profile: str = "openrouter"

    def provider(self) -> FakeProvider:
        return FakeProvider(profile=self.profile)

    def run(
        self, name: str, task: str, requests: int, provider: FakeProvider, script: dict[str, Step]
    ) -> dict[str, Any] | None:
        python = sys.executable if name in OURS else self.peers
        with subprocess.Popen(
            [
                *(python, str(HERE / "fallback_contestants.py")),
                *(name, task, provider.url, "--requests", str(requests)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                return None
            provider.requests.clear()
            for model, step in script.items():
                provider.script(model, step)
            said, _ = process.communicate("go\n", timeout=600)
            result: dict[str, Any] = json.loads(said.splitlines()[-1])
            return result


def measure_chaos(bench: Bench, names: Sequence[str], seeds: int, requests: int) -> None:
    print(f"\nChaos: {requests} requests a seed, {seeds} seeds; right (worst seed), p95 (worst)")
    print("| | invoke | p95 | stream | p95 |\n|---|---|---|---|---|")
    for name in names:
        cells = []
        for way in WAYS:
            results = []
            for seed in range(seeds):
                with bench.provider() as provider:
                    script: dict[str, Step] = {"*": chaos(0.3, 429, 500, "stall", "cut", seed=seed)}
                    results.append(bench.run(name, f"chaos:{way}", requests, provider, script))
            found = [result for result in results if result]
            right = min((result["right"] for result in found), default=0) / requests
            slowest = max((result["p95"] for result in found), default=0)
            cells += [f"{right:.1%}", f"{slowest:.2f} s"] if found else ["left out", "–"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def measure_recovery(bench: Bench, names: Sequence[str]) -> None:
    print("\nRecovery, streamed: first call, second call (calls of the dead model by then)")
    print(f"| | {' | '.join(DOWN)} |\n|---|" + "---|" * len(DOWN))
    for name in names:
        cells = []
        for fault in DOWN.values():
            with bench.provider() as provider:
                result = bench.run(name, "recovery:stream", 2, provider, {"model-a": fault})
                calls = provider.calls("model-a"), provider.calls()
            cells.append(_recovered(result, *calls) if result else "left out")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _recovered(result: dict[str, Any], dead: int, calls: int) -> str:
    times = ", ".join(f"{seconds * 1000:,.0f}" for seconds in result["seconds"])
    ends = set(result["ends"]) - {"right"}
    return f"{times} ms ({dead} of {calls})" + (f" {', '.join(sorted(ends))}" if ends else "")


def measure_cpu(bench: Bench, names: Sequence[str], requests: int) -> None:
    print("\nCPU of a call without faults, ms")
    print("| | invoke | stream of 17 chunks |\n|---|---|---|")
    for name in names:
        cells = []
        for way in WAYS:
            with bench.provider() as provider:
                result = bench.run(name, f"cpu:{way}", requests, provider, {})
            cells.append(f"{result['ms']:.2f}" if result else "left out")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed, a third of the requests")
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--profile", choices=NAMES, default="openrouter", help="which provider")
    options = parser.parse_args()
    bench, requests = Bench(options.peers, options.profile), 100 if options.quick else 300
    print(f"first token {FIRST_TOKEN} s, stall {STALL} s, hedged after {HEDGE} s")
    measure_cpu(bench, options.only, requests)
    measure_recovery(bench, options.only)
    measure_chaos(bench, options.only, 1 if options.quick else options.seeds, requests)


if __name__ == "__main__":
    main()
