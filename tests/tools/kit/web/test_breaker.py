import asyncio

import pytest

from everturn.tools.kit.web import BadAnswer, Unreachable, WebError
from everturn.tools.kit.web.breaker import Breaker


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def fail(breaker: Breaker, error: WebError) -> None:
    with pytest.raises(type(error)), breaker.watching("s"):
        raise error


def asked(breaker: Breaker) -> bool:
    try:
        with breaker.watching("s"):
            return True
    except Unreachable:
        return False


def test_it_opens_at_the_first_failure_to_reach_a_service_and_for_it_alone(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, Unreachable("no"))
    with pytest.raises(Unreachable, match="asked again in 30 s"), breaker.watching("s"):
        pytest.fail("it was asked")
    with breaker.watching("another"):
        pass
    clock.now += 30
    assert asked(breaker)
    assert asked(breaker)
    assert breaker.seconds("s") == 0


def test_after_its_time_one_tries_and_the_others_wait(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, Unreachable("no"))
    clock.now += 30
    with breaker.watching("s"):
        assert not asked(breaker)
    assert asked(breaker)


def test_each_failed_try_doubles_the_wait_up_to_ten_minutes(breaker: Breaker, clock: Clock) -> None:
    waits = []
    for _ in range(7):
        fail(breaker, Unreachable("no"))
        waits.append(breaker.seconds("s"))
        clock.now += waits[-1]
    assert waits == [30, 60, 120, 240, 480, 600, 600]


def test_bad_answers_open_it_at_the_third_in_a_row(breaker: Breaker) -> None:
    bad = BadAnswer("500", status=500)
    fail(breaker, bad)
    fail(breaker, bad)
    assert asked(breaker)
    for _ in range(3):
        assert breaker.seconds("s") == 0
        fail(breaker, bad)
    assert not asked(breaker)


@pytest.mark.parametrize(("told", "wait"), [(7.0, 7), (None, 30), (9999.0, 600)])
def test_a_service_says_when_to_come_back(breaker: Breaker, told: float | None, wait: int) -> None:
    fail(breaker, BadAnswer("429", status=429, retry_after=told))
    assert breaker.seconds("s") == wait


def test_a_wrong_question_is_no_failure_of_the_service(breaker: Breaker) -> None:
    for _ in range(9):
        fail(breaker, BadAnswer("400", status=400))
    assert asked(breaker)


async def test_a_caller_who_leaves_says_nothing_and_lets_the_next_try(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, Unreachable("no"))
    clock.now += 30

    async def probe() -> None:
        with breaker.watching("s"):
            await asyncio.Event().wait()

    task = asyncio.create_task(probe())
    await asyncio.sleep(0)
    assert not asked(breaker)
    task.cancel()
    await asyncio.wait({task})
    assert asked(breaker)


def test_names_without_end_are_not_kept_without_end(breaker: Breaker) -> None:
    for number in range(1000):
        with pytest.raises(Unreachable), breaker.watching(f"Wikipedia ({number})"):
            raise Unreachable("no")
    assert len(breaker._circuits) <= 256
