"""What may be spent by a run, a thread, a caller a day, and by all together a day.

    a run's begin -> is one of them spent? -> before each call of a model: what it may take at most
    is set aside -> after it: what it took is counted, the rest given back

Without a budget nothing is counted, and no run asks Redis for it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from hashlib import blake2b
from typing import NamedTuple

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable
from everturn.checkpoints.shared.spending import Account, Amount, Counted, Full, Spending
from everturn.server.access.allowance import allowance_of
from everturn.server.access.budget_settings import BudgetSettings
from everturn.server.access.caller import Caller, current_caller
from everturn.server.access.overspent import too_many_tools, what_is_spent
from everturn.server.errors import BudgetExceeded, Forbidden

log = get_logger(__name__)

_DAYS = 172_800
"""Seconds that a run and a day are counted: a run goes on after a death, or ends after midnight."""
THREAD_DAYS = 30
"""After its last call a thread's spending is forgotten."""


class Budget(NamedTuple):
    """What may be spent; None is any amount."""

    tokens: int | None
    dollars: float | None


class Usage(NamedTuple):
    """What was spent today, and the budgets."""

    caller: str | None
    today: Counted | None
    """None: nothing is counted."""
    everybody: Counted | None
    """None also for those who may not know."""
    resets_at: datetime
    caller_day: Budget
    """What the caller may spend of it."""


class Budgets:
    """The budgets of a service; one for each of its processes, which count together."""

    def __init__(
        self,
        settings: BudgetSettings,
        spending: Spending,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep to the settings.

        Args:
            settings: how much there is.
            spending: where it is counted.
            now: the time, which says what day it is.
            refused: called with the name of a budget, such as `budget_day`, for each refusal.
        """
        self.run = Budget(settings.tokens_run, settings.budget_run)
        self.thread = Budget(settings.tokens_thread, settings.budget_thread)
        self.caller_day = Budget(settings.tokens_caller_day, settings.budget_caller_day)
        self.day = Budget(settings.tokens_day, settings.budget_day)
        self._max_tool_calls = settings.max_tool_calls
        limits = (*self.run, *self.thread, *self.caller_day, *self.day)
        self.counts = any(each is not None for each in limits)
        """Whether anything is counted of every run."""
        self._spending = spending
        self._now = now
        self._refused = refused

    def counts_for(self, caller: Caller | None) -> bool:
        """Whether what a caller spends is counted: for all, or for a budget of their own."""
        return self.counts or any(each is not None for each in self.day_of(caller))

    def apply_to(self, caller: Caller | None) -> bool:
        """Whether the runs of a caller have anything to keep to."""
        return self.tool_calls_of(caller) is not None or self.counts_for(caller)

    def day_of(self, caller: Caller | None) -> Budget:
        """Return what a caller may spend a day: what is said of them, else what is set."""
        own, all_have = allowance_of(caller), self.caller_day
        return Budget(
            all_have.tokens if own.tokens_day is None else own.tokens_day,
            all_have.dollars if own.budget_day is None else own.budget_day,
        )

    def tool_calls_of(self, caller: Caller | None) -> int | None:
        """Return how many tools one turn of a caller may call; None is any number."""
        own = allowance_of(caller).max_tool_calls
        return self._max_tool_calls if own is None else own

    async def check(self, caller: Caller | None, thread_id: str | None) -> None:
        """Refuse a run before anything of it is stored.

        Raises:
            BudgetExceeded: what its caller, its thread or all together may spend is spent.
        """
        if not self.counts_for(caller):
            return
        try:
            await self.reserve(self.accounts(None, thread_id, caller), Amount())
        except StoreUnavailable:
            return  # the run asks again before each call, and waits for Redis then

    async def usage(self, identity: str | None = None) -> Usage:
        """Return what a caller has spent today; the current one, where no other is named.

        Raises:
            Forbidden: another one is named by somebody who is no `admin`.
            StoreUnavailable: Redis does not answer.
        """
        asking = current_caller()
        operator = asking is None or "admin" in asking.permissions
        own = asking.identity if asking else None
        if identity not in {None, own} and not operator:
            raise Forbidden("Only operators (permission admin) may see what others have spent.")
        named = own if identity is None else identity
        today = everybody = None
        if named != own or self.counts_for(asking):  # another one may have budgets of their own
            today = await self._spending.read(self._of_caller(named))
            everybody = await self._spending.read(self._of_day()) if operator else None
        budget = self.caller_day if named != own else self.day_of(asking)
        return Usage(named, today, everybody, self.midnight, budget)

    def accounts(
        self, run_id: str | None, thread_id: str | None, caller: Caller | None
    ) -> list[Account]:
        """List where a call is counted now: what has no budget is not, but for days."""
        named = self._of_caller(caller.identity if caller else None)
        accounts = [
            Account(self._of_day(), *self.day, _DAYS),
            Account(named, *self.day_of(caller), _DAYS),
        ]
        if thread_id and any(self.thread):
            accounts.append(Account(f"thread:{thread_id}", *self.thread, THREAD_DAYS * 86_400))
        if run_id and any(self.run):
            accounts.append(Account(f"run:{run_id}", *self.run, _DAYS))
        return accounts

    async def reserve(self, accounts: list[Account], amount: Amount) -> None:
        """Set an amount aside; raises BudgetExceeded, and what `Spending.reserve` does."""
        if full := await self._spending.reserve(accounts, amount):
            raise self._refusal(full)

    async def settle(self, accounts: list[Account], held: Amount, spent: Amount) -> None:
        """Count what was spent. Where that fails, what was set aside stays counted."""
        try:
            await self._spending.settle(accounts, held, spent)
        except CheckpointsError as error:
            log.warning("spending_not_settled", error=str(error))

    def check_run(self, spent: Amount) -> None:
        """Refuse a run that has spent too much, as far as this process knows.

        Raises:
            BudgetExceeded: it has.
        """
        for of in ("tokens", "dollars"):
            limit = getattr(self.run, of)
            if limit is not None and getattr(spent, of) >= limit:
                account = Account("run:", *self.run, _DAYS)
                raise self._refusal(Full(account, of, Counted(spent, Amount())))

    def check_tools(self, calls: int, caller: Caller | None) -> None:
        """Refuse a turn that has called too many tools; raises BudgetExceeded."""
        most = self.tool_calls_of(caller)
        if most is not None and calls > most:
            self._refused("max_tool_calls")
            raise too_many_tools(calls, most, own=most != self._max_tool_calls)

    @property
    def midnight(self) -> datetime:
        """When the day ends."""
        return datetime.combine(self._now().date() + timedelta(days=1), time(), UTC)

    def _refusal(self, full: Full) -> BudgetExceeded:
        kind = full.account.name.partition(":")[0]
        setting = f"{'tokens' if full.of == 'tokens' else 'budget'}_{kind}"
        self._refused(setting)
        left = (self.midnight - self._now()).total_seconds()
        again = left if kind.endswith("day") else full.account.seconds if kind == "thread" else None
        own = kind == "caller_day" and getattr(full.account, full.of) != getattr(
            self.caller_day, full.of
        )
        return what_is_spent(full, None if own else setting, again)

    def _of_day(self) -> str:
        return f"day:{self._now().date()}"

    def _of_caller(self, identity: str | None) -> str:
        # Not the name itself, which may be an address, nor one of any length.
        named = blake2b((identity or "").encode(), digest_size=16).hexdigest()
        return f"caller_day:{self._now().date()}:{named}"
