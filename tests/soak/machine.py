"""Rig 7: any order of turns, kills and restarts on the real program, against a model of threads.

The model is what `accounts.findings` asks of turns: each that was acknowledged is answered once, in
order, and a key asks once.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.checkpoints.redis.servers import free_ports
from tests.soak import journal
from tests.soak.accounts import Finding, findings, settled
from tests.soak.instances import Instance, Nursery
from tests.soak.turns import CHAT, KEYED, KINDS, Clients, Turn

_THREADS = 3
Looked = Callable[[list[Finding]], None]


class Program(RuleBasedStateMachine):
    """One process of the service; `machine` gives it a place to live and somebody who looks."""

    nursery: Nursery
    folder: Path
    looked: Looked
    _instance: Instance | None = None

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.turns: list[Turn] = []
        self.asked: list[asyncio.Task[None]] = []
        self.threads: list[str] = []
        self.deaths = 0
        cls = type(self)
        if cls._instance is None:  # one for all examples: threads of one do not meet another's
            (port,) = free_ports(1)
            cls._instance = Instance(self.nursery, self.folder, port)
            cls._instance.start()
            cls._instance.until_ready()
        self.instance = cls._instance
        self.clients = Clients([self.instance.url])
        _, self.read_to = journal.read(self.folder / "journal")
        for _ in range(_THREADS):
            self.threads.append(self._do(self.clients.new_thread()))

    @rule(data=st.data(), kind=st.sampled_from(KINDS), milliseconds=st.sampled_from((0, 10, 60)))
    def ask(self, data: Any, kind: str, milliseconds: int) -> None:
        """Send a turn; others are under way meanwhile, but on its thread one at a time."""
        thread = data.draw(st.sampled_from(self.threads))
        self._wait_for(thread)
        name = f"q{len(self.turns)}"
        turn = Turn(thread, kind, f"{name} {milliseconds} 2", durable=kind not in CHAT)
        self.turns.append(turn)
        self.asked.append(self.loop.create_task(self.clients.ask(turn), name=thread))
        self._do(asyncio.sleep(milliseconds / 1000))

    @precondition(lambda self: any(t.told_at and t.kind in KEYED for t in self.turns))
    @rule(data=st.data())
    def send_again(self, data: Any) -> None:
        """The same key and the same body: the same answer, and no second turn."""
        told = [turn for turn in self.turns if turn.told_at and turn.kind in KEYED]
        turn = data.draw(st.sampled_from(told))
        again = Turn(turn.thread, turn.kind, turn.text, durable=turn.durable, key=turn.key)
        self._do(self.clients.ask(again))
        turn.answers += again.answers
        turn.problems += again.problems
        if again.run_id != turn.run_id:
            turn.problems.append(f"the key is of run {turn.run_id}, and of {again.run_id}")

    @precondition(lambda self: self._under_way())
    @rule()
    def kill(self) -> None:
        self.deaths += 1
        self.instance.kill()
        self._start()

    @precondition(lambda self: self._under_way())
    @rule()
    def stop(self) -> None:
        self.deaths += 1
        self.instance.send(SIGTERM)
        self._do(asyncio.to_thread(self.nursery.ended, self.instance.pid))
        self._start()

    @precondition(lambda self: self.asked)
    @rule()
    def look(self) -> None:
        """Wait until all have ended, and compare."""
        if self.asked:
            self._do(asyncio.wait(self.asked))
        threads, _ = self._do(settled(self.clients, self.threads))
        entries, _ = journal.read(self.folder / "journal", self.read_to)
        self.looked(findings(self.turns, threads, entries, self.deaths))

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.look()
        self._do(self.clients.http.aclose())
        self.loop.close()

    @classmethod
    def end(cls) -> None:
        """Kill the process."""
        if cls._instance is not None:
            cls._instance.kill()
            cls._instance = None

    def _under_way(self) -> bool:
        return any(not each.done() for each in self.asked)

    def _start(self) -> None:
        self.instance.start()
        self._do(asyncio.to_thread(self.instance.until_ready))

    def _wait_for(self, thread: str) -> None:
        waiting = [each for each in self.asked if each.get_name() == thread]
        if waiting:
            self._do(asyncio.wait(waiting))

    def _do(self, what: Any) -> Any:
        return self.loop.run_until_complete(what)


def machine(nursery: Nursery, folder: Path, looked: Looked) -> type[Program]:
    """A program of its own place; `looked` is told what was found each time all had ended."""
    about = {"nursery": nursery, "folder": folder, "looked": staticmethod(looked)}
    return type("Placed", (Program,), about)
