"""Budgets in a real Redis: which one is spent, what is said of it, and when there is more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict
from redis.asyncio import Redis

from everturn.checkpoints.shared.spending import Amount, Spending
from everturn.server.access.budget_settings import BudgetSettings
from everturn.server.access.budgets import Budgets
from everturn.server.access.caller import Caller, acting_as
from everturn.server.access.run_budget import RunBudget
from everturn.server.errors import BudgetExceeded, Forbidden
from tests.checkpoints.stores import Store, redis_store

ADA, BOB = Caller({"identity": "ada"}), Caller({"identity": "bob"})
OPERATOR = Caller({"identity": "root", "permissions": ["admin"]})


class BareBudgetSettings(BudgetSettings):
    """Settings that no `.env` of the developer reaches."""

    model_config = SettingsConfigDict(env_file=None)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 31, 23, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with redis_store() as found:
        yield found


def budgets(store: Store, clock: Any = None, **settings: Any) -> Budgets:
    return Budgets(
        BareBudgetSettings(**settings),
        Spending(*store),
        now=clock or Clock(),
        refused=refusals.append,
    )


refusals: list[str] = []


async def spend(of: Budgets, caller: Caller | None, tokens: int = 10, dollars: float = 0.0) -> None:
    """Make one call of a run of its own."""
    settle = await RunBudget(of, "run", "thread", caller).reserve(tokens, dollars)
    await settle(tokens, dollars)


@pytest.mark.parametrize(
    "values",
    [
        *({"budget_day": 0}, {"budget_run": -1}, {"budget_thread": "much"}, {"tokens_run": 0.5}),
        *({"tokens_day": 0}, {"budget_day": "inf"}, {"budget_day": "nan"}, {"max_tool_calls": 0}),
    ],
)
def test_wrong_values_are_refused_at_the_start(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BareBudgetSettings(**values)


async def test_without_budgets_redis_is_not_asked() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        free = budgets(Store(nobody, "test"))
        assert not free.apply_to(ADA)
        await free.check(ADA, "thread")
        tools = budgets(Store(nobody, "test"), max_tool_calls=2)
        assert tools.apply_to(ADA)
        await tools.check(ADA, "thread")
        async with RunBudget(tools, "run", "thread", ADA) as run:
            await spend(tools, ADA)
            assert run.callbacks == []


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("tokens_run", "of this run (EVERTURN_TOKENS_RUN) is 5 tokens, and 10 tokens are spent. A"),
        ("tokens_thread", "of this thread (EVERTURN_TOKENS_THREAD) is 5 tokens"),
        ("tokens_caller_day", "of one caller a day (EVERTURN_TOKENS_CALLER_DAY) is 5 tokens"),
        ("tokens_day", "of all callers together a day (EVERTURN_TOKENS_DAY) is 5 tokens"),
    ],
)
async def test_each_budget_is_named_with_its_size(store: Store, setting: str, says: str) -> None:
    spent = budgets(store, **{setting: 5})
    await spend(spent, ADA)
    refusals.clear()
    with pytest.raises(BudgetExceeded) as caught:
        await spend(spent, ADA)
    assert says in str(caught.value)
    assert refusals == [setting]
    free_again = {"tokens_run": 2.0, "tokens_thread": 30 * 86_400}
    assert caught.value.retry_after == free_again.get(setting, 3600.0)


async def test_dollars_are_said_as_dollars(store: Store) -> None:
    spent = budgets(store, budget_day=0.5)
    await spend(spent, ADA, 10, 1.25)
    with pytest.raises(BudgetExceeded, match=r"is \$0\.5, and \$1\.25 are spent") as caught:
        await spent.check(BOB, None)
    assert "after midnight UTC" in str(caught.value)


async def test_each_caller_has_a_budget_of_their_own(store: Store) -> None:
    each = budgets(store, tokens_caller_day=5)
    await spend(each, ADA)
    await spend(each, BOB)
    await spend(each, None)
    for caller in (ADA, BOB, None):
        with pytest.raises(BudgetExceeded):
            await each.check(caller, None)


async def test_a_caller_may_have_a_budget_of_their_own(store: Store) -> None:
    eve = Caller({"identity": "eve", "tokens_day": 25, "budget_day": 0.5})
    none, small = budgets(store), budgets(store, tokens_caller_day=5)
    for each in (none, small):
        assert each.apply_to(eve)
        await each.check(eve, None)
        await spend(each, eve)
    await spend(none, eve)
    for each in (none, small):
        with pytest.raises(BudgetExceeded, match="Your own budget of a day is 25 tokens, and 30 "):
            await spend(each, eve)
        with acting_as(eve):
            usage = await each.usage()
        assert usage.today == (Amount(30), Amount())
        assert usage.caller_day == (25, 0.5)
    assert not none.apply_to(BOB)


def test_a_caller_may_have_a_number_of_tool_calls_of_their_own() -> None:
    eve = Caller({"identity": "eve", "max_tool_calls": 5})
    for each in (
        Budgets(BareBudgetSettings(), Spending(Redis())),
        Budgets(BareBudgetSettings(max_tool_calls=3), Spending(Redis())),
    ):
        assert each.apply_to(eve)
        each.check_tools(5, eve)
        with pytest.raises(BudgetExceeded, match="6 tools; your own limit allows 5"):
            each.check_tools(6, eve)
    with pytest.raises(BudgetExceeded, match="EVERTURN_MAX_TOOL_CALLS allows 3"):
        each.check_tools(4, BOB)


async def test_nothing_may_be_spent_where_a_callers_own_budget_is_nothing(store: Store) -> None:
    with pytest.raises(BudgetExceeded):
        await budgets(store).check(Caller({"identity": "eve", "budget_day": 0}), None)


async def test_a_new_day_has_a_new_budget(store: Store) -> None:
    clock = Clock()
    daily = budgets(store, clock, tokens_caller_day=5)
    await spend(daily, ADA)
    clock.now += timedelta(minutes=59)
    with pytest.raises(BudgetExceeded) as caught:
        await daily.check(ADA, None)
    assert caught.value.retry_after == 60.0
    clock.now += timedelta(minutes=1)
    await daily.check(ADA, None)
    await spend(daily, ADA)
    with pytest.raises(BudgetExceeded):
        await daily.check(ADA, None)


async def test_a_call_is_counted_on_the_day_on_which_it_began(store: Store) -> None:
    clock = Clock()
    daily = budgets(store, clock, tokens_day=100)
    settle = await RunBudget(daily, "run", None, ADA).reserve(50, 0.0)
    clock.now += timedelta(hours=2)
    await settle(30, 0.0)
    assert (await daily.usage()).today == (Amount(), Amount())
    clock.now -= timedelta(hours=2)
    assert (await daily.usage("ada")).today == (Amount(30), Amount())


async def test_calls_under_way_are_said_to_be_so(store: Store) -> None:
    daily = budgets(store, tokens_day=100)
    settle = await RunBudget(daily, "run", None, ADA).reserve(100, 0.0)
    with pytest.raises(BudgetExceeded, match="of which 100 tokens are set aside") as caught:
        await daily.check(BOB, None)
    assert caught.value.retry_after == 2.0
    await settle(10, 0.0)
    await daily.check(BOB, None)


async def test_many_runs_of_two_processes_go_beyond_by_one_call_at_most(store: Store) -> None:
    async with redis_store() as other:
        processes = [
            budgets(each, tokens_caller_day=1000)
            for each in (store, Store(other.client, store.prefix))
        ]

        async def run(number: int) -> int:
            budget = RunBudget(processes[number % 2], str(number), None, ADA)
            for made in count():
                try:
                    settle = await budget.reserve(100, 0.0)
                except BudgetExceeded:
                    return made
                await asyncio.sleep(0)
                await settle(90, 0.0)
            raise AssertionError

        calls = sum(await asyncio.gather(*map(run, range(50))))
        with acting_as(ADA):
            today = (await processes[0].usage()).today
    assert today == (Amount(90 * calls), Amount())
    assert 900 < 90 * calls < 1100


async def test_calls_that_no_node_asked_for_are_counted_at_the_runs_end(store: Store) -> None:
    daily = budgets(store, tokens_run=20)
    usage = {"input_tokens": 8, "output_tokens": 4, "total_tokens": 12}
    message = AIMessage("So.", usage_metadata=usage, response_metadata={"cost": 0.5})
    answered = LLMResult(generations=[[ChatGeneration(message=message)]])
    async with RunBudget(daily, "run", None, ADA) as run:
        (seen,) = run.callbacks
        for _ in range(2):
            seen.on_chat_model_start({}, [], run_id=None)  # type: ignore[arg-type]
            seen.on_llm_end(answered, run_id=None)  # type: ignore[arg-type]
        with pytest.raises(BudgetExceeded, match="EVERTURN_TOKENS_RUN"):
            seen.on_chat_model_start({}, [], run_id=None)  # type: ignore[arg-type]
    assert (await daily.usage("ada")).today == (Amount(24, 1.0), Amount())


async def test_what_a_message_says_may_be_anything(store: Store) -> None:
    daily = budgets(store, tokens_day=20)
    odd = AIMessage("So.", response_metadata={"cost": 10**400})
    odd.usage_metadata = {"total_tokens": -3}  # type: ignore[assignment]
    async with RunBudget(daily, "run", None, ADA) as run:
        for message in (odd, AIMessage("So.")):
            answered = LLMResult(generations=[[ChatGeneration(message=message)]])
            run.callbacks[0].on_llm_end(answered, run_id=None)  # type: ignore[arg-type]
    assert (await daily.usage("ada")).today == (Amount(), Amount())


async def test_callers_see_themselves_and_operators_see_all(store: Store) -> None:
    daily = budgets(store, tokens_day=100)
    await spend(daily, ADA, 10)
    await spend(daily, BOB, 20)
    with acting_as(ADA):
        usage = await daily.usage()
        assert (usage.caller, usage.today, usage.everybody) == (
            "ada",
            (Amount(10), Amount()),
            None,
        )
        assert (await daily.usage("ada")).today == usage.today
        with pytest.raises(Forbidden):
            await daily.usage("bob")
    for asking in (OPERATOR, None):
        with acting_as(asking):
            usage = await daily.usage("bob")
            assert (usage.today, usage.everybody) == (
                (Amount(20), Amount()),
                (Amount(30), Amount()),
            )
    assert usage.resets_at == datetime(2026, 4, 1, tzinfo=UTC)


async def test_where_redis_is_away_a_run_begins_and_asks_again(store: Store) -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        await budgets(Store(nobody, "test"), tokens_day=5).check(ADA, None)


async def test_operators_see_what_is_counted_for_somebodys_own_budget(store: Store) -> None:
    none, eve = budgets(store), Caller({"identity": "eve", "tokens_day": 25})
    await spend(none, eve)
    with acting_as(OPERATOR):
        assert (await none.usage("eve")).today == (Amount(10), Amount())
        assert (await none.usage()).today is None
