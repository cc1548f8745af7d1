"""One second as clients are sent it: encoded once for all who see the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import orjson

from everturn.server.observe.now.recorder import LastTurn

_SHOWN_TURNS = 50


class Viewer(NamedTuple):
    """Who watches."""

    sees_all: bool
    owner: str | None
    """Whose turns they see, where they do not see all."""

    def sees(self, turn: LastTurn) -> bool:
        """Say whether they see a turn."""
        return self.sees_all or (turn.owner is not None and turn.owner == self.owner)


@dataclass(slots=True)
class Tick:
    """One second."""

    number: int
    anew: bool
    new: bytes
    whole: Callable[[], bytes]
    new_turns: Sequence[LastTurn]
    turns: Callable[[], Sequence[LastTurn]]
    _whole: bytes = b""
    _encoded: dict[tuple[str, Viewer], bytes] = field(default_factory=dict)

    def tick(self, viewer: Viewer) -> bytes:
        """Return what is new."""
        return self._joined("tick", viewer, self.new, self.new_turns)

    def now(self, viewer: Viewer) -> bytes:
        """Return everything."""
        self._whole = self._whole or self.whole()
        return self._joined("now", viewer, self._whole, self.turns())

    def _joined(self, name: str, viewer: Viewer, said: bytes, turns: Sequence[LastTurn]) -> bytes:
        key = name, viewer
        if key not in self._encoded:
            seen = (each.shown for each in turns if viewer.sees(each))
            shown = orjson.dumps(list(islice(seen, _SHOWN_TURNS)))
            self._encoded[key] = b'%s,"turns":%s}' % (said[:-1], shown)
        return self._encoded[key]
