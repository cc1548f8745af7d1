"""Assistants and threads as far as runs need them."""

from uuid import UUID, uuid5

from sqlalchemy import bindparam, update

from checkpoints.tables import threads
from server.runs.errors import AssistantNotFound
from server.runs.graphs import Graphs
from server.runs.run import Assistant

NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
_STATUS = (
    update(threads)
    .where(threads.c.thread_id == bindparam("this"))
    .values(status=bindparam("status"), updated_at=bindparam("updated_at"))
)


class SystemAssistants:
    """One for each graph, under the id that LangGraph gives it."""

    def __init__(self, graphs: Graphs) -> None:
        self._known: dict[str, Assistant] = {}
        for name in graphs.names:
            assistant = Assistant(
                str(uuid5(NAMESPACE, name)), name, metadata={"created_by": "system"}
            )
            self._known[name] = self._known[assistant.assistant_id] = assistant

    async def resolve(self, name_or_id: str) -> Assistant:
        try:
            return self._known[name_or_id]
        except KeyError:
            raise AssistantNotFound(f"Invalid assistant: {name_or_id!r}.") from None
