"""Memory of a burst is given back once the burst is over."""

import pytest

from everturn.server.observe import memory
from everturn.server.observe.memory import give_memory_back
from tests.waiting import eventually


async def test_it_is_given_back_after_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [100, 200, 300, 300]  # megabytes, look after look; then what is left
    given_back: list[int] = []

    def resident() -> int:
        return (seen.pop(0) if seen else 120) * 1_000_000

    def trim(padding: int) -> int:
        given_back.append(len(seen))
        return 1

    monkeypatch.setattr(memory, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(memory, "resident_bytes", resident)
    monkeypatch.setattr(memory, "_find_trim", lambda: trim)
    async with give_memory_back():
        await eventually(lambda: given_back)
    assert given_back == [0]  # not while it grew, and once


@pytest.mark.skipif(memory._find_trim() is None, reason="glibc gives memory back")
def test_this_system_can() -> None:
    trim = memory._find_trim()
    assert trim is not None
    trim(0)
    assert memory.resident_bytes() > 0
