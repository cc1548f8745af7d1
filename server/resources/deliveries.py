"""Deliveries of webhooks, as operators see them: what waits, what arrived, and dead letters."""

from dataclasses import replace
from typing import Any

from everturn.checkpoints.sql.matches import EVERYTHING, Match
from everturn.checkpoints.sql.webhooks import Delivery, Filter, WebhookTable
from everturn.server.access.access import Access, Action, rule_id
from everturn.server.errors import WebhookDelivered, WebhookNotFound
from everturn.server.observe.audit import audit
from everturn.server.runs.webhooks import Webhooks


class Deliveries:
    """Finds, sends again and deletes. Whose a run is, his is its webhook.

    What the project's rules of `threads` forbid is raised as `Access.allowed` does.
    """

    def __init__(self, table: WebhookTable, webhooks: Webhooks, access: Access) -> None:
        self._table = table
        self._webhooks = webhooks
        self._access = access

    async def search(self, wanted: Filter, *, limit: int, offset: int) -> list[Delivery]:
        """Return one page of those that fit, the newest first."""
        wanted = replace(wanted, allowed=await self._allowed("search", wanted, limit, offset))
        return await self._table.search(wanted, limit=limit, offset=offset)

    async def send(self, run_id: str) -> None:
        """Send one again that is not delivered, at once and as if it were new.

        Raises:
            WebhookNotFound: there is none, or it is somebody else's.
            WebhookDelivered: its receiver has it.
        """
        delivery = await self._found("update", run_id)
        wanted = Filter(run_id=delivery.run_id)
        if delivery.status == "delivered" or not await self._table.send_again(wanted):
            raise WebhookDelivered(
                f"The webhook of the run {run_id} was delivered: its content is kept no longer."
            )
        audit("webhook.sent_again", target=delivery.run_id)
        self._webhooks.look()

    async def send_dead(self) -> int:
        """Send all dead letters again that are the caller's; returns how many they are."""
        wanted = Filter(status="dead")
        wanted = replace(wanted, allowed=await self._allowed("update", wanted))
        sent = await self._table.send_again(wanted)
        audit("webhook.sent_again", target="dead letters", count=sent)
        self._webhooks.look()
        return sent

    async def delete(self, run_id: str) -> None:
        """Delete one, and send it no more.

        Raises:
            WebhookNotFound: there is none, or it is somebody else's.
        """
        delivery = await self._found("delete", run_id)
        await self._table.delete(Filter(run_id=delivery.run_id))
        audit("webhook.deleted", target=delivery.run_id)

    async def _found(self, action: Action, run_id: str) -> Delivery:
        allowed = await self._allowed(action, Filter(run_id=run_id))
        delivery = await self._table.get(run_id)
        if delivery is None or not allowed.fits(delivery.metadata):
            raise WebhookNotFound(
                f"No webhook of the run {run_id} is kept: there was none, or its time is over."
            )
        return delivery

    async def _allowed(
        self, action: Action, wanted: Filter, limit: int = 0, offset: int = 0
    ) -> Match:
        if not self._access.on:
            return EVERYTHING
        asked: dict[str, Any] = {"thread_id": rule_id(wanted.thread_id), "metadata": {}}
        if action == "search":
            asked |= {"values": {}, "status": None, "limit": limit, "offset": offset}
        if wanted.run_id is not None:
            asked["run_id"] = rule_id(wanted.run_id)
        return await self._access.allowed("threads", action, asked)
