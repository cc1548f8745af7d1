"""What runs, threads, callers and days have spent, counted for all processes.

    {everturn:spending}:<account>   HASH   tokens, dollars, and of these held_tokens, held_dollars

Dollars are whole numbers of 1e-9. Before a call of a model, what it may take at most is set aside
in all its accounts, or in none where one of them is full; after it the rest is given back. All keys
have one slot, so that a script sees them together in a cluster, too. What a process has set aside
when it dies counts as spent, and what is counted twice because Redis' reply was lost stays so.
"""

from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis, RedisCluster

from everturn.checkpoints.away import patiently
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.lua import Lua

# KEYS accounts   ARGV tokens, dollars, then of each account: limits of both (-1: none), seconds
# Reply {} or {the number of the account that is full, 1 (tokens) or 2 (dollars), its four fields}
_RESERVE = """
local fields = {'tokens', 'dollars', 'held_tokens', 'held_dollars'}
for i, key in ipairs(KEYS) do
  local known = redis.call('HMGET', key, unpack(fields))
  for n = 1, 2 do
    local limit = tonumber(ARGV[3 * i + n - 1])
    if limit >= 0 and tonumber(known[n] or 0) >= limit then
      return {i, n, known[1] or '0', known[2] or '0', known[3] or '0', known[4] or '0'}
    end
  end
end
if ARGV[1] == '0' and ARGV[2] == '0' then return {} end
for i, key in ipairs(KEYS) do
  for n, field in ipairs(fields) do
    redis.call('HINCRBY', key, field, ARGV[(n - 1) % 2 + 1])
  end
  redis.call('EXPIRE', key, ARGV[3 * i + 2])
end
return {}
"""

# KEYS accounts   ARGV what is added to each of the four fields, then of each account: seconds
_SETTLE = """
local fields = {'tokens', 'dollars', 'held_tokens', 'held_dollars'}
for i, key in ipairs(KEYS) do
  for n, field in ipairs(fields) do
    -- Below zero where the account was lost after something had been set aside in it.
    if redis.call('HINCRBY', key, field, ARGV[n]) < 0 then redis.call('HSET', key, field, 0) end
  end
  redis.call('EXPIRE', key, ARGV[4 + i])
end
"""

_UNITS = 1e9
"""Of a dollar; whole numbers add up exactly."""
_MAX_TOKENS, _MAX_DOLLARS = 10**12, 1e6
"""Of one call: what a provider says beyond is no count, and Lua's numbers have an end."""


class Amount(NamedTuple):
    """What calls took, or may take."""

    tokens: int = 0
    dollars: float = 0.0


class Account(NamedTuple):
    """One counter, and what it may come to."""

    name: str
    tokens: int | None
    """None: any number."""
    dollars: float | None
    seconds: int
    """It is kept after it was last used."""


class Counted(NamedTuple):
    """What an account has come to."""

    spent: Amount
    """With what is set aside."""
    held: Amount
    """Set aside for calls under way."""


class Full(NamedTuple):
    """Why nothing was set aside."""

    account: Account
    of: str
    """`tokens` or `dollars`: which of the two is at its limit."""
    counted: Counted


class Spending:
    """The accounts under one prefix.

    Its methods raise StoreUnavailable while Redis does not answer, and StoreMisconfigured when it
    answers but cannot serve; `reserve` and `settle` wait as the run does that calls them.
    """

    def __init__(self, client: Redis | RedisCluster, prefix: str = "everturn") -> None:
        self._client = client
        self._name = f"{{{prefix}:spending}}"
        self._reserve = Lua(client, _RESERVE)
        self._settle = Lua(client, _SETTLE)

    async def reserve(self, accounts: Sequence[Account], amount: Amount) -> Full | None:
        """Set an amount aside in all accounts, or in none; nothing only looks whether one is full.

        One that is not full takes the whole amount: so only its last call goes beyond the limit.
        """
        limits = [
            number
            for each in accounts
            for number in (_limit(each.tokens), _limit(_units(each.dollars)), each.seconds)
        ]

        async def call() -> list[bytes]:
            with redis_errors():
                reply: list[bytes] = await self._reserve(
                    self._keys(accounts), [*_whole(amount), *limits]
                )
                return reply

        if not (reply := await patiently(call)):
            return None
        number, of, *fields = map(int, reply)
        return Full(accounts[number - 1], ("tokens", "dollars")[of - 1], _counted(fields))

    async def settle(self, accounts: Sequence[Account], held: Amount, spent: Amount) -> None:
        """Count what calls took in place of what was set aside for them, if anything was."""
        before, after = _whole(held), _whole(spent)
        more = [new - old for new, old in zip(after, before, strict=True)]
        given_back = [-each for each in before]
        seconds = [each.seconds for each in accounts]

        async def call() -> None:
            with redis_errors():
                await self._settle(self._keys(accounts), [*more, *given_back, *seconds])

        await patiently(call)

    async def read(self, name: str) -> Counted:
        """Return what an account has come to."""
        with redis_errors():
            fields = await self._client.hmget(
                f"{self._name}:{name}", ["tokens", "dollars", "held_tokens", "held_dollars"]
            )
        return _counted([int(each or 0) for each in fields])

    def _keys(self, accounts: Sequence[Account]) -> list[str]:
        return [f"{self._name}:{each.name}" for each in accounts]


def _whole(amount: Amount) -> list[int]:
    tokens, dollars = min(amount.tokens, _MAX_TOKENS), min(amount.dollars, _MAX_DOLLARS)
    return [max(0, tokens), max(0, round(dollars * _UNITS))]


def _units(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * _UNITS)


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit


def _counted(fields: Sequence[int]) -> Counted:
    tokens, dollars, held_tokens, held_dollars = fields
    return Counted(Amount(tokens, dollars / _UNITS), Amount(held_tokens, held_dollars / _UNITS))
