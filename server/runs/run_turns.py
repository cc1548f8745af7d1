"""The turns of one run: mostly one, and another one for each message that joins in.

stream the turn, each part to the feed -> has a message come? -> write it, and go on
"""

import asyncio
from contextlib import aclosing
from dataclasses import replace

from langgraph.errors import GraphDrained
from langgraph.types import StateSnapshot

from everturn.server.errors import InvalidInput
from everturn.server.runs.asked import configurable_of
from everturn.server.runs.injection import Injected, StopForMessages, may_be_said
from everturn.server.runs.run import Run
from everturn.server.streams.feed import Dumps
from everturn.server.streams.modes import Parts
from everturn.server.turns.engine import Engine, Hold
from everturn.server.turns.memory import ThreadMemory
from everturn.server.turns.outcome import Outcome
from everturn.server.turns.turn import BLOCK, Turn

_BYTES_AT_ONCE = 262_144
"""Of what a run streams: so many are written before the loop serves others."""


class Turns:
    """Runs the turns of runs whose threads are held."""

    def __init__(self, engine: Engine, memory: ThreadMemory, dumps: Dumps) -> None:
        self._engine = engine
        self._memory = memory
        self._dumps = dumps

    async def run(self, run: Run, turn: Turn, held: Hold, outcome: Outcome) -> None:
        """Run a turn, and those that messages to it make; fill in what they come to."""
        parts = Parts(run.request.stream_mode)
        following: Turn | None = turn
        while following is not None:
            stopped = await self._stream(run, following, held, outcome, parts)
            following = await self._next(run, following, held, stopped=stopped)

    async def _stream(
        self, run: Run, turn: Turn, held: Hold, outcome: Outcome, parts: Parts
    ) -> bool:
        """Run to the end, or to a step before which messages are to be written: then True."""
        spoken, published = False, 0
        running = self._engine.run_held(turn, held, outcome, run.checked)
        try:
            async with aclosing(running):
                async for part in running:
                    for name, data in parts.named(part):
                        written = self._dumps(data)
                        run.feed.publish(name, written)
                        published += len(written)
                    speaks = part.mode in {"messages", BLOCK}
                    if speaks:
                        run.speaks()
                    # The first token leaves before the next is made, and others are served between
                    # parts that lie ready: there the turn's deadline is looked at, too.
                    if (speaks and not spoken) or published > _BYTES_AT_ONCE:
                        spoken, published = spoken or speaks, 0
                        await asyncio.sleep(0)
        except GraphDrained:
            return True
        return False

    async def _next(self, run: Run, turn: Turn, held: Hold, *, stopped: bool) -> Turn | None:
        """Write the messages that came for a run, and say how it goes on; None: it has ended.

        See `injection`; `stopped` is whether steps are left for their sake.
        """
        while run.inbox.waiting:
            state = await self._state(run)
            again = replace(turn, input=None, control=StopForMessages(run.inbox))
            said_next = may_be_said(state.values)
            if not stopped and (state.next or not said_next):
                break  # it waits, or ends with calls that no step will answer
            if stopped and not said_next:
                return again
            taken = [each for each in run.inbox.take() if await self._fits(run, each)]
            messages = [each.message for each in taken]
            if stopped and messages:
                await self._memory.add_messages(run.thread_id, held.fence, messages)
            elif messages:
                chosen, about = (turn.config[name] for name in ("configurable", "metadata"))
                place = turn.graph, run.thread_id, held.fence
                await self._memory.say_next(*place, chosen, about, messages)
            for each in taken:
                each.answer(taken=True)
            if stopped or messages:
                return again
        run.inbox.close()
        return None

    async def _fits(self, run: Run, injected: Injected) -> bool:
        """Refuse a message that the graph, or its guards, do not take; change what they change."""
        graph = run.assistant.graph_id
        if not self._engine.takes_messages(graph):
            injected.refuse(InvalidInput(f"The graph {graph!r} has no `messages` in its state."))
            return False
        try:
            given = await self._engine.admitted(graph, {"messages": [injected.message]})
        except Exception as error:
            injected.refuse(error)
            return False
        injected.message = given["messages"][0]
        return True

    async def _state(self, run: Run) -> StateSnapshot:
        chosen = configurable_of(run.assistant, run.request)
        return await self._memory.state(run.assistant.graph_id, run.thread_id, chosen)
