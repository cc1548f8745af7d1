"""Where a run is found: the header `Content-Location`, RFC 9110, section 8.7."""

from uuid import UUID

from everturn.server.runs.run import Run


def location_of(run: Run) -> dict[str, str]:
    """Return the header for a run on a thread: there it is joined, cancelled and looked at.

    Empty where the thread's id is no UUID: those routes know threads by UUIDs alone.
    """
    try:
        thread_id = UUID(run.thread_id)
    except ValueError:
        return {}
    return {"Content-Location": f"/threads/{thread_id}/runs/{run.row.run_id}"}
