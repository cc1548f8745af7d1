"""What is a user's: which threads, crons, assistants and keys.

A thread is the user's whom its metadata names as `owner`, as rules of LangGraph's `Auth` write it;
where it names none, theirs whose runs it has. A cron is its caller's, an assistant and a
key of the API its owner's.
"""

from sqlalchemy import ColumnElement, Select, delete, select

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.json_objects import member_equals
from everturn.checkpoints.sql.tables import api_keys, assistants, crons, runs, threads, webhooks


class UserRows:
    """Finds the rows of a user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def threads(self, user: str) -> list[str]:
        """Return the ids of a user's threads, oldest first; sessions that have ended included."""
        own = member_equals(threads.c.metadata, "owner", user)
        nobodys = threads.c.metadata["owner"].as_string().is_(None)
        used = select(runs.c.thread_id).where(member_equals(runs.c.caller, "identity", user))
        found = own | (nobodys & threads.c.thread_id.in_(used))
        return await self._ids(_ids_of(threads.c.thread_id, found).order_by(threads.c.created_at))

    async def crons(self, user: str) -> list[str]:
        """Return the ids of a user's crons."""
        own = member_equals(crons.c.caller, "identity", user)
        return await self._ids(_ids_of(crons.c.cron_id, own))

    async def assistants(self, user: str) -> list[str]:
        """Return the ids of a user's assistants."""
        own = member_equals(assistants.c.metadata, "owner", user)
        return await self._ids(_ids_of(assistants.c.assistant_id, own))

    async def delete_webhooks(self, user: str) -> None:
        """Delete the reports of a user's runs, also of those that had no thread to be kept."""
        own = delete(webhooks).where(member_equals(webhooks.c.metadata, "owner", user))
        await self._database.write(lambda c: c.execute(own))

    async def delete_keys(self, user: str) -> int:
        """Delete a user's keys; returns how many they were."""
        own = delete(api_keys).where(api_keys.c.owner == user)
        return await self._database.write(lambda c: c.execute(own).rowcount)

    async def _ids(self, query: Select[str]) -> list[str]:
        return await self._database.search(lambda c: list(c.scalars(query)))


def _ids_of(column: ColumnElement[str], condition: ColumnElement[bool]) -> Select[str]:
    return select(column).where(condition)
