"""The store for clients: a rule that would not keep users apart is refused."""

from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.auth.types import AuthContext

from everturn.server.access.access import HandlerAccess
from everturn.server.access.caller import acting_as, caller_of
from everturn.server.errors import Forbidden, InvalidRule
from everturn.server.resources.store_items import StoreItems


async def own(ctx: AuthContext, value: dict[str, Any]) -> None:
    value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))


async def by_metadata(ctx: AuthContext, value: dict[str, Any]) -> dict[str, str]:
    return {"owner": ctx.user.identity}


async def without_a_list(ctx: AuthContext, value: dict[str, Any]) -> None:
    value["namespace"] = ctx.user.identity


async def every_call(items: StoreItems) -> None:
    await items.put(("n",), "k", {"v": 1}, None, None)
    await items.get(("n",), "k", refresh_ttl=None)
    await items.search(("n",), limit=1)
    await items.namespaces(None, limit=1)
    await items.delete(("n",), "k")


async def test_a_rule_chooses_the_namespace() -> None:
    store = InMemoryStore()
    items = StoreItems(store, HandlerAccess({("store", "*"): own}))
    with acting_as(caller_of("ada")):
        await every_call(items)
        await items.put(("n",), "k", {"v": 1}, None, None)
    assert store.get(("ada", "n"), "k") is not None


@pytest.mark.parametrize(
    ("rule", "user", "words"),
    [
        # Read as a namespace it would be the one of the user "ada", and "b" inside.
        (own, "ada.b", "without periods"),
        (by_metadata, "ada", "returned a filter, and items have no metadata"),
        (without_a_list, "ada", "no list of texts"),
    ],
)
async def test_a_rule_that_keeps_nobody_apart_is_refused(rule: Any, user: str, words: str) -> None:
    items = StoreItems(InMemoryStore(), HandlerAccess({("*", "*"): rule}))
    calls = (
        items.put(("n",), "k", {"v": 1}, None, None),
        items.get(("n",), "k", refresh_ttl=None),
        items.search(("n",), limit=1),
        items.namespaces(None, limit=1),
        items.delete(("n",), "k"),
    )
    for call in calls:
        with acting_as(caller_of(user)), pytest.raises(InvalidRule, match=words):
            await call


async def test_memories_of_another_are_shown_to_nobody() -> None:
    async def anything(ctx: AuthContext, value: dict[str, Any]) -> None: ...

    store = InMemoryStore()
    access = HandlerAccess({("store", "*"): anything})
    items = StoreItems(store, access, memories="m", label_of=str.upper)
    store.put(("m", "ADA", "x"), "k", {"v": 1})
    store.put(("m", "BOB", "x"), "k", {"v": 2})
    with acting_as(caller_of("ada")):
        for prefix in ((), ("m",), ("m", "ADA")):
            found = await items.search(prefix, limit=9)
            assert [item.value for item in found] == [{"v": 1}]
        assert await items.namespaces(None, limit=9) == [("m", "ADA", "x")]
        theirs = ("m", "BOB", "x")
        for call in (
            items.get(theirs, "k", refresh_ttl=None),
            items.put(theirs, "k", {"v": 3}, None, None),
            items.search(theirs, limit=1),
            items.delete(theirs, "k"),
        ):
            with pytest.raises(Forbidden):
                await call
