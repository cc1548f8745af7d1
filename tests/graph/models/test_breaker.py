"""Circuits open, wait, are tried by one caller, and close; with others or alone."""

from collections.abc import Mapping

import pytest

from everturn.graph.models.breaker import Breaker
from everturn.graph.models.circuits import (
    FREE,
    GIVEN_UP,
    KEY,
    PAID,
    Circuit,
    media_of,
    tools_of,
    worst,
)
from everturn.graph.models.failures import Failure, Kind


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _failure(kind: Kind, retry_after: float | None = None) -> Failure:
    return Failure(kind, "", retry_after=retry_after)


@pytest.mark.parametrize(
    ("kind", "in_row"),
    [
        ("unreachable", 1),
        ("timeout", 1),
        ("rate_limited", 1),
        ("unavailable", 3),
        ("cut", 3),
        ("stalled", 3),
        ("malformed", 3),
        ("outrun", 3),
    ],
)
async def test_failures_in_a_row_raise_a_doubt(kind: Kind, in_row: int, clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    for _ in range(in_row):
        assert await breaker.view() == {}
        await breaker.failed("m", _failure(kind))
    assert (await breaker.view())["m"].state == "doubtful"
    await breaker.succeeded("m", 0.1)
    assert await breaker.view() == {}


@pytest.mark.parametrize(
    "kind", ["bad_request", "moderated", "empty", "filtered", "broken_tool_call"]
)
async def test_what_is_not_the_models_fault_opens_nothing(kind: Kind, clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    for _ in range(10):
        await breaker.failed("m", _failure(kind))
    assert await breaker.view() == {}


async def test_who_is_only_slower_is_never_given_up(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    for _ in range(2 * GIVEN_UP):
        await breaker.failed("m", _failure("outrun"))
    assert (await breaker.view())["m"].state == "doubtful"


async def test_an_answer_that_comes_when_a_limit_is_over_is_welcome(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    await breaker.failed("m", _failure("rate_limited", retry_after=5))
    clock.now += 6
    await breaker.succeeded("m", 6.5)  # asked before the limit was named
    assert await breaker.view() == {}


async def test_an_answer_between_failures_begins_the_count_anew(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    for _ in range(5):
        await breaker.failed("m", _failure("unavailable"))
        await breaker.failed("m", _failure("unavailable"))
        await breaker.succeeded("m", None)
    assert await breaker.view() == {}


@pytest.mark.parametrize(
    ("failure", "subject", "seconds"),
    [
        (_failure("invalid_api_key"), KEY, 60),
        (_failure("payment_required"), PAID, 300),
        (_failure("payment_required", 20), PAID, 20),
        (_failure("account_limited", 7), FREE, 7),
        (_failure("not_found"), "m", 300),
        (_failure("no_tool_support"), tools_of("m"), 3600),
        (_failure("no_image_support"), media_of("m", "image"), 3600),
        (_failure("no_audio_support"), media_of("m", "audio"), 3600),
        (_failure("rate_limited", 5), "m", 5),
        (_failure("unavailable", 5), "m", 5),
    ],
    ids=lambda value: value.kind if isinstance(value, Failure) else None,
)
async def test_what_the_provider_said_holds_until_it_is_over(
    failure: Failure, subject: str, seconds: float, clock: Clock
) -> None:
    breaker = Breaker(clock=clock)
    await breaker.failed("m", failure)
    assert await breaker.view() == {subject: Circuit(subject, "open", seconds)}
    clock.now += seconds - 0.1
    assert (await breaker.view())[subject].state == "open"
    clock.now += 0.2
    assert await breaker.view() == {}
    assert await breaker.claim(subject)


async def test_a_call_under_way_does_not_lift_a_limit(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    await breaker.failed("m", _failure("rate_limited", 30))
    await breaker.succeeded("m", 0.1)
    assert (await breaker.view())["m"].state == "open"


async def test_one_caller_tries_and_a_failure_doubles_the_wait(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    await breaker.failed("m", _failure("timeout"))
    first = (await breaker.view())["m"].seconds
    assert not await breaker.claim("m")
    clock.now += first
    assert (await breaker.view())["m"].state == "half_open"
    assert [await breaker.claim("m") for _ in range(3)] == [True, False, False]
    assert (await breaker.view())["m"].state == "doubtful"  # for the others
    await breaker.failed("m", _failure("timeout"))
    assert (await breaker.view())["m"].seconds == 2 * first
    clock.now += 2 * first
    assert await breaker.claim("m")
    await breaker.succeeded("m", 0.1)
    assert await breaker.view() == {}


async def test_while_one_tries_a_model_that_was_given_up_nobody_else_does(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    for _ in range(GIVEN_UP):
        await breaker.failed("m", _failure("timeout"))
    clock.now += 100
    assert await breaker.claim("m")
    assert (await breaker.view())["m"].state == "open"


async def test_whoever_claims_and_never_comes_back_does_not_block_for_ever(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    await breaker.failed("m", _failure("timeout"))
    clock.now += 100
    assert await breaker.claim("m")
    clock.now += 100
    assert await breaker.claim("m")


async def test_calls_that_fail_together_open_once_and_give_the_model_up(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    for _ in range(GIVEN_UP):
        await breaker.failed("m", _failure("unreachable"))
    circuit = (await breaker.view())["m"]
    assert (circuit.state, circuit.seconds) == ("open", 5.0)


async def test_latency_and_failures_are_averages(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    await breaker.succeeded("m", 1.0)
    await breaker.succeeded("m", 2.0)
    await breaker.failed("m", _failure("unavailable"))
    assert breaker.vitals["m"].latency == pytest.approx(1.3)
    assert breaker.vitals["m"].failing == pytest.approx(0.3)


def test_the_worst_of_several_circuits_counts() -> None:
    view = {"a": Circuit("a", "doubtful", 9), "b": Circuit("b", "open", 1)}
    assert worst(view, ["a", "b", "c"]).subject == "b"
    assert worst(view, ["c"]).state == "closed"


class Store:
    """What several breakers share, in this process; it can be made to fail."""

    def __init__(self) -> None:
        self.circuits: dict[str, tuple[float, bool]] = {}
        self.probes: set[str] = set()
        self.reads = 0
        self.down = False

    def _answer(self) -> None:
        if self.down:
            raise ConnectionError("down")

    async def read(self) -> Mapping[str, tuple[float, bool]]:
        self.reads += 1
        self._answer()
        return dict(self.circuits)

    async def open(self, subject: str, seconds: float, *, sure: bool) -> None:
        self._answer()
        self.circuits[subject] = (seconds, sure)
        self.probes.discard(subject)

    async def close(self, subject: str) -> None:
        self._answer()
        self.circuits.pop(subject, None)

    async def claim(self, subject: str, seconds: float) -> bool:
        self._answer()
        won = subject not in self.probes
        self.probes.add(subject)
        return won


async def test_what_one_process_learns_the_others_know_within_a_second(clock: Clock) -> None:
    store = Store()
    one, other = Breaker(store, clock), Breaker(store, clock)
    assert await other.view() == {}
    await one.failed("m", _failure("timeout"))
    assert await other.view() == {}  # read a moment ago
    clock.now += 1
    assert (await other.view())["m"].state == "doubtful"
    await one.succeeded("m", 0.1)
    clock.now += 1
    assert await other.view() == {}


async def test_the_store_is_read_at_most_once_a_second(clock: Clock) -> None:
    store = Store()
    breaker = Breaker(store, clock)
    for _ in range(20):
        await breaker.view()
        clock.now += 0.1
    assert store.reads == 2


async def test_of_all_processes_one_caller_tries(clock: Clock) -> None:
    store = Store()
    breakers = [Breaker(store, clock) for _ in range(3)]
    store.circuits["m"] = (0.0, False)
    for breaker in breakers:
        assert (await breaker.view())["m"].state == "half_open"
    assert [await breaker.claim("m") for breaker in breakers] == [True, False, False]


async def test_a_store_that_is_down_changes_nothing(clock: Clock) -> None:
    store = Store()
    store.down = True
    breaker = Breaker(store, clock)
    await breaker.failed("m", _failure("timeout"))
    assert (await breaker.view())["m"].state == "doubtful"
    clock.now += 5
    assert await breaker.claim("m")
    await breaker.succeeded("m", 0.1)
    assert await breaker.view() == {}
