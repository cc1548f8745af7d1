"""One store, of which each caller sees a part of their own: clients and graphs alike.

    ("notes", "today")  of ada  ->  ("owner:ada", "notes", "today")

The first label is put before each namespace and taken off each answer, so nobody sees it. What the
service does by itself, without a caller, has a part of its own as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any
from urllib.parse import quote

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchOp,
)

from everturn.server.access.caller import current_caller

Namespace = tuple[str, ...]

LABEL = "owner:"
"""How the first label of each namespace begins."""


def label_of(owner: str) -> str:
    """Return the first label of an owner's namespaces; labels hold no periods."""
    return LABEL + quote(owner, safe="@ ", errors="surrogatepass").replace(".", "%2E")


class OwnStores(BaseStore):
    """The part of the current caller, or of one owner. Methods raise as those of the store do."""

    def __init__(self, store: BaseStore, owner: str | None = None) -> None:
        """Divide a store; `owner` says whose part this is, whoever asks."""
        self._store = store
        self._owner = owner
        self.supports_ttl = store.supports_ttl
        self.ttl_config = store.ttl_config

    def of(self, owner: str) -> "OwnStores":
        """Return an owner's part."""
        return OwnStores(self._store, owner)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """See `BaseStore`; so does `abatch`."""
        label = self._label()
        return _results(self._store.batch([_inside(op, label) for op in ops]))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        label = self._label()
        return _results(await self._store.abatch([_inside(op, label) for op in ops]))

    def _label(self) -> str:
        if self._owner is not None:
            return label_of(self._owner)
        caller = current_caller()
        return label_of(caller.identity) if caller else LABEL


def _inside(op: Op, label: str) -> Op:
    """Return an operation as it is done inside a label."""
    if isinstance(op, GetOp | PutOp):
        return op._replace(namespace=(label, *op.namespace))
    if isinstance(op, SearchOp):
        return op._replace(namespace_prefix=(label, *op.namespace_prefix))
    if isinstance(op, ListNamespacesOp):
        conditions = tuple(_conditions(op.match_conditions or (), label))
        depth = None if op.max_depth is None else op.max_depth + 1
        return op._replace(match_conditions=conditions, max_depth=depth)
    raise TypeError(f"the store has no operation {type(op).__name__}")


def _conditions(said: Sequence[MatchCondition], label: str) -> Iterator[MatchCondition]:
    """Put prefixes behind the label; a suffix must not reach into it."""
    within: Namespace = ()
    for each in said:
        if each.match_type == "prefix":
            yield MatchCondition("prefix", (label, *each.path))
        else:
            yield each
            within = max(within, ("*",) * len(each.path), key=len)
    if within or not said:
        yield MatchCondition("prefix", (label, *within))


def _results(found: Sequence[Any]) -> list[Result]:
    return [_outside(each) for each in found]


def _outside(result: Any) -> Any:
    """Take the label off; the store may keep what it has returned, so that stays as it is."""
    if isinstance(result, Item):
        shown = copy(result)
        shown.namespace = result.namespace[1:]
        return shown
    if isinstance(result, list):
        return [_outside(each) if isinstance(each, Item) else tuple(each)[1:] for each in result]
    return result
