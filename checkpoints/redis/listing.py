"""A list of checkpoints, page by page: what a caller does not take is never read.

A listing is an operation that also yields the checkpoints it finds: its driver makes the calls and
hands the checkpoints on.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from langgraph.checkpoint.base import CheckpointTuple

from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.calls import Call, Scan, Threads
from everturn.checkpoints.redis.housekeeping import thread_ids
from everturn.checkpoints.redis.keyspace import Place, checkpoint_at, checkpoint_name
from everturn.checkpoints.redis.reading import Page, newest, places, read

_PAGE, _BARE_PAGE = 32, 256

Steps: TypeAlias = Generator[Call | Scan | CheckpointTuple, Any, None]


@dataclass
class Listing:
    """What is asked for: `metadata` values, older than `before`, how many are `left`.

    `bare` ones come without the values of their channels, and without writes.
    """

    threads: Threads
    metadata: Mapping[str, Any]
    before: str | None
    left: int | None
    bare: bool = False

    def everywhere(self) -> Steps:
        """The checkpoints of all threads, one after the other. Listing them renews no TTL."""
        for thread_id in (yield from thread_ids(self.threads)):
            yield from self._of_thread(Address(thread_id), use=False)

    def of(self, address: Address) -> Steps:
        """The checkpoints at an address: of one namespace if it names one, else of all."""
        if address.ns is None:
            yield from self._of_thread(address)
        elif address.checkpoint_id is None:
            yield from self._of_namespace(address, address.ns)
        elif self.before is None:
            yield from self._named(address, [checkpoint_name(address.ns, address.checkpoint_id)])
        else:
            yield from self._of_thread(address)

    def _of_namespace(self, address: Address, ns: str) -> Steps:
        """A range of the index, newest first: the first page is the first trip."""
        before = None if self.before is None else checkpoint_name(ns, self.before)
        while self.left != 0:
            what = newest(ns, limit=self._page_size(), before=before, bare=self.bare)
            page = yield from read(self.threads, address, *what, metadata=self.metadata)
            yield from self._hand_out(page)
            if (before := page.more) is None:
                return

    def _of_thread(self, address: Address, *, use: bool = True) -> Steps:
        """All namespaces, newest first.

        The index is ordered by namespace and then by id, so all names are read and sorted here.
        """
        if self.left == 0:
            return
        order = yield from places(self.threads, address.thread_id)
        bound = self._bound(order)
        wanted = [
            name
            for name, place in order.items()
            if address.admits(*checkpoint_at(name)) and (bound is None or place < bound)
        ]
        wanted.sort(key=lambda name: (order[name], checkpoint_at(name)), reverse=True)
        yield from self._named(address, wanted, use=use)

    def _named(self, address: Address, names: list[bytes], *, use: bool = True) -> Steps:
        which = "bare" if self.bare else "named"
        while names and self.left != 0:
            asked = names[: self._page_size()]
            page = yield from read(
                self.threads, address, which, *asked, metadata=self.metadata, use=use
            )
            yield from self._hand_out(page)
            names = names[asked.index(page.more) + 1 if page.more else len(asked) :]

    def _hand_out(self, page: Page) -> Steps:
        for found in islice(page.found, self.left):
            if self.left is not None:
                self.left -= 1
            yield found

    def _page_size(self) -> int:
        # A filter is applied here, not on the server, so it may take any number to find one.
        most = _BARE_PAGE if self.bare else _PAGE
        return most if self.left is None or self.metadata else min(most, self.left)

    def _bound(self, order: Mapping[bytes, Place]) -> Place | None:
        """The place of `before`; where its id would stand if it is none of these."""
        if self.before is None:
            return None
        same = (place for name, place in order.items() if checkpoint_at(name)[1] == self.before)
        return max(same, default=Place(self.before))
