"""A conversation of 300 messages over HTTP whose last answer still knows the first message.

    python tests/bench/long_conversation.py [--turns 150] [--offline] [--off]

The model is a script: it answers what is asked of it from what it is shown, word for word, and as
the one who sums up it keeps what it is told to keep. Printed are the notes that it is shown at the
end, what the last answer knows, and what it took. With `--offline` nobody is asked: the simple
summary is printed.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.provider import KEY, FakeProvider, Request
from tests.service import Client, Process, process

TOLD = {
    0: "My name is Ann, and my budget for the trip to Busan is 4200 euros.",
    3: "Please remember: I am allergic to peanuts.",
    10: "I will send you my passport number by Friday.",
    40: "제 생일은 5월 17일이에요.",
    90: "We agreed on the hotel at Haeundae, 3 nights from 12 May.",
}
ASKED = {"budget": "4200", "allergic": "peanuts", "passport": "Friday", "생일": "5월 17일"}
_ROUTINE = "You keep the notes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=150)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--off", action="store_true", help="without a summary")
    chosen = parser.parse_args()
    with FakeProvider() as provider, tempfile.TemporaryDirectory() as folder:
        provider.script("model-a", answer)
        environment = {
            "EVERTURN_BASE_URL": provider.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": "model-a",
        }
        given = {} if chosen.offline else environment
        if chosen.off:
            given["EVERTURN_SUMMARY"] = "off"
        with process(Path(folder) / "data", **given) as running, _client(running) as client:
            _talk(client, provider, chosen.turns)


def _client(running: Process) -> Client:
    return Client(running.url())


def answer(request: Request) -> str:
    """Answer as a model would that finds in its prompt what it is asked for."""
    lines = "\n".join(str(each["content"]) for each in request.messages).splitlines()
    if _ROUTINE in lines[0]:
        kept = [line for line in lines[1:] if any(word in line for word in (*ASKED, "agreed"))]
        return "\n".join(dict.fromkeys(kept)) or "- nothing yet"
    asked = lines[-1]
    found = [line for line in lines[:-1] for word in ASKED if word in asked and word in line]
    return found[-1] if found else "I see."


def _talk(client: Client, provider: FakeProvider, turns: int) -> None:
    session, times = None, []
    for number in range(turns):
        said = TOLD.get(number, f"Tell me something about place number {number}.")
        begun = time.perf_counter()
        session = client.ask(said, session, use_tools=False)["session_id"]
        times.append((time.perf_counter() - begun) * 1000)
    state: dict[str, Any] = client.get(f"/threads/{session}/state").json()["values"]
    print(f"{len(state['messages'])} messages")
    if summary := state.get("summary"):
        print(f"the summary is of the first {summary['messages']}, by {summary['by']}, ", end="")
        print(f"{summary['tokens']} tokens:\n{summary['text']}\n")
    for word, fact in ASKED.items():
        said = client.ask(f"What about {word}?", session, use_tools=False)["response"]
        print(f"asked for {word!r}: {'knows' if fact in said else 'DOES NOT KNOW'}: {said}")
    sums = [each for each in provider.requests if _ROUTINE in str(each.messages[0]["content"])]
    prompts = [each for each in provider.requests if each not in sums]
    if prompts:
        size = sum(len(str(each["content"])) for each in prompts[-1].messages)
        print(f"the last prompt: {len(prompts[-1].messages)} messages, {size} characters")
    print(f"calls to sum up: {len(sums)}")
    first, last = statistics.median(times[:15]), statistics.median(times[-15:])
    print(f"milliseconds a turn, p50: {first:.1f} of the first 15, {last:.1f} of the last 15")


if __name__ == "__main__":
    main()
