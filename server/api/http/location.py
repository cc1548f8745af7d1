"""Where a run is found: the header `Content-Location`, RFC 9110, section 8.7."""

from uuid import UUID

from everturn.server.runs.idempotency import Repeated
from everturn.server.runs.run import Run


def location_of(started: Run | Repeated) -> dict[str, str]:
    """Return the header for a run on a thread: there it is joined, cancelled and looked at.

    Empty for a thread that goes with the run, and where the thread's id is no UUID: those routes
    know threads by UUIDs alone.
    """
    if isinstance(started, Repeated):
        run_id, on = started.run_id, started.thread_id
    else:
        run_id, on = started.row.run_id, started.thread_id if started.request.lasting else None
    try:
        thread_id = UUID(on or "")
    except ValueError:
        return {}
    return {"Content-Location": f"/threads/{thread_id}/runs/{run_id}"}
