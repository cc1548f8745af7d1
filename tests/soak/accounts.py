"""Two accounts of the same turns are compared: what was promised, and what came of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from tests.soak.journal import Entry
from tests.soak.project.graph import NODES
from tests.soak.turns import CHAT, KEYED, Clients, Turn

_HEALED = 20.0
"""Seconds for threads to be idle after the last fault: four times what is promised."""
UNFINISHED = ("pending", "running")


class Finding(NamedTuple):
    """A promise that was broken."""

    promise: str
    turn: str
    what: str


class Thread(NamedTuple):
    """What the service says of a thread."""

    messages: list[tuple[str, str]]
    """Who, and what."""
    steps: list[str]
    status: str
    runs: dict[str, str]
    """Status by run."""
    history: list[tuple[str, str]]


async def settled(
    clients: Clients, threads: Collection[str], within: float = _HEALED
) -> tuple[dict[str, Thread], float]:
    """Return what is said of threads once nothing is under way, or they do not settle.

    Also how many seconds that took.
    """
    began = time.monotonic()
    found: dict[str, Thread] = {}
    for thread in threads:
        while True:
            found[thread] = await _thread(clients, thread)
            busy = [each for each in found[thread].runs.values() if each in UNFINISHED]
            if not (busy or found[thread].status == "busy"):
                break
            if time.monotonic() - began > within:
                break
            await asyncio.sleep(0.1)
    return found, time.monotonic() - began


async def _thread(clients: Clients, thread: str) -> Thread:
    state = await clients.get(f"/threads/{thread}/state") or {}
    row = await clients.get(f"/threads/{thread}") or {}
    runs = await clients.get(f"/threads/{thread}/runs", params={"limit": 1000}) or []
    history = await clients.get(f"/api/chat/history/{thread}", params={"limit": 100}) or []
    values = state.get("values") or {}
    return Thread(
        [(each["type"], each["content"]) for each in values.get("messages", ())],
        values.get("steps", []),
        row.get("status", ""),
        {each["run_id"]: each["status"] for each in runs},
        [(each["user_message"], each["assistant_message"]) for each in history],
    )


def findings(
    turns: Sequence[Turn], threads: dict[str, Thread], entries: Sequence[Entry], deaths: int = 1
) -> list[Finding]:
    """Compare what clients were told, what threads, rows and history say, and the journal."""
    found: list[Finding] = []
    for thread_id, thread in threads.items():
        asked = [turn for turn in turns if turn.thread == thread_id]
        found += _of_thread(asked, thread)
        for turn in asked:
            found += _of_turn(turn, thread)
            found += _of_journal(turn, entries, deaths)
    return found


def _of_thread(asked: Sequence[Turn], thread: Thread) -> list[Finding]:
    found = []
    if thread.status != "idle":
        promise = "stuck" if thread.status == "busy" else "error"
        found.append(Finding(promise, "thread", f"its status is {thread.status!r}"))
    for run_id, status in thread.runs.items():
        if status != "success":
            kind = next((turn.kind for turn in asked if turn.run_id == run_id), "of no client")
            promise = "stuck" if status in UNFINISHED else "error"
            found.append(Finding(promise, kind, f"run {run_id} is {status}"))
    names = [text.split()[0] for who, text in thread.messages if who == "human"]
    known = {turn.name: turn for turn in asked}
    first = [known[name] for name in dict.fromkeys(names) if name in known]
    found += [
        Finding("order", later.kind, f"{earlier.name} before {later.name}")
        for earlier, later in combinations(first, 2)
        if later.acknowledged and earlier.sent_at > later.acknowledged_at
    ]
    talked = [who for who, _ in thread.messages]
    if any(one == other for one, other in pairwise(talked)):
        found.append(Finding("unanswered", "thread", f"{talked}"))
    return found


def _of_turn(turn: Turn, thread: Thread) -> list[Finding]:
    questions = [text for who, text in thread.messages if who == "human" and text == turn.text]
    answers = [text for who, text in thread.messages if _answers(turn, who, text)]
    found = [Finding("told", turn.kind, f"{turn.name}: {each}") for each in turn.problems]
    promised = turn.acknowledged or turn.kind in KEYED
    if promised and not answers:
        found.append(Finding("lost", turn.kind, f"{turn.name}: no answer in the thread"))
    if len(answers) > 1:
        found.append(Finding("doubled", turn.kind, f"{turn.name}: {len(answers)} answers"))
    if len(questions) > 1:
        found.append(Finding("asked twice", turn.kind, f"{turn.name}: {len(questions)} questions"))
    if turn.acknowledged and not turn.problems and not turn.answers:
        found.append(Finding("not told", turn.kind, f"{turn.name}: its client heard no answer"))
    wrong = [each for each in turn.answers if each != turn.whole_answer]
    if wrong:
        found.append(Finding("wrong answer", turn.kind, f"{turn.name}: {wrong[0]!r}"))
    if len(set(turn.events)) != len(turn.events):
        found.append(Finding("events", turn.kind, f"{turn.name}: an event came twice"))
    steps = Counter(step for step in thread.steps if step.split()[0] == turn.name)
    once = {f"{turn.name} {node}": 1 for node in NODES}
    if len(answers) == len(questions) == 1 and dict(steps) != once:
        found.append(Finding("steps", turn.kind, f"{turn.name}: {dict(steps)}"))
    if turn.kind in CHAT:
        rows = [each for each in thread.history if each[0] == turn.text]
        if len(rows) != len(answers):
            what = f"{turn.name}: {len(rows)} rows, {len(answers)} answers"
            found.append(Finding("history", turn.kind, what))
    return found


def _answers(turn: Turn, who: str, text: str) -> bool:
    return who == "ai" and text.startswith(turn.answer + " ")


def _of_journal(turn: Turn, entries: Sequence[Entry], deaths: int) -> list[Finding]:
    if not turn.durable:  # the graph may be ahead of its checkpoints, by as much as it is quick
        return []
    begun = Counter(
        (each.run_id, each.node)
        for each in entries
        if each.question == turn.name and each.phase == "begin"
    )
    again: Counter[str] = Counter()
    for (run_id, _), times in begun.items():
        again[run_id] += times - 1
    return [
        Finding("repeated", turn.kind, f"{turn.name}: {times} nodes of {run_id}")
        for run_id, times in again.items()
        if times > deaths
    ]


def repeated(entries: Sequence[Entry]) -> int:
    """How many nodes were begun again, of all runs."""
    begun = Counter((each.run_id, each.node) for each in entries if each.phase == "begin")
    return sum(times - 1 for times in begun.values())


def seconds_to_go_on(entries: Sequence[Entry], died: int, at: float) -> list[float]:
    """How long after a time each run that a process left undone began a node elsewhere."""
    left: dict[str, float] = {}
    went_on: list[float] = []
    for each in entries:
        if each.pid == died:
            left[each.run_id] = each.at
    for run_id in left:
        done = any(
            e.run_id == run_id and e.pid == died and (e.node, e.phase) == (NODES[-1], "end")
            for e in entries
        )
        later = [e.at - at for e in entries if e.run_id == run_id and e.pid != died and e.at > at]
        if later and not done:
            went_on.append(min(later))
    return went_on
