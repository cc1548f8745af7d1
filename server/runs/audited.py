"""What the audit says of a run that answers what its thread waits for: that, and what of calls."""

from collections.abc import Mapping
from typing import Any

from everturn.server.observe.audit import audit
from everturn.server.runs.run import Run

_DECISIONS = frozenset({"approve", "edit", "reject", "respond"})
"""Of LangChain's human-in-the-loop middleware, and of our own approvals."""


def audit_answer(run: Run) -> None:
    """Write down that somebody answered, by whichever door; nothing for another run."""
    command = run.request.command or {}
    if "resume" in command:
        decided = {"decisions": found} if (found := _decisions(command["resume"])) else {}
        audit("thread.resumed", target=run.thread_id, run_id=run.row.run_id, **decided)


def _decisions(resume: Any) -> list[str]:
    """What was decided of tool calls, in their order; what else an answer says is not looked at."""
    if not isinstance(resume, Mapping):
        return []
    answers = [resume, *(each for each in resume.values() if isinstance(each, Mapping))]
    listed = next(
        (found for each in answers if isinstance(found := each.get("decisions"), list)), []
    )
    kinds = [each.get("type") for each in listed if isinstance(each, Mapping)]
    return [kind for kind in kinds if isinstance(kind, str) and kind in _DECISIONS]
