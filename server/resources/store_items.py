"""The items of the store, as clients may read and write them: rules say in which namespaces.

What is remembered of a caller is theirs, whatever a project's rules say or do not.

Graphs have the store itself, as `runtime.store`; no rule stands between them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from langgraph.store.base import BaseStore, Item, SearchItem

from everturn.checkpoints.sql.matches import EVERYTHING
from everturn.server.access.access import Access, Action
from everturn.server.access.caller import current_caller
from everturn.server.errors import Forbidden, InvalidRule
from everturn.server.observe.audit import audit

Namespace = tuple[str, ...]


class StoreItems:
    """The store, for the current caller. Every method raises as the store and `Access.allowed` do.

    What a rule says of a namespace counts in place of what the client asked for; so an item is
    returned under the namespace in which it is.
    """

    def __init__(
        self,
        store: BaseStore,
        access: Access,
        *,
        memories: str = "",
        label_of: Callable[[str], str] = str,
    ) -> None:
        """Take the store; in namespaces that begin with `memories` the caller's name is next."""
        self._store = store
        self._access = access
        self._memories = memories
        self._label_of = label_of

    async def put(
        self,
        namespace: Namespace,
        key: str,
        value: dict[str, Any],
        index: Literal[False] | list[str] | None,
        ttl: Any,
    ) -> None:
        """Keep an item; see `BaseStore.aput`."""
        asked: dict[str, Any] = {
            "namespace": namespace,
            "key": key,
            "value": value,
            "index": index,
        }
        where = await self._allowed("put", asked)
        await self._store.aput(where, asked["key"], asked["value"], asked["index"], ttl=ttl)

    async def get(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None) -> Item | None:
        """Return an item, if there is one."""
        asked: dict[str, Any] = {"namespace": namespace, "key": key, "refresh_ttl": refresh_ttl}
        where = await self._allowed("get", asked)
        return await self._store.aget(where, asked["key"], refresh_ttl=asked["refresh_ttl"])

    async def delete(self, namespace: Namespace, key: str) -> None:
        """Delete an item; there need not be one."""
        asked: dict[str, Any] = {"namespace": namespace, "key": key}
        where = await self._allowed("delete", asked)
        await self._store.adelete(where, asked["key"])
        audit("store_item.deleted", target=".".join((*where, asked["key"])))

    async def search(self, namespace: Namespace, **options: Any) -> list[SearchItem]:
        """Find items in a namespace and inside it; `options` are those of `BaseStore.asearch`."""
        asked: dict[str, Any] = {"namespace": namespace, **options}
        where = await self._allowed("search", asked)
        found = await self._store.asearch(where, **{name: asked[name] for name in options})
        return [item for item in found if not self._of_another(item.namespace)]

    async def namespaces(self, prefix: Namespace | None, **options: Any) -> list[Namespace]:
        """Name the namespaces that have items; `options` as of `BaseStore.alist_namespaces`."""
        asked: dict[str, Any] = {"namespace": prefix, **options}
        where = await self._allowed("list_namespaces", asked)
        chosen = {name: asked[name] for name in options}
        found = await self._store.alist_namespaces(prefix=where or None, **chosen)
        return [namespace for namespace in found if not self._of_another(namespace)]

    def _of_another(self, namespace: Namespace) -> bool:
        """Say whether a namespace has memories of somebody who is not the caller."""
        caller = current_caller()
        if namespace[:1] != (self._memories,) or caller is None or self._access.sees_all():
            return False
        return namespace[1:2] not in {(), (self._label_of(caller.identity),)}

    async def _allowed(self, action: Action, asked: dict[str, Any]) -> Namespace:
        allowed = await self._access.allowed("store", action, asked)
        if allowed is not EVERYTHING:
            raise InvalidRule(
                f"The rule of store.{action} returned a filter, and items have no metadata: write "
                'one under `@auth.on.store` that changes `value["namespace"]`.'
            )
        where = _namespace(asked.get("namespace"))
        if self._of_another(where):
            raise Forbidden("These are the memories of another caller.")
        return where


def _namespace(labels: Sequence[str] | None) -> Namespace:
    """Refuse what would read as another namespace: labels are joined with periods."""
    if isinstance(labels, str) or not all(
        isinstance(each, str) and each and "." not in each for each in labels or ()
    ):
        raise InvalidRule(
            "A rule of the store left a `namespace` that is no list of texts without periods: "
            'replace them in identities, as in `identity.replace(".", "_")`.'
        )
    return tuple(labels or ())
