"""Watching: put together once a second, for all who watch, and only while somebody does."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from time import perf_counter, time
from typing import Any, Literal

import orjson
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.server.access.caller import current_caller
from everturn.server.observe.memory import resident_bytes
from everturn.server.observe.now.days import Counted, Days
from everturn.server.observe.now.others import NoOthers, Others
from everturn.server.observe.now.picture import Part, Picture
from everturn.server.observe.now.recorder import LastTurn, Recorder, day_at, owner_of
from everturn.server.observe.now.tick import Tick, Viewer

log = get_logger(__name__)

TICK_SECONDS = 1.0
_SAVE_SECONDS = 10.0
"""After which what was taken is added to the day's, where nobody watches."""
_PROMPT_SECONDS = 0.9
"""For which a tick waits for Redis."""
_POLLED_SECONDS = 0.2
"""For which an answer is good enough for others who ask, where nobody watches."""

Health = Callable[[Collection[str]], Awaitable[Mapping[str, Any]]]
"""Says how the models are doing, those configured and others by name: `models`, `breakers`."""
Encoded = tuple[Literal["now", "tick"], bytes]
"""The name of an event, and its JSON."""


class Now:
    """What the service does now, for those who watch it."""

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        days: Counted,
        health: Health,
        look: Callable[[], None],
        measure: Callable[[], Awaitable[None]],
        sees_all: Callable[[], bool],
    ) -> None:
        """Show what is recorded.

        Args:
            recorder: of this process.
            name: of this process, which no other has.
            days: where all count what they have taken.
            health: of the models.
            look: has the recorder see what is under way and waits.
            measure: has it found out what waits in the background.
            sees_all: says whether the current caller may see everybody's turns.
        """
        self.ticks = 0
        """How often it was put together."""
        self.computed = 0.0
        """Seconds that the last time took, without waiting for Redis."""
        self.others: Others | NoOthers = NoOthers()
        self._recorder = recorder
        self._name = name
        self._days = Days(recorder.days, days)
        self._health = health
        self._look = look
        self._measure = measure
        self._sees_all = sees_all
        self._picture = Picture()
        self._tick: Tick | None = None
        self._ticked = float("-inf")
        self._turns = 0
        """How many of this process' turns have been shown."""
        self._watchers = 0
        self._watched = asyncio.Event()
        self._news = asyncio.Event()
        self._looking = asyncio.Lock()

    @property
    def watchers(self) -> int:
        """How many watch."""
        return self._watchers

    async def save(self) -> None:
        """Add what was taken to what all have taken: at the end, when nothing more is."""
        try:
            async with asyncio.timeout(_PROMPT_SECONDS):
                await self._days.save(time())
        except (CheckpointsError, TimeoutError) as error:
            log.warning("now_not_saved", error=str(error) or type(error).__name__)

    async def keep(self) -> None:
        """Put it together while somebody watches, and save what was taken. Never ends."""
        while True:
            try:
                await (self._go_on() if self._watchers else self._rest())
            except CheckpointsError as error:
                log.warning("now_not_saved", error=str(error))
            except Exception:
                log.exception("now_not_made")

    async def _go_on(self) -> None:
        """Wait until the next second is due, and put it together if somebody still watches."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._ticked + TICK_SECONDS - loop.time()))
        if self._watchers:
            self._ticked = loop.time()  # though it fails: the next one is due in a second
            await self._tick_now()

    async def _rest(self) -> None:
        """Wait until somebody watches, or what was taken is to be saved."""
        self._watched.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SAVE_SECONDS):
                await self._watched.wait()
            return
        await self._days.save(time())

    async def snapshot(self) -> bytes:
        """Return everything that the current caller may see, of this moment or a second ago."""
        return (await self._fresh(watched=self._watchers > 0)).now(self._viewer())

    async def watch(self) -> AsyncGenerator[Encoded]:
        """Yield everything that the current caller may see, and then what is new each second."""
        viewer = self._viewer()
        self._watchers += 1
        self._watched.set()
        try:
            tick = await self._fresh(watched=self._watchers > 1)
            yield "now", tick.now(viewer)
            while True:
                seen, tick = tick.number, await self._after(tick.number)
                if tick.anew or tick.number != seen + 1:
                    yield "now", tick.now(viewer)
                else:
                    yield "tick", tick.tick(viewer)
        finally:
            self._watchers -= 1

    def _viewer(self) -> Viewer:
        return Viewer(self._sees_all(), owner_of(current_caller()))

    async def about(self) -> Mapping[str, Any]:
        """Say what this process does, beside what is in its window."""
        recorder = self._recorder
        self._look()
        health = await self._health(list(recorder.window.sum["calls"]))
        now = time()
        today: Mapping[str, int] = recorder.days.get(day_at(now), {})
        return {
            "at": now,
            "name": recorder.process,
            "begun": recorder.window.begun,
            "running": recorder.running,
            "waiting": recorder.waiting,
            "background": recorder.background,
            "memory": _memory(),
            "loop_lag": recorder.loop_lag,
            "today": (today.get("tokens", 0), today.get("cost", 0)),
            **health,
        }

    async def _fresh(self, *, watched: bool) -> Tick:
        """Return the last second, or look now where nobody has watched."""
        age = asyncio.get_running_loop().time() - self._ticked
        good_for = 2 * TICK_SECONDS if watched else _POLLED_SECONDS
        if self._tick is None or age > good_for:
            return await self._tick_now()
        return self._tick

    async def _after(self, number: int) -> Tick:
        while self._tick is None or self._tick.number <= number:
            await self._news.wait()
        return self._tick

    async def _tick_now(self) -> Tick:
        async with self._looking:
            new = await self._ask()
            about = await self.about()
            parts = self._parts(about)
            for _ in self._picture.catch_up(parts, about["at"]):  # at first there is much
                await asyncio.sleep(0)
            began = perf_counter()
            tick = self._tick = self._made(parts, about["at"], new)
            self.computed = perf_counter() - began
            self._ticked = asyncio.get_running_loop().time()
        news, self._news = self._news, asyncio.Event()
        news.set()
        return tick

    async def _ask(self) -> Sequence[LastTurn]:
        """Ask the stores; what they do not say in time stays as it was."""
        if self.ticks % 5 == 0:
            await self._measure()
        try:
            async with asyncio.timeout(_PROMPT_SECONDS):
                await self._days.save(time(), asks=True)
                return await self.others.look(time())
        except (CheckpointsError, TimeoutError) as error:
            log.warning("now_without_others", error=str(error) or type(error).__name__)
            return ()

    def _parts(self, about: Mapping[str, Any]) -> Sequence[Part]:
        """Return all processes, this one first."""
        window, now = self._recorder.window, about["at"]
        window.pass_on(now)
        own = Part(self._name, window, about, answers=True, age=0.0, alive=True)
        return [own] + [
            Part(name, each.window, each.about, answers=False, age=each.age, alive=each.alive)
            for name, each in sorted(self.others.shown.items())
        ]

    def _made(self, parts: Sequence[Part], now: float, new_of_others: Sequence[LastTurn]) -> Tick:
        recorder, others = self._recorder, self.others
        self._picture.take(parts, others.sum, now, self._days.today)
        new = min(recorder.ended - self._turns, len(recorder.turns))
        self._turns = recorder.ended
        new_turns = [*islice(reversed(recorder.turns), new), *new_of_others]
        self.ticks += 1
        return Tick(
            self.ticks,
            self._picture.anew,
            orjson.dumps(self._picture.tick),
            lambda: orjson.dumps(self._picture.complete()),
            _newest_first(new_turns),
            lambda: _newest_first([*recorder.turns, *others.turns]),
        )


def _newest_first(turns: Sequence[LastTurn]) -> Sequence[LastTurn]:
    return sorted(turns, key=lambda turn: -turn.shown["ended_at"])


def _memory() -> int | None:
    try:
        return resident_bytes()
    except OSError:  # no Linux
        return None
