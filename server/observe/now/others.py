"""The other processes: copies of their windows, which they write while somebody watches.

    a process that shows -> message "who watches asks" -> every other one writes what has changed
    -> a second later the copies are read, together with the turns that have ended

Where nobody watches, nothing is sent or written.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.shared.now import Copy, NowCopies
from everturn.checkpoints.shared.peers import Message, Peers
from everturn.server.observe.now.counts import Counts, no_counts
from everturn.server.observe.now.recorder import KEPT_TURNS, LastTurn, Recorder
from everturn.server.observe.now.window import STEP_SECONDS, STEPS, Step, Window, number_at

log = get_logger(__name__)

_ASKS = "now_asks"
_PATIENCE = 0.5
"""Seconds that the first look waits for the others to write."""
_PAUSE = 0.02
_KEPT_QUESTIONS = 64
"""Processes come and go; of those that asked longest ago nobody waits for an answer."""
_SHOWN_SECONDS = 60.0
"""For which a process that is silent is shown."""

About = Callable[[], Awaitable[Mapping[str, Any]]]
"""Says what this process is doing, beside what its window says."""


@dataclass(slots=True)
class Other:
    """Another process, as its last copy has it."""

    window: Window
    about: Mapping[str, Any]
    age: float = 0.0
    """Seconds since its last heartbeat."""
    alive: bool = True
    newest: int = 0
    """The number of the newest step that was read."""
    written: dict[int, bytes] = field(default_factory=dict)
    """The newest steps as they were read, to see whether they have changed."""


class NoOthers:
    """Of the only process of its service."""

    turns: Sequence[LastTurn] = ()
    shown: Mapping[str, Other] = {}
    sum: Counts | None = None

    async def look(self, now: float) -> Sequence[LastTurn]:
        """There is nothing to see."""
        return ()

    async def answer(self) -> None:
        """No one asks."""


class Others:
    """The processes at one Redis, but for this one."""

    def __init__(self, recorder: Recorder, copies: NowCopies, peers: Peers, about: About) -> None:
        """Ask the others, and answer them with what `recorder` and `about` say."""
        self.turns: deque[LastTurn] = deque(maxlen=KEPT_TURNS)
        self.sum: Counts | None = no_counts()
        """Of all their windows."""
        self._recorder = recorder
        self._copies = copies
        self._peers = peers
        self._about = about
        self._known: dict[str, Other] = {}
        self._place = "-"
        """Of the last turn that was read."""
        self._asked = 0
        self._looked_at = 0.0
        self._questions: dict[str, int] = {}
        """By the process that asks: the number of its last question."""
        self._question = asyncio.Event()
        self._sent = number_at(recorder.window.begun)
        """The number of the newest step that was written."""
        self._sent_turns = 0
        peers.subscribe(self._received)

    @property
    def shown(self) -> Mapping[str, Other]:
        """The others by their names: those that are alive, and those that were a minute ago."""
        return {name: each for name, each in self._known.items() if each.age < _SHOWN_SECONDS}

    async def look(self, now: float) -> Sequence[LastTurn]:
        """Ask the others, and read what they have written; returns turns that are new.

        The first time it waits a moment for their answers, later it reads those to the question
        before.

        Raises:
            StoreUnavailable: what was known stays known.
        """
        first = now - self._looked_at > STEP_SECONDS
        self._looked_at = now
        self._asked += 1
        await self._peers.publish({_ASKS: self._asked})
        await self._read(now)
        until = asyncio.get_running_loop().time() + _PATIENCE
        while first and not self._have_answered() and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_PAUSE)
            await self._read(now)
        return await self._read_turns()

    def _have_answered(self) -> bool:
        alive = [each for each in self._known.values() if each.alive]
        return all(
            each.about.get("asked", {}).get(self._peers.name, 0) >= self._asked for each in alive
        )

    async def _read(self, now: float) -> None:
        ages = dict(await self._copies.heartbeats())
        ages.pop(self._peers.name, None)
        newest = number_at(now)
        since = {name: self._since(name, newest) for name in {*ages, *self._known}}
        for name, copy in (await self._copies.read(since, newest)).items():
            self._take(name, copy, anew=since[name] is None, newest=newest)
        for name in ages.keys() - self._known.keys():  # it has not written yet
            self._known[name] = Other(Window(now, self.sum), {"name": name, "begun": now})
        for name, each in list(self._known.items()):
            each.alive = name in ages
            each.age = ages.get(name, max(each.age, now - each.about.get("at", now)))
            each.window.pass_on(now)
            if not (each.alive or each.window.steps or each.age < _SHOWN_SECONDS):
                del self._known[name]

    def _since(self, name: str, newest: int) -> int | None:
        known = self._known.get(name)
        if known is None or "at" not in known.about or newest - known.newest > 1:
            return None
        return newest - 2  # clocks differ, and a step is written when it is over

    def _take(self, name: str, copy: Copy, *, anew: bool, newest: int) -> None:
        about = orjson.loads(copy.about)
        other = self._known.get(name)
        if other is None or anew:
            if other is not None:
                other.window.clear()
            other = self._known[name] = Other(Window(about["begun"], self.sum), about)
        other.about, other.newest = about, newest
        for number, said in copy.steps.items():
            if number > newest - STEPS and other.written.get(number) != said:
                other.window.put(number, _step(said))
                other.written[number] = said
        for number in [each for each in other.written if each < newest - 2]:
            del other.written[number]

    async def _read_turns(self) -> Sequence[LastTurn]:
        self._place, found = await self._copies.turns(self._place)
        said = [orjson.loads(each) for each in found]
        new = [
            LastTurn(each["owner"], each["shown"])
            for each in said
            if each["of"] != self._peers.name
        ]
        self.turns.extend(new)
        return new

    def _received(self, message: Message) -> None:
        if _ASKS in message:
            asks = str(message.get("from"))
            self._questions.pop(asks, None)  # to the end: the order says who asked last
            self._questions[asks] = message[_ASKS]
            if len(self._questions) > _KEPT_QUESTIONS:
                del self._questions[next(iter(self._questions))]
            self._question.set()

    async def answer(self) -> None:
        """Write what has changed whenever another process asks. Never ends."""
        while True:
            await self._question.wait()
            self._question.clear()
            try:
                await self._write()
            except CheckpointsError as error:
                log.warning("now_not_written", error=str(error))
            except Exception:
                log.exception("now_not_written")

    async def _write(self) -> None:
        recorder, window = self._recorder, self._recorder.window
        about = {**await self._about(), "asked": self._questions}
        now = about["at"]
        window.pass_on(now)
        changed, newest = set(window.changed), number_at(now)
        steps = {
            number: _written(window.steps[number]) for number in changed if number in window.steps
        }
        gone = range(max(self._sent, newest - 2 * STEPS) - STEPS, newest - STEPS + 1)
        ended = recorder.ended
        new = min(ended - self._sent_turns, len(recorder.turns))
        turns = [
            orjson.dumps({"of": self._peers.name, "owner": each.owner, "shown": each.shown})
            for each in list(recorder.turns)[len(recorder.turns) - new :]
        ]
        await self._copies.publish(
            self._peers.name, Copy(orjson.dumps(about), steps), list(gone), turns
        )
        # What was counted meanwhile is in the newest step, which is written again.
        window.changed -= changed - {newest}
        self._sent, self._sent_turns = newest, ended


def _written(step: Step) -> bytes:
    return orjson.dumps({"counts": step.counts, "running": step.running, "waiting": step.waiting})


def _step(written: bytes) -> Step:
    said, step = orjson.loads(written), Step()
    for group, numbers in said["counts"].items():
        step.counts[group].update(numbers)
    step.running, step.waiting = said["running"], said["waiting"]
    return step
