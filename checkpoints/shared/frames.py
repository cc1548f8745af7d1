r"""How the events of a run are written small: most are like one before them.

An entry of the log holds frames, two lines each; JSON has no raw line break:

    <name> \n <data> \n                               a whole frame
    \x01 <model> : <begin> : <end> \n <middle> \n     one that differs from its model in the middle

A model is a frame that was written apart, under a number. A token of an answer is some 1,000 bytes,
and differs from the token before it in the word.
"""

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_LEAST_MODEL, _LARGEST_MODEL = 200, 8_192
"""Bytes: a smaller frame is as small as what refers to it, a larger one is seldom like others."""
_MAX_MODELS = 100
"""Of one run."""
_LEAST_ZIPPED = 300
_ZIPPED = b"\x02"
_LIKE = b"\x01"


class Frame(NamedTuple):
    """One event: its number in the run's attempt, from 1 on; its name; its data as JSON."""

    number: int
    name: str
    data: bytes
    at: int = 0
    """When it happened, in ms since the epoch; 0 where that is not known."""


class Model:
    """A frame that others are like: they share a beginning and an end with it, so far."""

    __slots__ = ("begin", "data", "end", "number")

    def __init__(self, data: bytes) -> None:
        self.number = b""
        self.data = data
        self.begin, self.end = data, b""

    def fits(self, data: bytes) -> bool:
        """Whether a frame has the beginning and the end that all others had."""
        room = len(self.begin) + len(self.end)
        return len(data) >= room and data.startswith(self.begin) and data.endswith(self.end)

    def like(self, data: bytes) -> bool:
        """Whether a frame shares half of itself with it; then begin and end are what they share."""
        if self.fits(data):
            return True
        begins = _common(self.begin, data)
        most = min(len(self.data), len(data)) - begins
        ends = _common((self.end or self.data)[::-1][:most], data[::-1][:most])
        if 2 * (begins + ends) < len(data):
            return False
        self.begin, self.end = self.data[:begins], self.data[len(self.data) - ends :]
        return True


class Packer:
    """Packs the frames of one attempt of a run; it knows the models that it made."""

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self._models: dict[str, Model] = {}
        self._last: dict[str, Model] = {}
        """The last frame of each name that was written whole: a model, if the next is like it."""
        self._count = 0

    def pack(self, frames: Sequence[Frame]) -> tuple[bytes, dict[bytes, bytes]]:
        """Return an entry, and the models that must be written before it."""
        made: dict[bytes, bytes] = {}
        packed = zipped(b"".join(self._packed(frame, made) for frame in frames))
        return packed, made

    def _packed(self, frame: Frame, made: dict[bytes, bytes]) -> bytes:
        name, data = frame.name, frame.data
        model = self._models.get(name)
        if model is None or not model.like(data):
            model = self._new_model(name, data, made)
        if model is None:
            return b"%s\n%s\n" % (name.encode(), data)
        begins, ends = len(model.begin), len(model.end)
        middle = data[begins : len(data) - ends]
        return b"%s%s:%d:%d\n%s\n" % (_LIKE, model.number, begins, ends, middle)

    def _new_model(self, name: str, data: bytes, made: dict[bytes, bytes]) -> Model | None:
        if not _LEAST_MODEL <= len(data) <= _LARGEST_MODEL:
            return None
        last = self._last.get(name)
        if last is None or self._count == _MAX_MODELS or not last.like(data):
            self._last[name] = Model(data)
            return None
        self._count += 1
        del self._last[name]
        last.number = b"%d-%d" % (self._attempt, next(_numbers))
        made[last.number] = zipped(b"%s\n%s" % (name.encode(), last.data))
        self._models[name] = last
        return last


_numbers = itertools.count(1)
"""Of this process: a run that forgot its models must not write others under their numbers."""


def opened(packed: bytes) -> list[bytes]:
    """The lines of an entry."""
    return unzipped(packed).split(b"\n")[:-1]


def models_of(lines: Sequence[bytes]) -> set[bytes]:
    """The numbers of the models that the lines of an entry need."""
    return {head[1:].split(b":")[0] for head in lines[0::2] if head.startswith(_LIKE)}


def unpack(
    first: int, lines: Sequence[bytes], models: Mapping[bytes, bytes], times: bytes = b""
) -> Iterator[Frame]:
    """Yield the frames of an entry, from a number on; those whose model is lost are left out."""
    heads, bodies = lines[0::2], lines[1::2]
    moments = _moments(times, len(heads))
    for number, (head, body, at) in enumerate(zip(heads, bodies, moments, strict=True), first):
        if not head.startswith(_LIKE):
            yield Frame(number, head.decode(), body, at)
            continue
        which, begin, end = head[1:].split(b":")
        if which in models:
            name, _, data = models[which].partition(b"\n")
            whole = data[: int(begin)] + body + data[len(data) - int(end) :]
            yield Frame(number, name.decode(), whole, at)


def times_of(frames: Sequence[Frame]) -> bytes:
    """Write when frames happened: the first in ms since the epoch, the others as differences."""
    moments = [frame.at for frame in frames]
    later = (now - before for before, now in itertools.pairwise(moments))
    return b",".join(b"%d" % each for each in (*moments[:1], *later))


def _moments(times: bytes, count: int) -> list[int]:
    """Read what `times_of` wrote; older entries have none."""
    if not times:
        return [0] * count
    return list(itertools.accumulate(map(int, times.split(b","))))


def zipped(plain: bytes) -> bytes:
    """Make it smaller, where it is large enough to gain from that."""
    if len(plain) < _LEAST_ZIPPED:
        return plain
    packed = _ZIPPED + zlib.compress(plain, 1)
    return packed if len(packed) < len(plain) else plain


def unzipped(packed: bytes) -> bytes:
    """Return what `zipped` was given."""
    return zlib.decompress(packed[1:]) if packed.startswith(_ZIPPED) else packed


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts have in common from their beginning on."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
