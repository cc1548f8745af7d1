"""Which vectors are nearest to one, without reading them all.

Of each vector one bit a dimension is kept in memory: whether it is above the middle. Vectors that
share most bits are read from the database, and only these are compared in full. So a search among
100,000 costs some milliseconds and 64 bytes a vector, and one among a few hundred compares all.

What is new since the last look has a higher number, so each search reads only that, whichever
process has written it. What is gone is no longer found by its number.
"""

from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic
from typing import Any

CANDIDATES = 200
"""Vectors that are compared in full."""

_KEPT = 2_000_000
"""Vectors whose bits are kept, of all namespaces together."""
_LATE_SECONDS = 40.0
"""PostgreSQL may commit a transaction after another one that got higher numbers; so much later."""
_SAMPLE = 1_000
"""Vectors from which the middle is taken."""
_GROWTH = 2


class Bits:
    """The bits of all vectors under one prefix."""

    def __init__(self, numpy: Any, model: str) -> None:
        self.model = model
        self._numpy = numpy
        self._middle: Any = None
        self._codes: Any = None
        self._numbers: list[int] = []
        self._rows: dict[int, int] = {}
        self._looks: list[tuple[float, int]] = []
        self._newest = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def since(self, *, in_order: bool) -> int:
        """Return up to which number nothing more can come.

        Args:
            in_order: transactions are committed in the order of their numbers, as SQLite's are.
        """
        if in_order:
            return self._newest
        safe = [number for at, number in self._looks if monotonic() - at > _LATE_SECONDS]
        return max(safe, default=0)

    def looked(self) -> None:
        """Note that everything so far was read."""
        now = monotonic()
        if not self._looks or now - self._looks[-1][0] > 1:
            self._looks.append((now, self._newest))
        old = [look for look in self._looks if now - look[0] > _LATE_SECONDS]
        self._looks = [*old[-1:], *(look for look in self._looks if look not in old)]

    def add(self, some: Sequence[tuple[int, bytes]]) -> None:
        """Take in vectors by their numbers; those that are known are passed over."""
        new = [(number, vector) for number, vector in some if number not in self._rows]
        if not new:
            return
        numpy = self._numpy
        matrix = numpy.frombuffer(b"".join(vector for _, vector in new), dtype="<f4")
        matrix = matrix.reshape(len(new), -1)
        if self._middle is None:
            self._middle = matrix[:_SAMPLE].mean(axis=0)
        codes = self._bits(matrix)
        held = len(self._numbers)
        kept = self._codes
        if kept is None or held + len(new) > kept.shape[1]:
            room = max(64, _GROWTH * (held + len(new)))
            grown = numpy.zeros((len(codes), room), dtype=numpy.uint64)
            if kept is not None:
                grown[:, :held] = kept[:, :held]
            kept = self._codes = grown
        kept[:, held : held + len(new)] = codes
        for number, _ in new:
            self._rows[number] = len(self._numbers)
            self._numbers.append(number)
        self._newest = max(self._newest, *(number for number, _ in new))

    def near(self, query: Any, count: int) -> list[int]:
        """Return the numbers of the vectors that share most bits with a query's."""
        held = len(self._numbers)
        if held <= count:
            return list(self._numbers)
        numpy = self._numpy
        wanted = self._bits(query.reshape(1, -1))[:, 0]
        differing = numpy.zeros(held, dtype=numpy.uint16)
        for part, bits in zip(self._codes, wanted, strict=True):
            differing += self._count(part[:held] ^ bits)
        return [self._numbers[row] for row in numpy.argpartition(differing, count)[:count]]

    def _count(self, codes: Any) -> Any:
        """Count the bits that are set in each number."""
        numpy = self._numpy
        if hasattr(numpy, "bitwise_count"):  # NumPy 2
            return numpy.bitwise_count(codes)
        single = numpy.unpackbits(codes.view(numpy.uint8).reshape(len(codes), -1), axis=1)
        return single.sum(axis=1, dtype=numpy.uint8)

    def _bits(self, matrix: Any) -> Any:
        """Return the bits of vectors, 64 of them a row: rows are added up faster than columns."""
        numpy = self._numpy
        packed = numpy.packbits(matrix > self._middle, axis=1)
        missing = -packed.shape[1] % 8
        if missing:
            packed = numpy.pad(packed, ((0, 0), (0, missing)))
        return numpy.ascontiguousarray(packed).view(numpy.uint64).T


class Nearest:
    """The bits of what was searched lately, by prefix."""

    def __init__(self, numpy: Any) -> None:
        self._numpy = numpy
        self._kept: OrderedDict[str, Bits] = OrderedDict()

    def bits(self, prefix: str, model: str) -> Bits:
        """Return the bits of a prefix; none yet where another model's were kept."""
        found = self._kept.get(prefix)
        if found is None or found.model != model:
            found = self._kept[prefix] = Bits(self._numpy, model)
        self._kept.move_to_end(prefix)
        return found

    def trim(self) -> None:
        """Let go of what was not searched for long, where it is too much."""
        total = sum(map(len, self._kept.values()))
        while total > _KEPT and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            total -= len(gone)

    def forget(self, prefix: str) -> None:
        """Let go of a prefix: most of what is kept of it is gone."""
        self._kept.pop(prefix, None)
