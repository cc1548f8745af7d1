"""A store of which each caller sees their own part: with the service's store, and any other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langgraph.store.base import BaseStore, InvalidNamespaceError
from langgraph.store.memory import InMemoryStore

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.store import open_store
from everturn.server.access.caller import Caller, acting_as
from everturn.server.access.own_stores import OwnStores, label_of

ADA, BOB = (Caller({"identity": name}) for name in ("ada@example.org", "bob"))


@pytest.fixture(params=["sql", "memory"])
async def inner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BaseStore]:
    if request.param == "memory":
        yield InMemoryStore()
        return
    async with open_database(None, tmp_path) as database, open_store(database) as store:
        yield store


async def test_two_callers_do_not_meet(inner: BaseStore) -> None:
    store = OwnStores(inner)
    for caller in (ADA, BOB, None):
        with acting_as(caller):
            assert await store.aget(("a", "b"), "k") is None
            await store.aput(("a", "b"), "k", {"of": caller and caller.identity})
    for caller in (ADA, BOB, None):
        with acting_as(caller):
            item = await store.aget(("a", "b"), "k")
            assert item is not None
            assert (item.namespace, item.value["of"]) == (("a", "b"), caller and caller.identity)
            (found,) = await store.asearch(())
            assert (found.namespace, found.value) == (("a", "b"), item.value)
            assert await store.alist_namespaces() == [("a", "b")]
    with acting_as(ADA):
        await store.adelete(("a", "b"), "k")
        assert await store.asearch(()) == []
    assert len(await inner.asearch(())) == 2


async def test_no_namespace_leads_into_anothers_part(inner: BaseStore) -> None:
    store = OwnStores(inner)
    with acting_as(BOB):
        await store.aput(("a",), "k", {})
    with acting_as(ADA):
        for prefix in ((label_of("bob"),), ("*",), ("*", "*")):
            assert await store.alist_namespaces(prefix=prefix) == []
        assert await store.alist_namespaces(suffix=("*", "a")) == []
        for namespace in ((label_of("bob"), "a"), (label_of("bob"),), ("*", "a"), ("owner:",)):
            assert await store.aget(namespace, "k") is None
            assert await store.asearch(namespace) == []
        with pytest.raises(InvalidNamespaceError):
            await store.aput((), "k", {})


async def test_namespaces_are_listed_as_if_there_were_no_label(inner: BaseStore) -> None:
    store = OwnStores(inner)
    namespaces = [("a",), ("a", "b"), ("a", "b", "c"), ("d", "b")]
    with acting_as(ADA):
        for namespace in namespaces:
            await store.aput(namespace, "k", {})
        assert await store.alist_namespaces() == namespaces
        assert await store.alist_namespaces(max_depth=1) == [("a",), ("d",)]
        assert await store.alist_namespaces(suffix=("b",)) == [("a", "b"), ("d", "b")]
        assert await store.alist_namespaces(prefix=("a",), suffix=("*", "c")) == [("a", "b", "c")]
        assert await store.alist_namespaces(suffix=("*", "b")) == [("a", "b"), ("d", "b")]
        assert await store.alist_namespaces(limit=1, offset=1) == [("a", "b")]


async def test_what_the_store_returned_it_may_keep(inner: BaseStore) -> None:
    store = OwnStores(inner, "ada")
    await store.aput(("a",), "k", {"v": 1})
    for _ in range(2):  # an item that were changed in place would lose a label each time
        item = await store.aget(("a",), "k")
        assert item is not None
        assert item.namespace == ("a",)


async def test_sync_nodes_have_the_same_part(inner: BaseStore) -> None:
    store = OwnStores(inner)
    with acting_as(ADA):
        await asyncio.to_thread(store.put, ("a",), "k", {"v": 1})
        assert await store.aget(("a",), "k") is not None
    with acting_as(BOB):
        assert await asyncio.to_thread(store.get, ("a",), "k") is None


def test_every_owner_has_another_label_and_none_has_two() -> None:
    owners = ["ada", "ada.b", "ada%2Eb", "ada:b", "*", " ", "한", "\ud800", "owner:ada", "a/b"]
    labels = {label_of(owner) for owner in owners}
    assert len(labels) == len(owners)
    assert all("." not in label and "*" not in label for label in labels)
    assert all(label.isascii() for label in labels)
