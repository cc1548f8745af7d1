"""Rig 6: a process is killed between the parallel tool calls of a turn; a mailer counts."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests.soak import journal
from tests.soak.accounts import Finding
from tests.soak.figures import Figures
from tests.soak.instances import PROJECT, Instance, Nursery
from tests.soak.journal import Entry
from tests.soak.kills import running
from tests.soak.turns import Clients

_TURNS = 3
_MILLISECONDS = (20, 120, 250, 400)
_KNOWN = 0.05
"""Seconds that a process ran on after a call had ended: it had the time to keep the result."""


async def run(
    nursery: Nursery, folder: Path, port: int, figures: Figures, seeds: Sequence[str]
) -> None:
    """Kill a process between calls, once for each seed, and start it again."""
    tools = {"EVERTURN_TOOL_PATHS": str(PROJECT.parent / "tools")}
    instance = Instance(nursery, folder, port, tools)
    read_to = 0
    async with running([instance]):
        for seed in seeds:
            read_to = await _trial(instance, folder / "journal", figures, seed, read_to)


async def _trial(instance: Instance, file: Path, figures: Figures, seed: str, read_to: int) -> int:
    chance = Random(seed)
    clients = Clients([instance.url])
    posted = [await _post(clients, chance, number) for number in range(_TURNS)]
    ends = chance.randint(1, _TURNS * len(_MILLISECONDS) - 1)
    await _until_ended(file, read_to, ends)
    await asyncio.sleep(chance.uniform(0, 0.12))
    died = instance.pid
    await asyncio.to_thread(instance.kill)
    await asyncio.to_thread(instance.start)
    await asyncio.to_thread(instance.until_ready)
    found = []
    for thread, run_id in posted:
        found += await _broken(clients, thread, run_id)
    await clients.http.aclose()
    entries, read_to = journal.read(file, read_to)
    found += _repeated(entries, died, figures)
    figures.trial(seed, found)
    figures.turns += len(posted)
    return read_to


async def _post(clients: Clients, chance: Random, number: int) -> tuple[str, str]:
    thread = await clients.new_thread()
    times = chance.sample(_MILLISECONDS, len(_MILLISECONDS))
    text = " ".join(f"mail(to='t{number}c{n}', milliseconds={ms})" for n, ms in enumerate(times))
    body = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": text}]}}
    answer = await clients.http.post(f"{clients.url()}/threads/{thread}/runs", json=body)
    answer.raise_for_status()
    return thread, str(answer.json()["run_id"])


async def _until_ended(file: Path, read_to: int, ends: int) -> None:
    while True:
        entries, _ = journal.read(file, read_to)
        if sum(each.phase == "end" for each in entries) >= ends:
            return
        await asyncio.sleep(0.005)


async def _broken(clients: Clients, thread: str, run_id: str) -> list[Finding]:
    """What the thread and the run say after the run has ended."""
    state: Any = None
    with suppress(httpx.TransportError):
        await clients.http.get(f"{clients.url()}/threads/{thread}/runs/{run_id}/join")
    row = await clients.get(f"/threads/{thread}/runs/{run_id}") or {}
    if row.get("status") != "success":
        return [Finding("lost", "tool calls", f"run {run_id} is {row.get('status')}")]
    state = await clients.get(f"/threads/{thread}/state")
    messages = state["values"]["messages"]
    asked = [call["id"] for each in messages for call in each.get("tool_calls") or ()]
    answered = [each["tool_call_id"] for each in messages if each["type"] == "tool"]
    if sorted(asked) != sorted(answered) or len(asked) != len(_MILLISECONDS):
        return [Finding("answers", "tool calls", f"{asked} were asked, {answered} answered")]
    if messages[-1]["type"] != "ai" or sum(each["type"] == "human" for each in messages) != 1:
        return [Finding("messages", "tool calls", str([each["type"] for each in messages]))]
    return []


def _repeated(entries: Sequence[Entry], died: int, figures: Figures) -> list[Finding]:
    """Calls that were made again: those whose result was known, and how often the others."""
    calls: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for each in entries:
        calls[each.run_id, each.question].append(each)
    last = max((each.at for each in entries if each.pid == died), default=0.0)
    found = []
    for (run_id, to), of_call in calls.items():
        begun = [each for each in of_call if each.phase == "begin"]
        ended = [each for each in of_call if each.phase == "end" and each.pid == died]
        again = [each for each in begun if each.pid != died and len(begun) > 1]
        keys = {each.node for each in of_call}
        if again and ended and last - ended[0].at >= _KNOWN:
            found.append(Finding("known, made again", "tool calls", f"{to} of {run_id}"))
        if len(begun) > 2:
            found.append(Finding("made thrice", "tool calls", f"{to} of {run_id}"))
        if len(keys) != 1:
            found.append(Finding("another key", "tool calls", f"{to} of {run_id}: {keys}"))
        counts = figures.numbers
        counts["calls"] = counts.get("calls", 0) + 1
        counts["made again"] = counts.get("made again", 0) + bool(again)
    return found
